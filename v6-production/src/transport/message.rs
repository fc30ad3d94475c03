use anyhow::{Context, ensure};
use lapin::{BasicProperties, message::Delivery, types::ShortString};
use serde::{Deserialize, Serialize};

use crate::order_id::OrderId;

/// The kind of message that relays publish: reservations as JSON, in format 1. A message without a kind, of an older relay, is of
/// this kind.
///
/// During a deployment two versions run side by side. A change of the content of a reservation needs a higher format number. Older
/// workers set such messages aside for newer ones.
const RESERVATIONS: &str = "reservations/1";
/// The prefix of the kinds of all formats.
const LATER: &str = "reservations/";
/// The kind of a mark: a message without content. When a worker receives it, all messages before it have been delivered.
const MARK: &str = "mark";

/// A reservation: a unit that is held for a buyer, before it is an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The id of the future order. It contains the sale.
    pub order_id: OrderId,
    /// The buyer.
    pub buyer_id: i64,
    /// When the unit was reserved, in milliseconds since 1970 by Redis's clock.
    pub reserved_at: i64,
    /// The id of the purchase path.
    pub path: i64,
    /// The request id. A repetition of the request is answered with this order.
    pub request: i64,
}

/// A message, to be published or as it was received.
pub(crate) struct Message {
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

/// The content of a message.
pub(crate) enum Content {
    /// Reservations that are to become orders.
    Reservations(Vec<Reservation>),
    /// A mark: all messages before it have been delivered.
    Mark(String),
    /// A later format, which only newer versions can read; its kind.
    Later(String),
}

impl Message {
    /// A message with these reservations.
    pub(crate) fn reservations(reservations: &[Reservation]) -> anyhow::Result<Message> {
        Ok(Message { properties: of_kind(RESERVATIONS), body: serde_json::to_vec(reservations)? })
    }

    /// A mark with this name. An older worker reads it as an empty list.
    pub(crate) fn mark(name: &str) -> Message {
        Message { properties: of_kind(MARK).with_message_id(name.into()), body: b"[]".to_vec() }
    }

    /// A message with any content, for an operator.
    pub(crate) fn raw(body: Vec<u8>) -> Message {
        Message { properties: BasicProperties::default(), body }
    }
}

impl From<&Delivery> for Message {
    fn from(delivery: &Delivery) -> Message {
        Message { properties: delivery.properties.clone(), body: delivery.data.clone() }
    }
}

fn of_kind(kind: &str) -> BasicProperties {
    BasicProperties::default().with_content_type("application/json".into()).with_type(kind.into())
}

/// Reads a message.
///
/// # Errors
/// Its kind is unknown, or its content does not fit its kind.
pub(crate) fn read(properties: &BasicProperties, body: &[u8]) -> anyhow::Result<Content> {
    let kind = properties.kind().as_ref().map_or(RESERVATIONS, ShortString::as_str);
    if kind == MARK {
        let name = properties.message_id().as_ref().map(ToString::to_string);
        return Ok(Content::Mark(name.unwrap_or_default()));
    }
    if kind != RESERVATIONS {
        ensure!(kind.starts_with(LATER), "a message of kind {kind}");
        return Ok(Content::Later(kind.into()));
    }
    let reservations: Vec<Reservation> = serde_json::from_slice(body).context("no list of reservations")?;
    ensure!(reservations.iter().all(|one| one.order_id.0 > 0 && one.buyer_id > 0), "numbers that are none");
    Ok(Content::Reservations(reservations))
}
