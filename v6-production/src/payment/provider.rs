use std::time::Duration;

use tokio::time::sleep;

/// Stands in for a payment provider: takes a while, declines every card that ends in 0002, and moves no money. As with a
/// real one, what is done twice under one reference is done once.
pub(crate) struct FakeProvider {
    /// How long it takes to answer.
    pub(crate) takes: Duration,
}

impl FakeProvider {
    /// Holds the amount on the card. Whether the card is good for it.
    pub(crate) async fn authorise(&self, reference: &str, card: &str) -> bool {
        sleep(self.takes).await;
        let good = !card.ends_with("0002");
        tracing::debug!(reference, good, "fake provider: authorise");
        good
    }

    /// Takes what was held.
    pub(crate) async fn capture(&self, reference: &str) {
        tracing::debug!(reference, "fake provider: capture");
    }

    /// Lets go what was held.
    pub(crate) async fn void(&self, reference: &str) {
        tracing::debug!(reference, "fake provider: void");
    }
}
