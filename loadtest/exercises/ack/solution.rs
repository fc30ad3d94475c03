//! The worker: commit, then acknowledge, then tell. A message that comes twice changes nothing.

use super::check::{Killed, Servers};

/// Handles the message of this order. The calls are:
///
/// - `servers.insert(order_id)?` stores the order. A second insert of the same order makes a second row.
/// - `servers.insert_if_absent(order_id)?` stores it unless it is there: `insert … on conflict do nothing`.
/// - `servers.ack(order_id)?` takes the message out of the queue.
/// - `servers.tell(order_id)?` tells the buyer that the order is confirmed.
pub fn handle(order_id: u64, servers: &Servers) -> Result<(), Killed> {
    servers.insert_if_absent(order_id)?;
    servers.ack(order_id)?;
    servers.tell(order_id)
}
