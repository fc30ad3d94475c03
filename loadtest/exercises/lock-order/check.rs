//! Plays every interleaving of two and three carts. There is nothing to change here.

use super::exercise::lock_order;

const CARTS: [&[&[u32]]; 5] = [
    &[&[1, 2], &[2, 1]],
    &[&[7], &[7]],
    &[&[3, 1, 2], &[2, 3]],
    &[&[10, 9, 8], &[9, 10, 7]],
    &[&[1, 2], &[2, 3], &[3, 1]],
];

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    for carts in CARTS {
        let orders: Vec<Vec<u32>> = carts.iter().map(|cart| lock_order(cart)).collect();
        for (cart, order) in carts.iter().zip(&orders) {
            let sorted = |items: &[u32]| {
                let mut items = items.to_vec();
                items.sort_unstable();
                items
            };
            if sorted(cart) != sorted(order) {
                return Err(format!("the cart {cart:?} locks {order:?}: each item has to be locked once"));
            }
        }
        if let Some(held) = deadlock(&orders, &mut vec![0; orders.len()]) {
            let buyer = |n: usize| {
                let (held, wanted) = (&orders[n][..held[n]], orders[n].get(held[n]));
                let wanted = wanted.map_or("nothing".into(), u32::to_string);
                format!("{} holds {held:?} and waits for {wanted}", ["A", "B", "C"][n])
            };
            let buyers: Vec<_> = (0..orders.len()).map(buyer).collect();
            return Err(format!("the carts {carts:?} deadlock: {}", buyers.join(", ")));
        }
    }
    Ok(format!("{} groups of carts, every interleaving, no deadlock", CARTS.len()))
}

/// How many locks each buyer holds in a deadlock; `None` if there is none from here on. `held` says how many each holds now.
fn deadlock(orders: &[Vec<u32>], held: &mut [usize]) -> Option<Vec<usize>> {
    let is_done = |held: &[usize], n: usize| held[n] == orders[n].len();
    // A buyer who has all locks commits and releases them.
    let is_locked = |held: &[usize], item: u32| {
        (0..orders.len()).any(|n| !is_done(held, n) && orders[n][..held[n]].contains(&item))
    };
    let waiting: Vec<usize> = (0..orders.len()).filter(|n| !is_done(held, *n)).collect();
    let able: Vec<usize> = waiting.iter().copied().filter(|n| !is_locked(held, orders[*n][held[*n]])).collect();
    if able.is_empty() {
        return (!waiting.is_empty()).then(|| held.to_vec());
    }
    able.into_iter().find_map(|n| {
        held[n] += 1;
        let found = deadlock(orders, held);
        held[n] -= 1;
        found
    })
}
