//! The benchmark: chapter 6 as ratios to a shop that does nothing, and to chapter 2's row lock.
//!
//! Two rates that are measured in turns on one machine have a ratio that holds on other machines, too. Read the modules in this order:
//!
//! 1. `no_op`: the shop that does nothing. `load`: prepared requests, in a closed or an open loop.
//! 2. `refusals` and `sales`: what is measured. `layers`: what stands before and behind the shop. `wrk`: the other generator.
//! 3. `cost`: what an order costs. `growth`: what it costs among many. `durability`: what it costs on disk.
//! 4. `sampler`: the samples of a round.
//! 5. `goals`: what has to be reached.

mod cost;
mod durability;
pub mod goals;
pub mod growth;
mod held;
mod layers;
pub mod load;
pub mod no_op;
mod refusals;
pub mod sales;
mod sampler;
pub mod wrk;

use std::time::{Duration, Instant};

use self::{growth::Growth, refusals::SoldOut, sampler::Sampler};
use crate::{
    lab::{Lab, servers::nginx, shop_process::ShopProcess},
    record::bench::{Sample, Samples, Subject},
};

/// The numbers of connections with which everything is measured.
pub const CONNECTIONS: [usize; 2] = [64, 256];
/// The id of the sale.
const SALE: i64 = 1001;
/// Connections of the open loop, enough for requests that wait.
const PACED: usize = 256;
/// The numbers of loads and of buyers in each of them that measure the p99 of selling while many units are held.
const WHILE_HELD: (u32, usize) = (5, 5000);
/// The counts of attempts are forgotten after this time: a frequency window, and a second.
const FREQUENCY_WINDOW: Duration = Duration::from_secs(11);
/// No load takes longer than this, however slow the shop is.
const LONGEST: Duration = Duration::from_secs(30);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rounds, if the time is enough.
    pub rounds: u32,
    /// No further round begins that would end after this time.
    pub longest: Duration,
    /// How long each load of the no-op and of refusals takes, and each of chapters 1 to 5.
    pub lasts: Duration,
    /// Buyers of chapter 6's sales.
    pub buyers: usize,
    /// Buyers of the sales of chapters 1 to 5. Not all of them come to ask.
    pub buyers_of_others: usize,
    /// How long the open loop takes.
    pub paced: Duration,
    /// Attempts that `reserve.lua` decides.
    pub attempts: i64,
    /// Units that are held while the p99 of selling is measured; `None` if that is left out.
    pub held: Option<usize>,
    /// What there is many of after the rounds; `None` if that is left out.
    pub growth: Option<Growth>,
}

impl Size {
    /// Takes at most six minutes.
    pub const FULL: Size = Size {
        rounds: 5,
        longest: Duration::from_secs(300),
        lasts: Duration::from_millis(800),
        buyers: 30_000,
        buyers_of_others: 6000,
        paced: Duration::from_millis(1500),
        attempts: 32_000,
        held: Some(200_000),
        growth: None,
    };

    /// Takes at most a minute.
    pub const QUICK: Size = Size {
        rounds: 1,
        longest: Duration::from_secs(40),
        lasts: Duration::from_millis(600),
        buyers: 6000,
        buyers_of_others: 1500,
        paced: Duration::from_secs(1),
        attempts: 8000,
        held: None,
        growth: None,
    };
}

/// Measures everything. `show` gets each sample.
///
/// # Errors
/// A shop does not start or stops answering, or a server fails.
pub async fn run(lab: &Lab, size: Size, seed: u64, show: impl FnMut(&Sample)) -> anyhow::Result<Samples> {
    let began = Instant::now();
    let log = |name: &str| lab.folder.path().join(name);
    let sold_out = SoldOut::open(lab, nginx::is_installed(), seed).await?;
    let bare = ShopProcess::no_op(&lab.loadtest, true, log("bare.log")).await?;
    let no_op = ShopProcess::no_op(&lab.loadtest, false, log("no-op.log")).await?;
    let mut sampler = Sampler { lab, size, seed, show, round: 0, samples: Vec::new() };
    let mut slowest = Duration::ZERO;
    while sampler.round < size.rounds && (sampler.round == 0 || began.elapsed() + slowest < size.longest) {
        sampler.round += 1;
        let round = Instant::now();
        for connections in CONNECTIONS {
            sampler.nothing(Subject::BareHyper, &bare, &sold_out, connections).await?;
            sampler.nothing(Subject::NoOp, &no_op, &sold_out, connections).await?;
            sampler.by_wrk(&no_op, &sold_out, connections).await?;
            sampler.refusals(&sold_out, connections).await?;
            sampler.sales(connections).await?;
        }
        sampler.paced().await?;
        sampler.layers(&sold_out).await?;
        slowest = slowest.max(round.elapsed());
    }
    sold_out.market.close(lab).await?;
    if let Some(held) = size.held {
        sampler.held(held).await?;
    }
    if let Some(growth) = size.growth {
        sampler.growth(&growth).await?;
    }
    for shop in [bare, no_op] {
        shop.stop().await;
    }
    Ok(Samples { seed, quick: size.held.is_none(), bench: sampler.samples })
}
