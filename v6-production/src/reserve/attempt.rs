use std::time::Duration;

use crate::{gate::ticket::TicketId, order_id::OrderId, shop::Buyer};

/// One buyer's attempt at one unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) sale_id: i64,
    pub(crate) buyer: Buyer,
    /// The same number again is the same attempt again.
    pub(crate) request: i64,
    pub(crate) path: TicketId,
    /// Whether it may have been made before: then only Redis knows the answer.
    pub(crate) again: bool,
}

/// What Redis says to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A unit is held, and this will be its order.
    Held(OrderId),
    /// The sale is not in Redis, or not in the state that we know. Nothing was done.
    Warming,
    NotOpen,
    Closed,
    LimitReached,
    SoldOut,
    Denied,
    /// Too old, or a unit was bought with it.
    WrongPath,
    /// More buyers than can be counted.
    Crowded,
    /// And how long to wait.
    TooOften(Duration),
    /// Nothing was said in time. A unit may be held.
    Unanswered,
    /// Redis takes no writes. Nothing was done.
    Refused,
    /// It was not asked, because too many are waiting.
    Overloaded,
}

impl Outcome {
    /// The outcome as a label of the metric `attempts_total`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Held(_) => "held",
            Outcome::Warming => "warming",
            Outcome::NotOpen => "not-open",
            Outcome::Closed => "closed",
            Outcome::LimitReached => "limit-reached",
            Outcome::SoldOut => "sold-out",
            Outcome::Denied => "denied",
            Outcome::WrongPath => "wrong-path",
            Outcome::Crowded => "crowded",
            Outcome::TooOften(_) => "too-often",
            Outcome::Unanswered => "unanswered",
            Outcome::Refused => "refused",
            Outcome::Overloaded => "overloaded",
        }
    }
}
