//! Links: the route pattern of every address that an answer points to, and the function that fills it in.

use std::fmt::Display;

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

/// Replaces the first `{name}` of a pattern.
fn fill(pattern: &str, value: impl Display) -> String {
    let ends = pattern.split_once('{').zip(pattern.split_once('}'));
    ends.map_or_else(|| pattern.into(), |((before, _), (_, after))| format!("{before}{value}{after}"))
}

/// The login. After it, the buyer is sent to this sale, if there is one.
pub(crate) fn session(sale_id: Option<i64>) -> String {
    sale_id.map_or_else(|| SESSION.into(), |sale_id| format!("{SESSION}?sale={sale_id}"))
}

/// Where a buyer asks for the hidden purchase path of a sale.
pub(crate) fn path(sale_id: i64) -> String {
    fill(PATH, sale_id)
}

/// Where a buyer sends the answer to a puzzle.
pub(crate) fn puzzle(sale_id: i64, puzzle: &str) -> String {
    format!("{}?puzzle={puzzle}", path(sale_id))
}

/// The hidden purchase URL of one buyer.
pub(crate) fn purchase(sale_id: i64, path: &str) -> String {
    fill(&fill(PURCHASE, sale_id), path)
}

/// The sale, and the route pattern, of a URL that leads to a unit: [`PATH`] or [`PURCHASE`]. `None` if `path` is another URL.
pub(crate) fn way_to_unit(path: &str) -> Option<(i64, &'static str)> {
    let (sale_id, step) = path.strip_prefix("/sales/")?.split_once('/')?;
    let route = match step {
        "path" => PATH,
        step if step.starts_with("purchase/") => PURCHASE,
        _ => return None,
    };
    Some((sale_id.parse().ok()?, route))
}

/// An order's URL from one of the patterns that name only the order.
pub(crate) fn order(pattern: &str, OrderId(id): OrderId) -> String {
    fill(pattern, id)
}

/// Where the payment provider reports a change of one authorisation.
pub(crate) fn callback(reference: &str) -> String {
    fill(CALLBACK, reference)
}

/// The short address of a sale.
pub(crate) fn short(sale_id: i64) -> String {
    fill(SHORT, short_link::code(sale_id))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_where_its_pattern_says() {
        assert_eq!(path(7), "/sales/7/path");
        assert_eq!(purchase(7, "0a"), "/sales/7/purchase/0a");
        assert_eq!(order(WATCH, OrderId(9)), "/orders/9/watch");
        assert_eq!(callback("r"), "/payments/r/callback");
    }

    #[test]
    fn two_steps_lead_to_a_unit() {
        assert_eq!(way_to_unit(&path(7)), Some((7, PATH)));
        assert_eq!(way_to_unit(&purchase(7, "0a")), Some((7, PURCHASE)));
        for other in
            ["/sales/7", "/sales/x/path", "/sales/7/paths", "/sales/7/purchase", "/sales//path", "/orders/7/path"]
        {
            assert_eq!(way_to_unit(other), None, "{other}");
        }
    }
}
