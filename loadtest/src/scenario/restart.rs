use std::sync::atomic::Ordering::Relaxed;

use tokio::time::{Duration, sleep};

use super::stampede::Progress;
use crate::shop_process::ShopProcess;

/// The share of buyers that have an answer when it happens.
const AFTER: f64 = 0.1;

/// Kills the shop as soon as some of the `buyers` are served, without a warning, and starts it again at the same address.
///
/// # Errors
/// It does not start again.
pub async fn strike(shop: &mut ShopProcess, buyers: usize, served: Progress) -> anyhow::Result<()> {
    while (served.load(Relaxed) as f64) < buyers as f64 * AFTER {
        sleep(Duration::from_millis(1)).await;
    }
    shop.kill_and_start_again().await
}
