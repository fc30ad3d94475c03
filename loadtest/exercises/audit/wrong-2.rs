//! Wrong: it counts what buyers were told instead of orders. A buyer whose answer was lost can have a unit, too.

/// What a buyer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// An order's number.
    Yes,
    /// A refusal.
    No,
    /// No answer came: unknown.
    None,
}

/// The database after the sale, and what the buyers were told.
#[derive(Debug, Clone)]
pub struct Sale {
    /// The units that there were.
    pub stock: usize,
    /// The sale's own counter.
    pub sold: usize,
    /// The buyer of each order.
    pub orders: Vec<u32>,
    /// Each buyer, and the answer.
    pub told: Vec<(u32, Answer)>,
}

/// What is wrong; all zero if nothing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings {
    /// Orders above the stock.
    pub oversold: usize,
    /// Units that are left although buyers were refused, at most one for each of these.
    pub undersold: usize,
    /// Buyers who were told yes and have no order.
    pub lost: usize,
    /// Buyers who were refused and have an order.
    pub phantom: usize,
}

/// Compares what buyers were told with what the database holds.
pub fn audit(sale: &Sale) -> Findings {
    let told_yes = sale.told.iter().filter(|(_, answer)| *answer == Answer::Yes).count();
    let refused = sale.told.iter().filter(|(_, answer)| *answer == Answer::No).count();
    let count = |wanted: Answer, has_order: bool| {
        let matches = |(buyer, answer): &&(u32, Answer)| *answer == wanted && sale.orders.contains(buyer) == has_order;
        sale.told.iter().filter(matches).count()
    };
    Findings {
        oversold: told_yes.saturating_sub(sale.stock),
        undersold: sale.stock.saturating_sub(told_yes).min(refused),
        lost: count(Answer::Yes, false),
        phantom: count(Answer::No, true),
    }
}
