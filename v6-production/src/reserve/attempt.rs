use std::time::Duration;

use crate::{gate::ticket::TicketId, order_id::OrderId, shop::Buyer};

/// One buyer's attempt to reserve one unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) sale_id: i64,
    pub(crate) buyer: Buyer,
    /// The request id. A second attempt with the same id is a repetition of the first.
    pub(crate) request: i64,
    pub(crate) path: TicketId,
    /// Whether it may be a repetition. Then only Redis knows the answer.
    pub(crate) again: bool,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A unit is reserved for this order.
    Held(OrderId),
    /// The sale is not in Redis, or not in the epoch that this process knows. Nothing was done.
    Warming,
    NotOpen,
    Closed,
    LimitReached,
    SoldOut,
    Denied,
    /// The path has expired, or a unit was bought with it.
    WrongPath,
    /// More buyers in this frequency window than Redis counts.
    Crowded,
    /// Too many attempts of this buyer. The frequency window ends after this time.
    TooOften(Duration),
    /// Redis did not answer in time. A unit may be reserved.
    Unanswered,
    /// Redis accepts no writes. Nothing was done.
    Refused,
    /// Redis was not asked, because too many attempts wait, or because this one has waited too long.
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
