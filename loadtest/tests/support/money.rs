//! The payment provider of a test.

use loadtest::{
    lab::{
        servers::{Server, Services},
        shop_process::ShopProcess,
    },
    provider::{Callbacks, Does, Remote, Standing, Step, Switches},
    verdict::money::{self, Money},
};
use url::Url;

use super::{SALE, eventually, loadtest, production::Production};

/// A card that the bank accepts later.
pub const PENDING: &str = "4000 0000 0000 0119";
/// A card that can be authorised but not captured.
pub const REFUSED: &str = "4000 0000 0000 0341";

/// The test's own provider, whose failures do not affect other tests.
pub struct Provider {
    pub services: Services,
    pub remote: Remote,
    pub url: Url,
}

impl Provider {
    pub fn start() -> Provider {
        let services = Services::start(&loadtest(), &[Server::Provider]).expect("the provider starts");
        let url = services.url(Server::Provider).unwrap().clone();
        Provider { services, remote: Remote::new(&url), url }
    }

    /// From now on it fails at this step and at no other.
    pub async fn at(&self, step: Step, does: Does) {
        let switches = Switches { steps: [(step, does)].into(), ..Switches::default() };
        self.remote.switch(&switches).await.unwrap();
    }

    /// It works normally, except for its callbacks.
    pub async fn calls(&self, callbacks: Callbacks) {
        self.remote.switch(&Switches { callbacks, ..Switches::default() }).await.unwrap();
    }

    /// It works normally.
    pub async fn is_well(&self) {
        self.calls(Callbacks::default()).await;
    }

    /// Waits until it has left a request without an answer.
    pub async fn keeps_waiting(&self, step: Step) {
        keeps_waiting(&self.remote, step).await;
    }
}

/// Waits until this provider has left a request without an answer.
pub async fn keeps_waiting(remote: &Remote, step: Step) {
    let waits = async || remote.waiting().await.unwrap().get(&step).is_some_and(|n| *n > 0);
    eventually(&format!("the provider is silent: {step:?}"), waits).await;
}

impl Production {
    /// The provider's entries for this shop: one line for each authorisation, with its states in order.
    pub async fn movements(&self, remote: &Remote) -> Vec<Vec<Standing>> {
        let mut authorisations: Vec<(String, Vec<Standing>)> = Vec::new();
        for entry in remote.entries_of(&self.stores.namespace).await.unwrap() {
            match authorisations.iter_mut().find(|(reference, _)| *reference == entry.reference) {
                Some((_, states)) => states.push(entry.state),
                None => authorisations.push((entry.reference, vec![entry.state])),
            }
        }
        authorisations.into_iter().map(|(_, states)| states).collect()
    }

    /// How often the shared provider has done this for this shop.
    pub async fn moved(&self, state: Standing) -> usize {
        self.movements(&Remote::new(&self.stores.provider)).await.concat().iter().filter(|one| **one == state).count()
    }

    /// Waits until no payment has an open request to the provider.
    pub async fn owes_nothing(&self) {
        let owed = "select count(*) from payments where owes is not null";
        let settled = async || sqlx::query_scalar::<_, i64>(owed).fetch_one(&self.pool).await.unwrap() == 0;
        eventually("no payment owes anything", settled).await;
    }

    /// The audit of money, without the buyers' answers.
    pub async fn money(&self, remote: &Remote) -> Money {
        let ours = remote.entries_of(&self.stores.namespace).await.unwrap();
        money::audit(&ours, &money::orders(&self.pool, SALE).await.unwrap(), &[])
    }

    /// An instance that uses this provider.
    pub async fn with(&self, provider: &Provider, further: &[&str]) -> ShopProcess {
        self.instance_with(&self.args_with(Server::Provider, &provider.url, further)).await
    }

    /// The order's row.
    pub async fn row(&self, order_id: i64) -> (String, Option<String>) {
        let query = "select status, reason from orders where id = $1";
        sqlx::query_as(query).bind(order_id).fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until the order has this status and reason.
    pub async fn is(&self, order_id: i64, status: &str, reason: Option<&str>) {
        let expected = (status.to_owned(), reason.map(str::to_owned));
        eventually(&format!("{expected:?}"), async || self.row(order_id).await == expected).await;
    }
}
