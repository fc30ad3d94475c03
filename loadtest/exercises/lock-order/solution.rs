//! The order in which a purchase of several items locks their rows: by id, the same for all buyers.

/// The items of a cart, in the order in which their rows are locked. Each item is locked once.
pub fn lock_order(cart: &[u32]) -> Vec<u32> {
    let mut order = cart.to_vec();
    order.sort_unstable();
    order
}
