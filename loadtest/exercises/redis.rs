//! A Redis in memory, for the checks. Each call is atomic. *Between* two calls, other requests may run. There is nothing to change here.

#![allow(dead_code, reason = "each check uses its own part")]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

/// The keys and their numbers. A key that does not exist is 0.
pub type Keys = BTreeMap<String, i64>;

/// A request that runs between two calls of another one.
type Request<'a> = Box<dyn FnOnce(&Redis<'a>) + 'a>;

/// The store.
#[derive(Default)]
pub struct Redis<'a> {
    keys: RefCell<Keys>,
    calls: Cell<usize>,
    between: RefCell<Option<(usize, Request<'a>)>>,
}

impl<'a> Redis<'a> {
    /// `GET`: the number at a key.
    pub fn get(&self, key: &str) -> i64 {
        self.script(|keys| keys.get(key).copied().unwrap_or_default())
    }

    /// `SET`: writes a number.
    pub fn set(&self, key: &str, value: i64) {
        self.script(|keys| keys.insert(key.into(), value));
    }

    /// `INCRBY`: adds to the number and returns the sum. `DECR` adds -1.
    pub fn incr_by(&self, key: &str, n: i64) -> i64 {
        self.script(|keys| {
            let value = keys.entry(key.into()).or_default();
            *value += n;
            *value
        })
    }

    /// `EVAL`: runs a script, in which no other request can interfere.
    pub fn script<T>(&self, script: impl FnOnce(&mut Keys) -> T) -> T {
        let result = script(&mut self.keys.borrow_mut());
        self.calls.set(self.calls.get() + 1);
        let is_due = self.between.borrow().as_ref().is_some_and(|(after, _)| *after == self.calls.get());
        if is_due && let Some((_, request)) = self.between.take() {
            request(self);
        }
        result
    }

    /// For the check: after this many calls from now on, this request runs as a whole.
    pub fn run_after(&self, calls: usize, request: impl FnOnce(&Redis<'a>) + 'a) {
        self.between.replace(Some((self.calls.get() + calls, Box::new(request))));
    }

    /// For the check: forgets the request that has not run. True if there was one.
    pub fn forget_request(&self) -> bool {
        self.between.take().is_some()
    }
}
