//! Equivalence classes of interleavings. Two interleavings are equivalent if one becomes the other by swapping neighbouring steps
//! that do not conflict. Such a class is a Mazurkiewicz trace: a partial order of the steps, in which conflicting ones are ordered.
//!
//! Every order that respects this partial order is an interleaving of the class. So their number follows without playing them.

use std::collections::HashMap;

use super::footprint::Footprint;

/// A class of interleavings, from any one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Trace {
    /// Each buyer's steps, in their order.
    buyers: Vec<Vec<Step>>,
}

/// A step of a class.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Step {
    /// For example `A select`.
    name: String,
    /// How many steps of each buyer have to come before it.
    after: Vec<usize>,
}

impl Trace {
    /// The class of an interleaving: its steps, for example `A select`, and what each of them touches.
    pub(crate) fn of(order: &[String], footprints: &[Footprint]) -> Trace {
        let owners: Vec<usize> = footprints.iter().map(Footprint::buyer).collect();
        let count = owners.iter().max().map_or(0, |most| most + 1);
        let mut buyers = vec![Vec::new(); count];
        for (n, (name, footprint)) in order.iter().zip(footprints).enumerate() {
            let mut after = vec![0; count];
            let mut passed = vec![0; count];
            for (earlier, owner) in footprints[..n].iter().zip(&owners) {
                passed[*owner] += 1;
                if earlier.conflicts(footprint) {
                    after[*owner] = passed[*owner];
                }
            }
            buyers[owners[n]].push(Step { name: name.clone(), after });
        }
        Trace { buyers }
    }

    /// The number of its interleavings; at most `u64::MAX`.
    pub fn interleavings(&self) -> u64 {
        self.beginning_with(&[])
    }

    /// The number of its interleavings that begin with these steps; 0 if none does.
    pub fn beginning_with(&self, steps: &[String]) -> u64 {
        self.after(steps).map_or(0, |mut at| self.count(&mut at, &mut HashMap::new()))
    }

    /// The steps that can follow these ones; none if no interleaving of the class begins with them.
    pub(crate) fn next_after(&self, steps: &[String]) -> Vec<&str> {
        let at = self.after(steps).unwrap_or_default();
        let name = |buyer: usize| self.buyers[buyer][at[buyer]].name.as_str();
        self.next(&at).into_iter().map(name).collect()
    }

    /// How many steps of each buyer these are; `None` if no interleaving of the class begins with them.
    fn after(&self, steps: &[String]) -> Option<Vec<usize>> {
        let mut at = vec![0; self.buyers.len()];
        for name in steps {
            let is_it = |buyer: &usize| self.buyers[*buyer][at[*buyer]].name == *name;
            let buyer = self.next(&at).into_iter().find(is_it)?;
            at[buyer] += 1;
        }
        Some(at)
    }

    /// The first of its interleavings, in the order of the buyers' letters. Two classes never have the same one.
    pub(crate) fn first(&self) -> Vec<&str> {
        let (mut at, mut names) = (vec![0; self.buyers.len()], Vec::new());
        while let Some(&buyer) = self.next(&at).first() {
            names.push(self.buyers[buyer][at[buyer]].name.as_str());
            at[buyer] += 1;
        }
        names
    }

    /// The buyers who can be next after so many steps of each.
    fn next(&self, at: &[usize]) -> Vec<usize> {
        let is_next = |buyer: &usize| {
            let step = at.get(*buyer).and_then(|at| self.buyers[*buyer].get(*at));
            step.is_some_and(|step| step.after.iter().zip(at).all(|(after, at)| after <= at))
        };
        (0..self.buyers.len()).filter(is_next).collect()
    }

    /// The number of orders of the steps that are left, which is the number of linear extensions of their partial order.
    fn count(&self, at: &mut Vec<usize>, known: &mut HashMap<Vec<usize>, u64>) -> u64 {
        if let Some(count) = known.get(at) {
            return *count;
        }
        let next = self.next(at);
        let mut count = u64::from(next.is_empty());
        for buyer in next {
            at[buyer] += 1;
            count = count.saturating_add(self.count(at, known));
            at[buyer] -= 1;
        }
        known.insert(at.clone(), count);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interleave::footprint::{Access, Key, Mode, Row};

    /// The class of steps such as `A r1` (reads row 1), `B w1` (writes it) or `A -` (touches nothing).
    fn trace(text: &str) -> (Trace, Vec<String>) {
        let order: Vec<String> = text.split(" · ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let footprint = |name: &String| {
            let (buyer, what) = name.split_once(' ').unwrap();
            let mode = if what.starts_with('r') { Mode::Read } else { Mode::Write };
            let row = what[1..].parse().ok().map(|id| Row { table: Some("sales".into()), key: Key::Id(id) });
            let accesses = row.map(|row| Access { row, mode }).into_iter().collect();
            Footprint { buyers: vec![usize::from(buyer == "B")], accesses, anything: false }
        };
        let footprints: Vec<_> = order.iter().map(footprint).collect();
        (Trace::of(&order, &footprints), order)
    }

    fn class(text: &str) -> Trace {
        trace(text).0
    }

    #[test]
    fn a_class_has_the_orders_that_keep_conflicting_steps_in_order() {
        assert_eq!(class("A r1 · B r1").interleavings(), 2);
        assert_eq!(class("A r1 · B w1").interleavings(), 1);
        assert_eq!(class("A w1 · B w2").interleavings(), 2);
        assert_eq!(class("A - · A - · B - · B -").interleavings(), 6);
        // B's read is after A's write, so only A's last step can move: after, between or before B's two.
        assert_eq!(class("A w1 · B r1 · B - · A -").interleavings(), 3);
        assert_eq!(class("").interleavings(), 1);
    }

    #[test]
    fn equivalent_interleavings_have_the_same_class_and_others_do_not() {
        let [one, swapped, other] =
            ["A r1 · B r1 · A w1 · B w1", "B r1 · A r1 · A w1 · B w1", "A r1 · A w1 · B r1 · B w1"];
        assert_eq!((class(one), class(one).first()), (class(swapped), class(swapped).first()));
        assert_ne!(class(one).first(), class(other).first());
        assert_eq!(class(swapped).first(), one.split(" · ").collect::<Vec<_>>());
    }

    #[test]
    fn a_prefix_divides_a_class() {
        let (class, order) = trace("A w1 · B r1 · B - · A x9");
        let prefix = |text: &str| class.beginning_with(&text.split(" · ").map(str::to_owned).collect::<Vec<_>>());
        assert_eq!((prefix("A w1"), prefix("A w1 · A x9"), prefix("A w1 · B r1")), (3, 1, 2));
        assert_eq!(class.beginning_with(&order), 1);
        assert_eq!((prefix("B r1"), prefix("A r1"), prefix("A w1 · A x9 · B r1 · B - · B -")), (0, 0, 0));
    }

    #[test]
    fn a_class_with_too_many_interleavings_is_counted_to_the_end_of_the_number() {
        let many = ["A -"; 60].into_iter().chain(["B -"; 60]).collect::<Vec<_>>().join(" · ");
        assert_eq!(class(&many).interleavings(), u64::MAX);
    }
}
