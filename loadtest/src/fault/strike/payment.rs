//! Failures of the payment provider, and of an instance in the middle of a payment.

use tokio::time::{Instant, sleep};

use super::target::{LOOK_EVERY, TO_BE_IN_PLACE, Target};
use crate::provider::{Callbacks, Does, Remote, Standing, Step, Switches};

/// When an instance is killed during a payment: before the provider has carried out the request, or after.
const MOMENTS: [(Step, Does, &str); 4] = [
    (Step::Authorise, Does::SilentBefore, "before the card is authorised"),
    (Step::Authorise, Does::SilentAfter, "when the card is authorised"),
    (Step::Capture, Does::SilentBefore, "before the card is charged"),
    (Step::Capture, Does::SilentAfter, "when the card is charged"),
];

impl Target<'_> {
    fn provider(&self) -> Remote {
        Remote::new(&self.stores.provider)
    }

    /// Kills the first instance, where buyers pay, during a payment. The rounds take turns through the moments.
    pub(super) async fn kill_payment(&mut self) -> anyhow::Result<()> {
        let (step, does, words) = MOMENTS[self.round as usize % MOMENTS.len()];
        let provider = self.provider();
        provider.switch(&Switches { steps: [(step, does)].into(), ..Switches::default() }).await?;
        let began = Instant::now();
        while provider.waiting().await?.get(&step).is_none_or(|n| *n == 0) {
            if began.elapsed() > TO_BE_IN_PLACE {
                return Ok(()); // no payment was made, so the fault does not come into place
            }
            sleep(LOOK_EVERY).await;
        }
        self.seen = words.into();
        self.shops[0].kill().await
    }

    /// The provider stops answering, at every step.
    pub(super) async fn silence_provider(&mut self) -> anyhow::Result<()> {
        let steps = [Step::Authorise, Step::Capture, Step::Void, Step::Refund, Step::Show];
        let steps = steps.map(|step| (step, Does::SilentBefore)).into();
        self.provider().switch(&Switches { steps, ..Switches::default() }).await
    }

    /// The bank decides later, and the provider's callback is late too.
    pub(super) async fn call_late(&mut self) -> anyhow::Result<()> {
        self.provider().switch(&Switches { callbacks: Callbacks::Late(4000), ..Switches::default() }).await
    }

    /// The provider works normally again.
    pub(super) async fn mend_provider(&mut self) -> anyhow::Result<()> {
        self.provider().switch(&Switches::default()).await
    }

    /// Whether the provider has left a request without an answer.
    pub(super) async fn provider_is_silent(&self) -> anyhow::Result<bool> {
        Ok(self.provider().waiting().await?.values().any(|n| *n > 0))
    }

    /// Whether a payment of this shop waits for its bank.
    pub(super) async fn a_bank_thinks(&self) -> anyhow::Result<bool> {
        let entries = self.provider().entries_of(&self.stores.namespace).await?;
        Ok(entries.iter().any(|entry| entry.state == Standing::Pending))
    }
}
