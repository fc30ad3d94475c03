//! A stampede during which the shop is killed and restarted.

use anyhow::ensure;
use tokio::sync::watch;

use super::{plan::Plan, rules::Rules};
use crate::{buyer::progress::Progress, lab::shop_process::ShopProcess};

/// How many buyers may click before the shop is killed: half of the `stock`, so that the sale cannot sell out before.
pub fn first_wave(stock: i64) -> usize {
    (stock as usize / 2).max(1)
}

/// Kills the shop (SIGKILL) as soon as it has sold a quarter of the `stock`, or the first wave has its answers. Restarts it at
/// the same address, then opens the `gate` for all other buyers.
///
/// # Errors
/// The shop does not restart.
pub async fn strike(
    shop: &mut ShopProcess,
    stock: i64,
    progress: Progress,
    gate: watch::Sender<usize>,
) -> anyhow::Result<()> {
    progress.reach(stock / 4, first_wave(stock)).await;
    shop.kill_and_start_again().await?;
    gate.send_replace(usize::MAX);
    Ok(())
}

/// A stampede during which the shop is killed and restarted.
pub(crate) struct RestartRules;

impl Rules for RestartRules {
    fn check(&self, plan: &Plan) -> anyhow::Result<()> {
        ensure!(
            plan.stock > 1 && plan.buyers > 1,
            "restart kills the shop in the middle of its sale: it needs --stock and --buyers of 2 or more"
        );
        Ok(())
    }
}
