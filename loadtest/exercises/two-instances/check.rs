//! Two processes sell from one database. There is nothing to change here.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use tokio::task::JoinSet;
use v1_naive::shop::{Error, Shop};

use super::{
    crowd::{Database, Rows, SALE, block_on, instance, rows, text},
    exercise::purchase,
};

/// The buyers at each instance.
const BUYERS: i64 = 300;
const UNITS: i64 = 200;
/// If this is set, this process is the second instance; its value is the database's URL.
const SECOND: &str = "OVERSOLD_SECOND_INSTANCE";

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    match std::env::var(SECOND) {
        Ok(url) => block_on(second(url)),
        Err(_) => block_on(both()),
    }
}

/// What the buyers of one instance were told.
struct Told {
    yes: i64,
    conflict: i64,
}

async fn both() -> Result<String, String> {
    let database = Database::new()?;
    let shop = instance(&database.url, UNITS).await?;
    let mut second = start_second(&database.url)?;
    let mut lines = BufReader::new(second.stdout.take().ok_or("the second instance has no output")?).lines();
    let mut line = || lines.next().ok_or("the second instance has died")?.map_err(text);
    line()?; // it is ready
    second.stdin.take().ok_or("the second instance has no input")?.write_all(b"go\n").map_err(text)?;
    let here = sell(&shop).await;
    let there = line()?;
    second.wait().map_err(text)?;
    let (yes, conflict) = there.split_once(' ').ok_or("the second instance has failed")?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| "the second instance has failed".to_owned());
    let (yes, conflict) = (here.yes + number(yes)?, here.conflict + number(conflict)?);
    let Rows { orders, .. } = rows(&shop).await?;
    if orders > UNITS {
        return Err(format!("two instances sold {orders} of {UNITS} units: oversold by {}", orders - UNITS));
    }
    if conflict > 0 {
        return Err(format!("{conflict} buyers were told conflict, and they could have waited"));
    }
    if orders < UNITS || yes != orders {
        return Err(format!("{UNITS} units, {orders} orders, {yes} buyers told yes"));
    }
    Ok(format!("two instances, {UNITS} units, {orders} orders, no conflict"))
}

/// The same program again.
fn start_second(url: &str) -> Result<Child, String> {
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    let command = command.args(std::env::args_os().skip(1)).env(SECOND, url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(text)
}

async fn second(url: String) -> Result<String, String> {
    let shop = instance(&url, UNITS).await?;
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).map_err(text)?;
    let Told { yes, conflict } = sell(&shop).await;
    Ok(format!("{yes} {conflict}"))
}

/// A crowd at one instance.
async fn sell(shop: &Shop) -> Told {
    let mut buyers = JoinSet::new();
    for buyer in 1..=BUYERS {
        let shop = shop.clone();
        buyers.spawn(async move { purchase(&shop, SALE, buyer).await });
    }
    let told = buyers.join_all().await;
    let count = |matches: fn(&Result<i64, Error>) -> bool| told.iter().filter(|answer| matches(answer)).count() as i64;
    Told { yes: count(Result::is_ok), conflict: count(|answer| matches!(answer, Err(Error::Conflict))) }
}
