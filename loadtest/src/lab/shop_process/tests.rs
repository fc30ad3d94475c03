use super::*;
use crate::lab::servers::port::tests::{choose, taken};

/// Listens like a shop, except at these addresses.
fn program(folder: &Path, taken: &str) -> PathBuf {
    let file = folder.join("shop");
    let script = format!(
        "#!/bin/sh\n\
         for last; do :; done\n\
         case ' {taken} ' in *\" $last \"*) echo error: Address already in use >&2; exit 4; esac\n\
         echo listening on http://$last; exec cat\n"
    );
    // Another process writes the script. If this process had it open for writing, a child of a parallel test could inherit
    // the file, and the script could not be executed until that child closes it.
    let write = std::process::Command::new("sh")
        .args(["-c", r#"printf %s "$1" >"$2" && chmod 755 "$2""#, "sh", &script])
        .arg(&file)
        .status();
    assert!(write.unwrap().success());
    file
}

#[tokio::test]
async fn a_shop_starts_elsewhere_if_its_port_is_taken_meanwhile() {
    let (mut ports, strangers): (Vec<_>, Vec<_>) = (0..=ATTEMPTS).map(|_| taken()).unzip();
    let taken: Vec<_> = strangers.iter().map(|stranger| stranger.local_addr().unwrap().to_string()).collect();
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), &taken.join(" "));
    let start = || ShopProcess::start(&program, Version::V1, &[], folder.path().join("log"));

    choose(ports.pop());
    let shop = start().await.unwrap();
    assert!(!taken.contains(&shop.address.to_string()));

    choose(ports);
    let why = start().await.err().unwrap().to_string();
    let last = &taken[ATTEMPTS - 1];
    assert_eq!(why, format!("v1-naive does not start at {last} (exit status: 4): Address already in use"));
}
