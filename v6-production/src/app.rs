use std::{ops::Deref, sync::Arc};

use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    catalogue::Catalogue,
    clock::Clock,
    gate::{puzzle::Puzzles, signer::Signer},
    notify::watchers::Watchers,
    orders::lookups::Lookups,
    page::versions::Versions,
    payment::provider::Provider,
    redis_store::RedisStore,
    reserve::batches::Batches,
    sold_out::SoldOut,
};

/// The state that all handlers share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(pub(crate) Arc<Parts>);

/// The parts of [`App`].
pub(crate) struct Parts {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) clock: Clock,
    pub(crate) signer: Signer,
    /// Whether browsers must use TLS: the session cookie is `Secure`, and answers carry HSTS.
    pub(crate) over_tls: bool,
    /// `None`: buyers get the purchase path without a puzzle.
    pub(crate) puzzles: Option<Puzzles>,
    pub(crate) batches: Batches,
    pub(crate) sold_out: Arc<SoldOut>,
    pub(crate) sql: PgPool,
    pub(crate) redis: RedisStore,
    pub(crate) lookups: Lookups,
    pub(crate) page_versions: Versions,
    pub(crate) watchers: Watchers,
    pub(crate) provider: Provider,
    pub(crate) stop: CancellationToken,
    /// Payments and WebSockets under way. They may outlive the request that started them.
    pub(crate) tasks: TaskTracker,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// The time by which a sale opens and its paths expire, in milliseconds since 1970.
    pub(crate) fn now_ms(&self, sale_id: i64) -> i64 {
        self.clock.now_ms_of(self.redis.shard_number(sale_id))
    }
}
