use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A full map is searched for expired entries at most this often, in milliseconds.
const SWEEP_MS: i64 = 1000;

/// A map with a limited number of entries, which expire.
///
/// An entry stores when it was made and not when it expires. So a clock that is set back makes entries invalid, instead of valid
/// for too long. All times are in milliseconds.
pub struct Expiring<K, V> {
    good_for_ms: i64,
    capacity: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    /// The time each entry was made, and its value.
    entries: HashMap<K, (i64, V)>,
    swept: i64,
}

/// The map has no room for another entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl<K: Eq + Hash, V> Expiring<K, V> {
    /// An empty map.
    pub fn new(good_for: Duration, capacity: usize) -> Self {
        let inner = Inner { entries: HashMap::new(), swept: 0 };
        Expiring { good_for_ms: good_for.as_millis() as i64, capacity, inner: Mutex::new(inner) }
    }

    /// Calls `change` with the entry's age and value, while the map is locked. If there is no valid entry, a new one is made with
    /// the value `new`.
    ///
    /// # Errors
    /// There is no room for a new entry.
    pub fn entry<R>(&self, now: i64, key: K, new: V, change: impl FnOnce(i64, &mut V) -> R) -> Result<R, Full> {
        let inner = &mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, value)) = inner.entries.get_mut(&key)
            && self.is_good(now, *made)
        {
            return Ok(change(now - *made, value));
        }
        self.make_room(inner, now, &key)?;
        let (_, value) = inner.entries.entry(key).insert_entry((now, new)).into_mut();
        Ok(change(0, value))
    }

    /// Inserts an entry, or replaces the one with this key.
    ///
    /// # Errors
    /// There is no room for a new entry.
    pub fn insert(&self, now: i64, key: K, value: V) -> Result<(), Full> {
        let inner = &mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_room(inner, now, &key)?;
        inner.entries.insert(key, (now, value));
        Ok(())
    }

    /// Removes and returns the entry if it is valid and `wanted`. Of two callers at the same time, one gets it.
    pub fn take(&self, now: i64, key: &K, wanted: impl FnOnce(&V) -> bool) -> Option<V> {
        let inner = &mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, value) = inner.entries.get(key)?;
        if !self.is_good(now, *made) || !wanted(value) {
            return None;
        }
        inner.entries.remove(key).map(|(_, value)| value)
    }

    fn is_good(&self, now: i64, made: i64) -> bool {
        (0..self.good_for_ms).contains(&(now - made))
    }

    fn make_room(&self, inner: &mut Inner<K, V>, now: i64, key: &K) -> Result<(), Full> {
        if inner.entries.len() < self.capacity || inner.entries.contains_key(key) {
            return Ok(());
        }
        if (now - inner.swept).abs() >= SWEEP_MS {
            inner.swept = now;
            inner.entries.retain(|_, (made, _)| self.is_good(now, *made));
        }
        if inner.entries.len() < self.capacity { Ok(()) } else { Err(Full) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Expiring<i32, i32> {
        Expiring::new(Duration::from_secs(10), 2)
    }

    #[test]
    fn an_entry_is_good_for_its_time_and_no_longer() {
        let memory = memory();
        memory.insert(1000, 1, 7).unwrap();
        assert_eq!(memory.take(11_000, &1, |_| true), None);
        assert_eq!(memory.entry(10_999, 1, 8, |age, value| (age, *value)), Ok((9999, 7)));
        assert_eq!(memory.entry(11_000, 1, 8, |age, value| (age, *value)), Ok((0, 8)));
    }

    #[test]
    fn a_clock_set_back_makes_nothing_last() {
        let memory = memory();
        memory.insert(1000, 1, 7).unwrap();
        assert_eq!(memory.take(999, &1, |_| true), None);
        assert_eq!(memory.entry(0, 1, 1, |age, value| (age, *value)), Ok((0, 1)));
    }

    #[test]
    fn an_entry_is_taken_once_and_only_if_wanted() {
        let memory = memory();
        memory.insert(0, 1, 7).unwrap();
        assert_eq!(memory.take(1, &1, |value| *value == 8), None);
        assert_eq!(memory.take(1, &1, |value| *value == 7), Some(7));
        assert_eq!(memory.take(1, &1, |_| true), None);
    }

    #[test]
    fn it_takes_no_more_than_there_is_room_for() {
        let memory = memory();
        memory.insert(5000, 1, 0).unwrap();
        memory.insert(6000, 2, 0).unwrap();
        assert_eq!(memory.insert(6000, 3, 0), Err(Full));
        memory.insert(6000, 2, 1).unwrap(); // this one has its room already
        assert_eq!(memory.entry(15_000, 3, 5, |_, value| *value), Ok(5)); // the first has expired
        assert_eq!(memory.take(15_000, &2, |_| true), Some(1));
    }
}
