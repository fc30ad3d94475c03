//! Raw bytes on a socket, for requests that a client library would refuse to send.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A timeout that is longer than any shop waits for the rest of a request.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes `bytes` and reads the whole answer.
pub async fn raw(shop: SocketAddr, bytes: &[u8]) -> (String, String) {
    let text = exchange(shop, bytes, whole).await;
    text.split_once("\r\n\r\n").map_or((text.clone(), String::new()), |(head, body)| (head.into(), body.into()))
}

/// Writes `bytes` and reads until the answer is `enough`, or the other end closes the connection.
pub async fn exchange(shop: SocketAddr, bytes: &[u8], enough: impl Fn(&str) -> bool) -> String {
    let mut stream = TcpStream::connect(shop).await.unwrap();
    let (mut answer, mut writer) = stream.split();
    let mut text = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = answer.read(&mut buffer).await {
            text.extend_from_slice(&buffer[..n]);
            if enough(&String::from_utf8_lossy(&text)) {
                break;
            }
        }
    };
    // The shop may close the connection early, and may answer before it has read everything.
    let talk = async {
        tokio::select! {
            () = read => {}
            () = async { let _ = writer.write_all(bytes).await; std::future::pending().await } => {}
        }
    };
    timeout(PATIENCE, talk).await.expect("an answer or an end");
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether an answer is complete, by its content-length.
fn whole(text: &str) -> bool {
    let text = text.to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}
