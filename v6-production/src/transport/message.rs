use anyhow::{Context, ensure};
use lapin::{BasicProperties, message::Delivery, types::ShortString};
use serde::{Deserialize, Serialize};

use crate::order_id::OrderId;

/// What the messages are that relays write: reservations as JSON, in format 1. Older relays name no kind and mean this one.
///
/// Two versions run side by side while the instances change places. Whoever changes what a reservation says, counts this up; older
/// workers set such messages aside for newer ones.
const RESERVATIONS: &str = "reservations/1";
/// What all later formats begin with.
const LATER: &str = "reservations/";
/// A message that says nothing: whoever gets it back knows that a worker has come so far.
const MARK: &str = "mark";

/// A unit that a buyer holds, on its way to become an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The id that the order will have; it says which sale.
    pub order_id: OrderId,
    /// Whose.
    pub buyer_id: i64,
    /// When, in milliseconds since 1970 by Redis's clock.
    pub reserved_at: i64,
    /// The address it was bought at.
    pub path: i64,
    /// The request that made it: the same one again is answered with this order.
    pub request: i64,
}

/// A message, before it is sent or as it came.
pub(crate) struct Message {
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

/// What a message says.
pub(crate) enum Content {
    /// These are to become orders.
    Reservations(Vec<Reservation>),
    /// All messages before this one have been handed out.
    Mark(String),
    /// A newer version knows.
    Later(String),
}

impl Message {
    /// These reservations, for the workers.
    pub(crate) fn reservations(reservations: &[Reservation]) -> anyhow::Result<Message> {
        Ok(Message { properties: of_kind(RESERVATIONS), body: serde_json::to_vec(reservations)? })
    }

    /// A mark by this name. To an older worker it is an empty list.
    pub(crate) fn mark(name: &str) -> Message {
        Message { properties: of_kind(MARK).with_message_id(name.into()), body: b"[]".to_vec() }
    }

    /// Anything, for a person to look at.
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
/// It is of no kind that there is, or not what its kind says.
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
