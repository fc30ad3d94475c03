use tokio::sync::watch;

use super::stampede::Progress;
use crate::shop_process::ShopProcess;

/// Kills the shop without a warning as soon as it has sold half of the `stock`, or all of the first wave of buyers have been
/// answered; starts it again at the same address, and then opens the `gate` for all the others.
///
/// # Errors
/// It does not start again.
pub async fn strike(
    shop: &mut ShopProcess,
    stock: i64,
    first_wave: usize,
    progress: Progress,
    gate: watch::Sender<usize>,
) -> anyhow::Result<()> {
    progress.reach(stock / 2, first_wave).await;
    shop.kill_and_start_again().await?;
    gate.send_replace(usize::MAX);
    Ok(())
}
