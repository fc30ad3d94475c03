//! Kills the process at every call. There is nothing to change here.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use super::exercise::{relay, reserve};

/// The process was killed. It does nothing any more.
#[derive(Debug)]
pub struct Killed;

/// When a process is killed: at the call of this number, before or after its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kill {
    call: usize,
    is_after: bool,
}

/// Redis and the queue.
pub struct Servers {
    stock: Cell<usize>,
    outbox: RefCell<Vec<u64>>,
    published: RefCell<BTreeSet<u64>>,
    calls: Cell<usize>,
    kill: Cell<Option<Kill>>,
}

#[allow(dead_code, reason = "not every reservation uses all calls")]
impl Servers {
    /// Takes a unit; false if none is left.
    pub fn take_unit(&self) -> Result<bool, Killed> {
        self.call(|| self.take())
    }

    /// Writes an outbox entry.
    pub fn add_entry(&self, order_id: u64) -> Result<(), Killed> {
        self.call(|| self.outbox.borrow_mut().push(order_id))
    }

    /// Takes a unit and writes an outbox entry, in one script; false if no unit is left.
    pub fn take_unit_with_entry(&self, order_id: u64) -> Result<bool, Killed> {
        self.call(|| {
            let has_one = self.take();
            if has_one {
                self.outbox.borrow_mut().push(order_id);
            }
            has_one
        })
    }

    /// The orders in the outbox.
    pub fn outbox(&self) -> Result<Vec<u64>, Killed> {
        self.call(|| self.outbox.borrow().clone())
    }

    /// Sends an order to the queue.
    pub fn publish(&self, order_id: u64) -> Result<(), Killed> {
        self.call(|| {
            self.published.borrow_mut().insert(order_id);
        })
    }

    /// Removes an outbox entry.
    pub fn remove_entry(&self, order_id: u64) -> Result<(), Killed> {
        self.call(|| self.outbox.borrow_mut().retain(|other| *other != order_id))
    }

    fn take(&self) -> bool {
        let stock = self.stock.get();
        self.stock.set(stock.saturating_sub(1));
        stock > 0
    }

    fn call<T>(&self, effect: impl FnOnce() -> T) -> Result<T, Killed> {
        let call = self.calls.get() + 1;
        self.calls.set(call);
        let kill = self.kill.get();
        if kill == Some(Kill { call, is_after: false }) {
            return Err(Killed);
        }
        let result = effect();
        if kill == Some(Kill { call, is_after: true }) { Err(Killed) } else { Ok(result) }
    }
}

const UNITS: usize = 2;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    let calls = play(None)?;
    for call in 1..=calls {
        for is_after in [false, true] {
            play(Some(Kill { call, is_after }))?;
        }
    }
    Ok(format!("killed before and after each of {calls} calls: as many orders published as units taken"))
}

/// Three buyers for two units, then the relay. A process that is killed starts again, without its request. Returns the number of
/// calls.
fn play(kill: Option<Kill>) -> Result<usize, String> {
    let servers = Servers {
        stock: Cell::new(UNITS),
        outbox: RefCell::default(),
        published: RefCell::default(),
        calls: Cell::new(0),
        kill: Cell::new(kill),
    };
    let about = kill.map_or("without a kill".into(), |Kill { call, is_after }| {
        format!("killed {} call {call}", if is_after { "after" } else { "before" })
    });
    let told: Vec<Option<bool>> = (1..=3).map(|order_id| reserve(order_id, &servers).ok()).collect();
    let _ = relay(&servers);
    let calls = servers.calls.get();
    servers.kill.set(None);
    relay(&servers).map_err(|_| "the relay is killed without a kill")?;
    let (taken, published) = (UNITS - servers.stock.get(), servers.published.borrow());
    if published.len() < taken {
        return Err(format!(
            "{about}: {taken} taken from the stock, orders published: {}; a unit is lost",
            published.len()
        ));
    }
    if published.len() > taken {
        return Err(format!(
            "{about}: {taken} taken from the stock, orders published: {}; one has no unit",
            published.len()
        ));
    }
    for (order_id, told) in (1..).zip(&told) {
        if *told == Some(true) && !published.contains(&order_id) {
            return Err(format!("{about}: the buyer of order {order_id} was told yes, and it is not published"));
        }
    }
    if !servers.outbox.borrow().is_empty() {
        return Err(format!("{about}: the outbox is never emptied"));
    }
    if taken < UNITS {
        return Err(format!("{about}: {taken} of {UNITS} units taken by three buyers"));
    }
    Ok(calls)
}
