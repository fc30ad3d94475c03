//! Buyers who click ten times at once, at two instances. There is nothing to change here.

use tokio::task::JoinSet;
use v1_naive::shop::Shop;

use super::{
    crowd::{Database, Rows, SALE, Second, block_on, instance, rows, text},
    exercise::{Refused, prepare, purchase},
};

const BUYERS: i64 = 40;
/// Clicks of each buyer at each instance.
const CLICKS: i64 = 5;
const UNITS: i64 = 100;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    match Second::is_this() {
        Some(url) => block_on(second(url)),
        None => block_on(both()),
    }
}

async fn both() -> Result<String, String> {
    let database = Database::new()?;
    let shop = instance(&database.url, UNITS).await?;
    prepare(&shop).await.map_err(text)?;
    let mut second = Second::start(&database.url)?;
    second.go()?;
    let here = click(&shop).await;
    let there = second.result()?;
    let Rows { orders, sold } = rows(&shop).await?;
    if orders > BUYERS {
        return Err(format!("{BUYERS} buyers with {} clicks each, at two instances, have {orders} orders", 2 * CLICKS));
    }
    // What is no number says why an instance has failed.
    let number = |told: String| told.parse::<i64>().map_err(|_| told);
    let sold_out = number(here?)? + number(there)?;
    if sold_out > 0 || orders < BUYERS {
        return Err(format!("{UNITS} units for {BUYERS} buyers: {orders} have one, and {sold_out} were told sold-out"));
    }
    if sold != orders {
        return Err(format!("{orders} orders, and the counter says {sold}: refused clicks have taken units"));
    }
    Ok(format!(
        "two instances, {BUYERS} buyers, {} clicks each: {orders} orders, and the counter says {sold}",
        2 * CLICKS
    ))
}

async fn second(url: String) -> Result<String, String> {
    let shop = instance(&url, UNITS).await?;
    Second::is_ready()?;
    click(&shop).await
}

/// All clicks at one instance. The result is how many were told sold-out.
async fn click(shop: &Shop) -> Result<String, String> {
    let mut clicks = JoinSet::new();
    for buyer in 1..=BUYERS {
        for _ in 0..CLICKS {
            let shop = shop.clone();
            clicks.spawn(async move { purchase(&shop, SALE, buyer).await });
        }
    }
    let mut sold_out = 0;
    for told in clicks.join_all().await {
        match told {
            Err(Refused::Failed(error)) => return Err(format!("a click ends with an error of the database: {error}")),
            Err(Refused::SoldOut) => sold_out += 1,
            Ok(_) | Err(Refused::LimitReached) => {}
        }
    }
    Ok(sold_out.to_string())
}
