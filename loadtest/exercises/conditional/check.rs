//! Counts the statements of a crowd. There is nothing to change here.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::task::JoinSet;
use tracing::{Event, Metadata, Subscriber, span};
use v1_naive::shop::{Error, Shop};

use super::{
    crowd::{Database, Rows, SALE, block_on, config, rows, text},
    exercise::purchase,
};

const UNITS: i64 = 100;
/// Statements for each unit.
const MOST: i64 = 2;

static STATEMENTS: AtomicUsize = AtomicUsize::new(0);

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    tracing::subscriber::set_global_default(Counter).map_err(text)?;
    block_on(both())
}

async fn both() -> Result<String, String> {
    let statements = sale(UNITS).await?;
    if statements > MOST * UNITS {
        return Err(format!("{UNITS} units took {statements} statements; the bar is {MOST} for each unit"));
    }
    sale(4 * UNITS).await?;
    Ok(format!(
        "{UNITS} of {UNITS} sold with {statements} statements, no conflict, and exact with four times the buyers"
    ))
}

/// All buyers click at once. Returns the number of statements.
async fn sale(crowd: i64) -> Result<i64, String> {
    let database = Database::new()?;
    let shop = v3_optimistic::open(&config(&database.url, UNITS)?, "/sales/{sale_id}/purchase").await.map_err(text)?;
    open_all(&shop).await?;
    STATEMENTS.store(0, Relaxed);
    let mut buyers = JoinSet::new();
    for buyer in 1..=crowd {
        let shop = shop.clone();
        buyers.spawn(async move { purchase(&shop, SALE, buyer).await });
    }
    let told = buyers.join_all().await;
    let statements = STATEMENTS.load(Relaxed) as i64;
    let Rows { orders, sold } = rows(&shop).await?;
    if orders != UNITS || sold != UNITS {
        return Err(format!("{crowd} buyers, {UNITS} units: {orders} orders, and the counter says {sold}"));
    }
    let conflicts = told.iter().filter(|answer| matches!(answer, Err(Error::Conflict))).count();
    if conflicts > 0 {
        return Err(format!("{conflicts} buyers were told conflict"));
    }
    Ok(statements)
}

/// Opens all connections, so that their first statements are not counted.
async fn open_all(shop: &Shop) -> Result<(), String> {
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(shop.pool.acquire().await.map_err(text)?);
    }
    Ok(())
}

/// Counts sqlx's events. It has one for each statement.
struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, _event: &Event<'_>) {
        STATEMENTS.fetch_add(1, Relaxed);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
