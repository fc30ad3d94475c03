//! Two processes sell from one database. There is nothing to change here.

use tokio::task::JoinSet;
use v1_naive::shop::{Error, Shop};

use super::{
    crowd::{Database, Rows, SALE, Second, block_on, instance, rows},
    exercise::purchase,
};

/// The buyers at each instance.
const BUYERS: i64 = 300;
const UNITS: i64 = 200;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    match Second::is_this() {
        Some(url) => block_on(second(url)),
        None => block_on(both()),
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
    let mut second = Second::start(&database.url)?;
    second.go()?;
    let here = sell(&shop).await;
    let there = second.result()?;
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

async fn second(url: String) -> Result<String, String> {
    let shop = instance(&url, UNITS).await?;
    Second::is_ready()?;
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
