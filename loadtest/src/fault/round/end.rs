//! The end of a round: the last payments, and the audit.

use std::time::Duration;

use anyhow::Context;
use sqlx::AnyPool;
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{super::AnyFault, LONGEST, SALE};
use crate::{
    buyer::payers::Heard,
    lab::deployment::Deployment,
    provider::Remote,
    record::faults::{Round, Strike, Verdict},
    scenario::plan::Plan,
    verdict::{
        audit::audit,
        edge::worse_than_later,
        history::{Told, outcomes},
        ledger::Ledger,
        money::{self, Money},
    },
};

/// Orders that still have time to be paid, and payments with an open request to the provider.
const UNSETTLED: &str = "select (select count(*) from orders where status = 'confirmed')
                              + (select count(*) from payments where owes is not null)";

/// Waits until all payers have an answer, unpaid orders have expired, and no payment has an open request to the provider; at most
/// 60 s. Returns the buyers' answers about their payments.
pub(super) async fn settle(
    paid: oneshot::Sender<()>,
    mut paying: JoinSet<anyhow::Result<Vec<Heard>>>,
    pool: &AnyPool,
) -> anyhow::Result<Vec<Heard>> {
    if paying.is_empty() {
        return Ok(Vec::new());
    }
    let began = Instant::now();
    while sqlx::query_scalar::<_, i64>(UNSETTLED).fetch_one(pool).await? > 0 && began.elapsed() < LONGEST {
        sleep(Duration::from_millis(50)).await;
    }
    drop(paid);
    paying.join_next().await.context("no payers have run")??
}

/// Audits a sale whose instances have stopped.
pub(super) async fn conclude(
    fault: AnyFault,
    plan: &Plan,
    deployment: &Deployment,
    (history, heard): (&[Told], &[Heard]),
    strike: Strike,
) -> anyhow::Result<Round> {
    let mut ledger = Ledger::read(&deployment.pool, deployment.stores.as_ref(), &[SALE]).await?;
    let money = match &deployment.stores {
        Some(stores) if fault.payments().is_some() => {
            let ours = Remote::new(&stores.provider).entries_of(&stores.namespace).await?;
            Some(money::audit(&ours, &money::orders(&deployment.pool, SALE).await?, heard))
        }
        _ => None,
    };
    if let (Some(stores), Some(seen)) = (&deployment.stores, &mut ledger.stores) {
        seen.unfinished -= stores.repeated(&deployment.pool, SALE).await?;
        if fault.payments().is_some() {
            // A shop whose expiry or payments have stopped settles nothing.
            seen.unfinished += sqlx::query_scalar::<_, i64>(UNSETTLED).fetch_one(&deployment.pool).await?;
        }
    }
    let audit = audit(history, &ledger);
    let worse_answers = deployment.access_log.as_deref().map(worse_than_later).transpose()?;
    // Books of a shop that charges nobody agree.
    let is_wrong = |money: &Money| !money.is_sound() || money.paid == 0;
    let is_broken = money.as_ref().is_some_and(is_wrong) || worse_answers.is_some_and(|n| n > 0);
    Ok(Round {
        stock: plan.stock,
        buyers: plan.buyers,
        instances: plan.instances,
        seed: plan.seed,
        verdict: if is_broken { Verdict::Broken } else { strike.judge(fault, plan.stock, &audit) },
        strike,
        audit,
        money,
        worse_answers,
        outcomes: outcomes(history),
    })
}
