//! Links: the route pattern of every address that an answer points to, and the function that fills it in.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{order_id::OrderId, short_link};

/// `POST`: the login.
pub(crate) const SESSION: &str = "/session";
/// `POST`: asks for the hidden purchase path.
pub(crate) const PATH: &str = "/sales/{sale_id}/path";
/// `POST`: the purchase, at the hidden path of one buyer.
pub(crate) const PURCHASE: &str = "/sales/{sale_id}/purchase/{path}";
/// `GET`: one order.
pub(crate) const ORDER: &str = "/orders/{order_id}";
/// WebSocket: the status of one order.
pub(crate) const WATCH: &str = "/orders/{order_id}/watch";
/// `POST`: pays for one order.
pub(crate) const PAYMENT: &str = "/orders/{order_id}/payment";
/// `POST`: cancels one unpaid order.
pub(crate) const CANCEL: &str = "/orders/{order_id}/cancel";
/// `POST`: the payment provider reports that an authorisation has changed.
pub(crate) const CALLBACK: &str = "/payments/{reference}/callback";
/// `GET`: redirects to the page of a sale.
pub(crate) const SHORT: &str = "/s/{code}";

/// The sale in a URL, whatever else the URL contains.
#[derive(Deserialize)]
pub(crate) struct SalePath {
    pub(crate) sale_id: i64,
}

/// The order in a URL.
#[derive(Deserialize)]
pub(crate) struct OrderPath {
    pub(crate) order_id: OrderId,
}

/// The login. After it, the buyer is sent to this sale, if there is one.
pub(crate) fn session(sale_id: Option<i64>) -> String {
    sale_id.map_or_else(|| SESSION.into(), |sale_id| format!("{SESSION}?sale={sale_id}"))
}

/// Where a buyer asks for the hidden purchase path of a sale.
pub(crate) fn path(sale_id: i64) -> String {
    PATH.replace("{sale_id}", &sale_id.to_string())
}

/// Where a buyer sends the answer to a puzzle.
pub(crate) fn puzzle(sale_id: i64, puzzle: &str) -> String {
    format!("{}?puzzle={puzzle}", path(sale_id))
}

/// The hidden purchase URL of one buyer.
pub(crate) fn purchase(sale_id: i64, path: &str) -> String {
    PURCHASE.replace("{sale_id}", &sale_id.to_string()).replace("{path}", path)
}

/// The sale of a purchase URL; `None` if `path` is another URL.
pub(crate) fn sale_of_purchase(path: &str) -> Option<i64> {
    let (sale_id, _) = path.strip_prefix("/sales/")?.split_once("/purchase/")?;
    sale_id.parse().ok()
}

/// An order's URL from one of the patterns that name only the order.
pub(crate) fn order(pattern: &str, OrderId(id): OrderId) -> String {
    pattern.replace("{order_id}", &id.to_string())
}

/// Where the payment provider reports a change of one authorisation.
pub(crate) fn callback(reference: &str) -> String {
    CALLBACK.replace("{reference}", reference)
}

/// The short address of a sale.
pub(crate) fn short(sale_id: i64) -> String {
    SHORT.replace("{code}", &short_link::code(sale_id))
}

/// The page of a sale.
pub(crate) fn page(sale_id: i64) -> String {
    format!("/?sale={sale_id}")
}

/// A link that is followed with `POST` and needs no input.
pub(crate) fn post(href: &str) -> Value {
    json!({ "method": "POST", "href": href })
}

/// A link that is followed with `POST` and one field of input, which `prompt` asks for.
pub(crate) fn ask(href: &str, name: &str, prompt: &str) -> Value {
    json!({ "method": "POST", "href": href, "ask": [{ "name": name, "prompt": prompt }] })
}
