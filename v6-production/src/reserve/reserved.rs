use std::fmt::Write;

use axum::http::{HeaderMap, HeaderValue};

use crate::{order_id::OrderId, shop::Buyer};

/// The request's id in the log of the edge; `None` if it is missing or longer than 64 bytes.
#[derive(Debug)]
pub(crate) struct RequestId(Option<HeaderValue>);

impl RequestId {
    pub(super) fn of(headers: &HeaderMap) -> RequestId {
        RequestId(headers.get("x-request-id").filter(|id| id.len() <= 64).cloned())
    }
}

/// The reservations of one call of Redis. They are logged in one line, because writing a line takes longer than formatting it:
/// `reserved order=1 buyer=2 request_id="a", order=3 buyer=4 request_id="b"`.
#[derive(Default)]
pub(super) struct Reserved(String);

impl Reserved {
    pub(super) fn add(&mut self, OrderId(order): OrderId, buyer: Buyer, RequestId(request_id): &RequestId) {
        let comma = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{comma} order={order} buyer={}", buyer.id);
        if let Some(id) = request_id.as_ref().and_then(|id| id.to_str().ok()) {
            let _ = write!(self.0, " request_id={id:?}");
        }
    }

    pub(super) fn log(self) {
        if !self.0.is_empty() {
            tracing::info!("reserved{}", self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_is_named_with_its_buyer_and_request() {
        let id = |text: &str| {
            RequestId::of(&HeaderMap::from_iter([("x-request-id".parse().unwrap(), text.parse().unwrap())]))
        };
        let mut reserved = Reserved::default();
        reserved.add(OrderId(1), Buyer { id: 2 }, &id("a\" order=9"));
        reserved.add(OrderId(3), Buyer { id: 4 }, &id(&"b".repeat(65)));
        assert_eq!(reserved.0, r#" order=1 buyer=2 request_id="a\" order=9", order=3 buyer=4"#);
    }
}
