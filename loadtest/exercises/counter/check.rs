//! All buyers click at once. There is nothing to change here.

use tokio::task::JoinSet;

use super::{
    crowd::{Database, Rows, SALE, block_on, instance, rows},
    exercise::purchase,
};

const BUYERS: i64 = 500;
const UNITS: i64 = 50;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    block_on(stampede())
}

async fn stampede() -> Result<String, String> {
    let database = Database::new()?;
    let shop = instance(&database.url, UNITS).await?;
    let mut buyers = JoinSet::new();
    for buyer in 1..=BUYERS {
        let shop = shop.clone();
        buyers.spawn(async move { purchase(&shop, SALE, buyer).await.is_ok() });
    }
    let told_yes = buyers.join_all().await.into_iter().filter(|yes| *yes).count() as i64;
    let Rows { orders, sold } = rows(&shop).await?;
    if told_yes < UNITS {
        return Err(format!("{UNITS} units for {BUYERS} buyers, and only {told_yes} were told yes"));
    }
    if told_yes != orders {
        return Err(format!("{told_yes} buyers were told yes, and there are {orders} orders"));
    }
    if sold != orders {
        return Err(format!("{orders} orders, and the counter says {sold}"));
    }
    Ok(format!("{orders} orders, and the counter says {sold}. Oversold by {}: say why.", orders - UNITS))
}
