//! Ends that take more than a signal: a SIGHUP that is ignored, kill -9, and a shop that hangs after the load.

use std::{process::Command, time::Duration};

use crate::{
    interrupted::{Running, asked},
    support::eventually,
};
use loadtest::buyer::schedule::{Pattern, Schedule};
use nix::sys::signal::Signal;
use tokio::time::{sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn nohup_is_respected_and_kill_9_ends_the_shop() {
    let run = Running::start_with(
        "run v1 --database sqlite --rate 100/s --duration 600s --stock 9999",
        "--ignore-signal=HUP",
    );
    run.has_sold().await;
    run.signal(Signal::SIGHUP);
    run.has_sold_more_than(200).await;
    run.signal(Signal::SIGKILL);
    let Running { temporary, mut child, .. } = run;
    assert_eq!(child.wait().await.unwrap().code(), None);
    let folder = temporary.path().to_str().unwrap();
    let has_ended = async || {
        let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap();
        !String::from_utf8_lossy(&processes.stdout).contains(folder)
    };
    eventually("the shop has ended", has_ended).await;
}

/// About 50 buyers come in the first second, and no more in the next twenty. The shop is frozen in between, so that it has answered all of
/// them and then says nothing about itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_hangs_after_the_last_answer_is_an_error_and_ctrl_c_keeps_its_report() {
    let stages = "0:100,1s:0,20s:0";
    let buyers = Schedule::stages(stages, Pattern::Constant).unwrap().due(1).count() as i64;
    let hangs = async |interrupts: bool| {
        let run = Running::start(&format!("run v3 --database sqlite --stages {stages} --stock 1000"));
        run.has_sold_to_all(buyers).await;
        run.freeze_shop();
        if interrupts {
            sleep(Duration::from_secs(21)).await; // the load is over
            run.interrupt();
        }
        timeout(Duration::from_secs(150), run.end()).await.expect("an end")
    };
    let (waited, interrupted) = tokio::join!(hangs(false), hangs(true));
    assert_eq!(waited.code, Some(4), "{}", waited.err);
    assert!(waited.err.contains("error: v3-optimistic: the shop does not answer after the load"), "{}", waited.err);
    assert_eq!(interrupted.code, Some(130), "{}", interrupted.err);
    // Five seconds for its report, and fifteen to stop.
    assert!(interrupted.took < Duration::from_secs(35), "{:?}", interrupted.took);
    let run = &interrupted.runs.expect("a file")[0];
    assert_eq!(run["outcomes"]["bought"].as_u64(), Some(asked(run)), "all were answered: {run}");
}
