//! The lab's second tab in a real browser, on a real database.

use std::{fs, process::Command, time::Duration};

use crate::support::{
    browser::Browser,
    eventually,
    lab_page::{LabPage, descendants, shows},
    loadtest,
};
use fantoccini::Locator;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::sleep;

/// Presses a key, as a reader does.
async fn press(browser: &Browser, key: &str) {
    browser.page.find(Locator::Css("body")).await.unwrap().send_keys(key).await.unwrap();
}

/// Waits until the reader stands at this position.
async fn stands_at(browser: &Browser, moves: &str) {
    let shown = format!("moves so far: {moves}\n");
    shows(browser, "#scheduler .stage", if moves.is_empty() { "next:" } else { &shown }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and chromium-driver: make test"]
async fn a_reader_makes_version_1_oversell_in_six_moves() {
    let lab = LabPage::start(&["--database", "postgres"]);
    let browser = Browser::start().await;
    browser.page.goto(&lab.url("#scheduler")).await.unwrap();
    shows(&browser, "#scheduler .levels", "v1-naive").await;
    browser.click("[data-level='0']").await;
    shows(&browser, ".predict", "Predict first").await;
    press(&browser, "a").await; // a prediction comes first
    browser.script("document.querySelector('[data-predict=yes]').click()").await; // it may be drawn again meanwhile
    shows(&browser, ".gauge", "12 of the 16 interleavings from here oversell").await;
    assert!(browser.text(".source li.here").await.starts_with("AB"), "both stand at the select");
    for (n, buyer) in ["a", "b", "a", "b"].into_iter().enumerate() {
        press(&browser, buyer).await;
        stands_at(&browser, &"ABAB"[..=n]).await;
    }
    shows(&browser, ".gauge", "2 of the 2 interleavings from here oversell").await;
    assert!(browser.text("table.steps").await.contains("lost update"));
    browser.screenshot("lab-scheduler.png").await;

    press(&browser, "u").await;
    stands_at(&browser, "ABA").await;
    assert!(browser.page.current_url().await.unwrap().as_str().ends_with("#scheduler/v1-naive/-/2/1/ABA"));
    browser.page.goto(&lab.url("#scheduler/v1-naive/-/2/1/ABABAB")).await.unwrap(); // a link of a position
    let end = shows(&browser, ".finished", "Reached in 6 moves. The fewest are 6.").await;
    for part in ["lost update", "2 orders, `sold` says 1: oversold by 1", "You predicted yes: that is right."] {
        assert!(end.contains(part), "{part}: {end}");
    }

    // The schedule file is one that `replay` takes.
    let keep = "window.saved = null; const make = URL.createObjectURL; \
                URL.createObjectURL = (file) => { file.text().then((text) => { window.saved = text; }); return make.call(URL, file); }; \
                [...document.querySelectorAll('.finished button')].find((one) => one.textContent.startsWith('Save')).click()";
    browser.script(keep).await;
    eventually("it is saved", async || browser.script("return window.saved !== null").await == true).await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("schedule.txt"), browser.script("return window.saved").await.as_str().unwrap())
        .unwrap();
    let replay =
        Command::new(loadtest()).args(["replay", "v1", "schedule.txt"]).current_dir(folder.path()).output().unwrap();
    let says = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(replay.status.success() && says.contains("oversold by 1"), "{says}");
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    browser.as_telephone().await;
    assert!(!browser.scrolls_sideways().await);
    browser.screenshot("lab-scheduler-phone.png").await;
}

/// A level as a reader plays it: its number, what is predicted, the gauge at the start, the moves, and what the end says.
struct Plays {
    level: usize,
    predicts: &'static str,
    gauge: &'static str,
    moves: &'static str,
    says: &'static [&'static str],
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and chromium-driver: make test"]
async fn each_other_level_is_played_to_its_end() {
    let lab = LabPage::start(&["--database", "postgres"]);
    let browser = Browser::start().await;
    browser.page.goto(&lab.url("#scheduler")).await.unwrap();
    shows(&browser, "#scheduler .levels", "v1-naive").await;
    for Plays { level, predicts, gauge, moves, says } in [
        Plays {
            level: 1,
            predicts: "no",
            gauge: "22 of the 24 interleavings from here oversell",
            moves: "ABABAABB",
            says: &[
                "lost update A was told bought, B was told bought",
                "Reached in 8 moves. The fewest are 8.",
                "that is wrong",
            ],
        },
        Plays {
            level: 2,
            predicts: "yes",
            gauge: "4 of the 10 interleavings from here deadlock",
            moves: "ABABBB",
            says: &[
                "deadlock A was told conflict, B was told bought",
                "Reached in 6 moves. The fewest are 6.",
                "that is right",
            ],
        },
        Plays {
            level: 3,
            predicts: "yes",
            gauge: "22 of the 24 interleavings from here undersell",
            moves: "ABABAA",
            says: &[
                "stale read, noticed, and the buyer is refused A was told bought, B was told conflict",
                "1 left, though a buyer was refused",
                "Reached in 6 moves. The fewest are 6.",
                "Without a retry that buyer is refused",
            ],
        },
        Plays {
            level: 5,
            predicts: "yes",
            gauge: "0 of the 24 interleavings from here oversell",
            moves: "ABABAAB",
            says: &[
                "stale read, noticed before it did harm A was told bought, B was told sold-out",
                "nothing oversold",
                "No order does it: 0 of 24 interleavings oversell.",
                "that is wrong",
                "You cannot.",
            ],
        },
    ] {
        browser.click(&format!("[data-level='{level}']")).await;
        shows(&browser, ".predict", "Predict first").await;
        browser.script(&format!("document.querySelector('[data-predict={predicts}]').click()")).await;
        shows(&browser, ".gauge", gauge).await;
        for (n, buyer) in moves.char_indices() {
            if level == 2 && n == 3 {
                // The scenario: a reader thinks for longer than PostgreSQL's `deadlock_timeout` before closing the cycle.
                sleep(Duration::from_secs(3)).await;
            }
            press(&browser, &buyer.to_lowercase().to_string()).await;
            if n + 1 < moves.len() {
                stands_at(&browser, &moves[..=n]).await;
            }
        }
        let end = shows(&browser, ".finished", says[1]).await;
        assert!(says.iter().all(|part| end.contains(part)), "level {level}: {end}");
        browser.screenshot(&format!("lab-level-{level}.png")).await;
        let finished = shows(&browser, ".endings", moves).await;
        assert!(finished.contains("Write skew does not occur here"), "{finished}");
    }
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and chromium-driver: make test"]
async fn version_2_cannot_oversell_and_a_killed_postgres_is_a_clear_line() {
    let lab = LabPage::start(&["--database", "postgres"]);
    let browser = Browser::start().await;
    // B's select waits for A's lock. More than can be played is cut off.
    browser.page.goto(&lab.url("#scheduler/v2-pessimistic/-/2/1/ABB")).await.unwrap();
    stands_at(&browser, "AB").await;
    shows(&browser, ".buyers", "select waits for A").await;
    shows(&browser, "table.locks", "waits").await; // as pg_locks reports it
    for (n, _) in ["update", "insert", "commit"].into_iter().enumerate() {
        press(&browser, "a").await;
        if n < 2 {
            stands_at(&browser, &"ABAA"[..n + 3]).await;
        }
    }
    let end = shows(&browser, ".finished", "No order does it: 0 of").await;
    assert!(end.contains("nothing oversold") && end.contains("B was told sold-out"), "{end}");

    press(&browser, "u").await;
    stands_at(&browser, "ABAA").await;
    let postgres = descendants(lab.pid(), "postgres");
    assert_eq!(postgres.len(), 1, "one server");
    kill(Pid::from_raw(postgres[0]), Signal::SIGKILL).unwrap();
    shows(&browser, "#scheduler .stage", "PostgreSQL does not answer any more.").await;
    browser.click("#scheduler .stage button").await; // begin again
    stands_at(&browser, "ABAA").await;
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}
