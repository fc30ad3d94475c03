//! Buyers who click ten times at once. There is nothing to change here.

use tokio::task::JoinSet;

use super::{
    crowd::{Database, Rows, SALE, block_on, instance, rows, text},
    exercise::{Refused, prepare, purchase},
};

const BUYERS: i64 = 40;
/// Clicks of each buyer.
const CLICKS: i64 = 10;
const UNITS: i64 = 100;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    block_on(clicks())
}

async fn clicks() -> Result<String, String> {
    let database = Database::new()?;
    let shop = instance(&database.url, UNITS).await?;
    prepare(&shop).await.map_err(text)?;
    let mut clicks = JoinSet::new();
    for buyer in 1..=BUYERS {
        for _ in 0..CLICKS {
            let shop = shop.clone();
            clicks.spawn(async move { purchase(&shop, SALE, buyer).await });
        }
    }
    let told = clicks.join_all().await;
    let Rows { orders, sold } = rows(&shop).await?;
    if orders > BUYERS {
        return Err(format!("{BUYERS} buyers with {CLICKS} clicks each have {orders} orders"));
    }
    if let Some(Err(Refused::Failed(error))) = told.iter().find(|answer| matches!(answer, Err(Refused::Failed(_)))) {
        return Err(format!("a click ends with an error of the database: {error}"));
    }
    let sold_out = told.iter().filter(|answer| matches!(answer, Err(Refused::SoldOut))).count();
    if sold_out > 0 || orders < BUYERS {
        return Err(format!("{UNITS} units for {BUYERS} buyers: {orders} have one, and {sold_out} were told sold-out"));
    }
    if sold != orders {
        return Err(format!("{orders} orders, and the counter says {sold}: refused clicks have taken units"));
    }
    Ok(format!("{BUYERS} buyers, {CLICKS} clicks each: {orders} orders, and the counter says {sold}"))
}
