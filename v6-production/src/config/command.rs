use crate::order_id::MOST_SALES;

/// The operator's commands.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Creates a sale in SQL and in Redis. Repeated, it changes nothing
    Seed(SeedArgs),
    /// Rebuilds Redis from SQL, for one sale or for all. A sale is closed until what is under way has arrived in SQL. Worker
    /// instances do this by themselves when Redis has lost a sale
    Rebuild(Which),
    /// Compares Redis, outbox, queue and SQL, prints the differences, and places reservations that were lost on the way. Worker
    /// instances do this by themselves every few seconds
    Reconcile(Which),
    /// Puts a buyer on the deny list, or takes one off
    Deny(DenyArgs),
    /// Refunds a paid order, and puts its unit on sale again
    Refund(RefundArgs),
}

/// The arguments of `refund`.
#[derive(Debug, Clone, clap::Args)]
pub struct RefundArgs {
    /// The order's number
    pub order: i64,
}

/// The arguments of `rebuild` and `reconcile`.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// A sale's id [default: all sales that closed less than a day ago, are open or open later]
    #[arg(long)]
    pub sale: Option<i64>,
}

/// The arguments of `deny`.
#[derive(Debug, Clone, clap::Args)]
pub struct DenyArgs {
    /// The name that the buyer logs in with
    pub name: String,

    /// Take the buyer off the list
    #[arg(long)]
    pub lift: bool,
}

/// The arguments of `seed`.
#[derive(Debug, Clone, clap::Args)]
pub struct SeedArgs {
    /// The sale's id
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=MOST_SALES))]
    pub sale: i64,

    /// The item's name
    #[arg(long, default_value = "Mechanical keyboard, last year's")]
    pub name: String,

    /// The price of one unit, in cents
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..))]
    pub price_cents: i64,

    /// The stock
    #[arg(long, default_value_t = 100)]
    pub units: u32,

    /// Seconds from now until the sale opens
    #[arg(long, default_value_t = 0)]
    pub from_now: u32,

    /// Seconds the sale stays open
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    pub lasts: u32,
}
