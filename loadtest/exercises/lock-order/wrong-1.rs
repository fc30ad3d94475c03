//! Wrong: it locks the item with the smallest id first, and the others as they were clicked. Carts that have different smallest items
//! still meet in different orders.

/// The items of a cart, in the order in which their rows are locked. Each item is locked once.
pub fn lock_order(cart: &[u32]) -> Vec<u32> {
    let mut order = cart.to_vec();
    if let Some(smallest) = (0..order.len()).min_by_key(|n| order[*n]) {
        let first = order.remove(smallest);
        order.insert(0, first);
    }
    order
}
