//! Kills the worker at every call. There is nothing to change here.

use std::cell::{Cell, RefCell};

use super::exercise::handle;

/// The worker was killed. It does nothing any more.
#[derive(Debug)]
pub struct Killed;

/// When a worker is killed: at the call of this number, before or after its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kill {
    call: usize,
    is_after: bool,
}

/// The database, the queue with one message, and the connection to the buyer.
#[derive(Default)]
pub struct Servers {
    rows: RefCell<Vec<u64>>,
    is_acknowledged: Cell<bool>,
    told: Cell<usize>,
    told_too_early: Cell<bool>,
    calls: Cell<usize>,
    kill: Cell<Option<Kill>>,
}

#[allow(dead_code, reason = "not every worker uses all calls")]
impl Servers {
    /// Stores an order, and commits.
    pub fn insert(&self, order_id: u64) -> Result<(), Killed> {
        self.call(|| self.rows.borrow_mut().push(order_id))
    }

    /// Stores an order unless it is stored, and commits.
    pub fn insert_if_absent(&self, order_id: u64) -> Result<(), Killed> {
        self.call(|| {
            let mut rows = self.rows.borrow_mut();
            if !rows.contains(&order_id) {
                rows.push(order_id);
            }
        })
    }

    /// Takes the message out of the queue.
    pub fn ack(&self, _order_id: u64) -> Result<(), Killed> {
        self.call(|| self.is_acknowledged.set(true))
    }

    /// Tells the buyer that the order is confirmed.
    pub fn tell(&self, order_id: u64) -> Result<(), Killed> {
        self.call(|| {
            self.told.set(self.told.get() + 1);
            if !self.rows.borrow().contains(&order_id) {
                self.told_too_early.set(true);
            }
        })
    }

    fn call(&self, effect: impl FnOnce()) -> Result<(), Killed> {
        let call = self.calls.get() + 1;
        self.calls.set(call);
        let kill = self.kill.get();
        if kill == Some(Kill { call, is_after: false }) {
            return Err(Killed);
        }
        effect();
        if kill == Some(Kill { call, is_after: true }) { Err(Killed) } else { Ok(()) }
    }
}

const ORDER: u64 = 4711;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    let servers = Servers::default();
    let is_done = handle(ORDER, &servers).is_ok();
    judge(&servers, "without a kill")?;
    if !is_done || servers.told.get() == 0 {
        return Err("without a kill: the buyer is not told".into());
    }
    let calls = servers.calls.get();
    for call in 1..=calls {
        for is_after in [false, true] {
            let servers = Servers::default();
            servers.kill.set(Some(Kill { call, is_after }));
            let killed = handle(ORDER, &servers).is_err();
            servers.kill.set(None);
            if killed && !servers.is_acknowledged.get() && handle(ORDER, &servers).is_err() {
                return Err("the second delivery fails".into());
            }
            judge(&servers, &format!("killed {} call {call}", if is_after { "after" } else { "before" }))?;
        }
    }
    Ok(format!("killed before and after each of {calls} calls: one order each time"))
}

fn judge(servers: &Servers, about: &str) -> Result<(), String> {
    let rows = servers.rows.borrow().len();
    if servers.told_too_early.get() {
        return Err(format!("{about}: the buyer is told of an order that is not stored"));
    }
    if rows != 1 {
        return Err(format!("{about}: the message ends as {rows} orders"));
    }
    if !servers.is_acknowledged.get() {
        return Err(format!("{about}: the message is never acknowledged, so it comes again and again"));
    }
    Ok(())
}
