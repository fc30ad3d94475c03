use super::RedisStore;

/// The keys of one sale. The braces in their names put all of them into the same slot of a Redis Cluster.
pub(crate) struct SaleKeys {
    /// A hash: `epoch`, `replid` (the replication id of the data when the sale was rebuilt; without it the sale is closed), `stock`
    /// (units left), `units` (in total), `number` (of the last order), `opens_at`, `closes_at`, `denials` (the version of its deny
    /// list).
    pub(crate) sale: String,
    /// A hash: for each buyer with a unit, the ids of the order, of the path and of the request, 8 bytes each.
    pub(crate) held: String,
    /// A stream: the reservations that are not in the queue yet.
    pub(crate) outbox: String,
    /// A hash: for each buyer, the attempts in the current frequency window; and when it `ends`, in milliseconds since 1970.
    pub(crate) tries: String,
    /// A set: the buyers and paths of released units, and of puzzles with a wrong answer.
    pub(crate) spent: String,
    /// A hash: for each buyer and request whose order has ended, the order.
    pub(crate) ended: String,
    /// A set: the buyers on the deny list.
    pub(crate) denied: String,
    /// A number: the highest fencing token of all writes so far.
    pub(crate) fence: String,
    /// A number without a meaning, which is written to see whether Redis accepts writes.
    pub(crate) alive: String,
}

impl SaleKeys {
    fn new(key: impl Fn(&str) -> String) -> SaleKeys {
        let (sale, held, outbox, tries) = (key("sale"), key("held"), key("outbox"), key("tries"));
        SaleKeys {
            sale,
            held,
            outbox,
            tries,
            spent: key("spent"),
            ended: key("ended"),
            denied: key("denied"),
            fence: key("fence"),
            alive: key("alive"),
        }
    }
}

impl RedisStore {
    /// The keys of a sale.
    pub(crate) fn keys(&self, sale_id: i64) -> SaleKeys {
        SaleKeys::new(|what| format!("{}:{}:{what}", self.namespace, tag(sale_id)))
    }

    /// Temporary keys of a sale, which the holder of the lease with this number writes before they replace the others.
    pub(crate) fn staged_keys(&self, sale_id: i64, number: i64) -> SaleKeys {
        SaleKeys::new(|what| format!("{}:{}:new:{number}:{what}", self.namespace, tag(sale_id)))
    }

    /// The name of a channel between instances: `stock` (sold out, restocked) or `orders` (changed).
    pub(crate) fn channel(&self, about: &str) -> String {
        format!("{}:{about}", self.namespace)
    }

    /// The key that says that a mark has passed the queue.
    pub(crate) fn mark(&self, name: &str) -> String {
        format!("{}:mark:{name}", self.namespace)
    }

    /// The key of a set: the sales that were missed recently.
    pub(crate) fn missed(&self) -> String {
        format!("{}:missed", self.namespace)
    }
}

/// The part of a sale's keys that decides their slot.
pub(super) fn tag(sale_id: i64) -> String {
    format!("{{sale:{sale_id}}}")
}

/// `N` numbers of 8 bytes each, as the scripts write them; `None` if `bytes` has another length.
pub(crate) fn numbers<const N: usize>(bytes: &[u8]) -> Option<[i64; N]> {
    let (numbers, []) = bytes.as_chunks::<8>() else { return None };
    Some(<[[u8; 8]; N]>::try_from(numbers).ok()?.map(i64::from_be_bytes))
}
