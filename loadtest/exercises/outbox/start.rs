//! A reservation, and how its order gets into the queue.

use super::check::{Killed, Servers};

/// Reserves a unit for this order. True if there is one. The calls are:
///
/// - `servers.take_unit()?` takes a unit; false if none is left.
/// - `servers.add_entry(order_id)?` writes an outbox entry.
/// - `servers.take_unit_with_entry(order_id)?` does both in one script; false if no unit is left.
/// - `servers.publish(order_id)?` sends the order to the queue.
pub fn reserve(order_id: u64, servers: &Servers) -> Result<bool, Killed> {
    if !servers.take_unit()? {
        return Ok(false);
    }
    servers.publish(order_id)?;
    Ok(true)
}

/// Runs again and again, also after a restart. The calls are:
///
/// - `servers.outbox()?` reads the orders in the outbox.
/// - `servers.publish(order_id)?` sends an order to the queue.
/// - `servers.remove_entry(order_id)?` removes an outbox entry.
pub fn relay(servers: &Servers) -> Result<(), Killed> {
    let _ = servers;
    Ok(())
}
