//! The shop killed in the middle.

use anyhow::ensure;
use tokio::sync::watch;

use super::{plan::Plan, rules::Rules};
use crate::{buyer::progress::Progress, lab::shop_process::ShopProcess};

/// Buyers who may come before the shop is killed: as many as half of the `stock`, so that the sale cannot be decided by then.
pub fn first_wave(stock: i64) -> usize {
    (stock as usize / 2).max(1)
}

/// Kills the shop without a warning as soon as it has sold a quarter of the `stock`, or the first wave has been answered; starts it
/// again at the same address, and then opens the `gate` for all the others.
///
/// # Errors
/// It does not start again.
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

/// A stampede, and the shop killed in the middle.
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
