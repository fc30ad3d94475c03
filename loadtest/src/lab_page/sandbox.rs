//! The third tab: a sale of chapter 6, whose servers and instances a reader kills, silences and brings back.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::sleep,
};

use super::{Page, Shown, rows::Rows};
use crate::{
    buyer::progress::Progress,
    fault::by_hand::{ByHand, Health, PARTS, Part},
    lab::{
        Lab,
        servers::{Server, Services},
    },
    scenario::plan::Plan,
    version::Version,
};

/// Units of the sale: more than are sold while a reader watches.
const STOCK: i64 = 15_000;
/// How long the sale goes on before it is ended.
const LONGEST: Duration = Duration::from_secs(600);
/// The time between two pictures.
const EVERY: Duration = Duration::from_millis(200);
/// The servers that chapter 6 uses.
const SERVERS: [Server; 4] = Server::OF_SHOPS;

/// What a browser asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do", deny_unknown_fields)]
pub(super) enum Order {
    /// The sale begins.
    Begin {},
    /// A part is struck, or brought back.
    Turn { part: Part, to: Health },
    /// The sale ends, and is audited.
    End {},
}

/// The sale of the third tab.
pub(super) struct Sandbox {
    pub(super) shown: Shown,
    orders: mpsc::UnboundedSender<Order>,
    ordered: AsyncMutex<mpsc::UnboundedReceiver<Order>>,
    /// Whether a sale is going on.
    sells: AtomicBool,
}

impl Default for Sandbox {
    fn default() -> Sandbox {
        let (orders, ordered) = mpsc::unbounded_channel();
        let shown = watch::Sender::new(json!({ "phase": "idle" }));
        Sandbox { shown, orders, ordered: ordered.into(), sells: false.into() }
    }
}

impl Sandbox {
    /// Whether a sale is going on.
    pub(super) fn sells(&self) -> bool {
        self.sells.load(Relaxed)
    }

    /// Does this after what was asked for before.
    ///
    /// # Errors
    /// The sale has begun already, or not yet.
    pub(super) fn order(&self, order: Order) -> anyhow::Result<()> {
        match order {
            Order::Begin {} => ensure!(!self.sells.swap(true, Relaxed), "a sale is going on"),
            Order::Turn { .. } | Order::End {} => ensure!(self.sells(), "no sale is going on"),
        }
        self.orders.send(order).context("the lab has ended")
    }

    /// Plays one sale after the other. The servers stay up between them.
    pub(super) async fn work(&self, page: &Page) {
        let mut ordered = self.ordered.lock().await;
        let mut servers = None;
        while let Some(order) = ordered.recv().await {
            if order != (Order::Begin {}) {
                continue; // the sale has ended meanwhile
            }
            let played = self.sale(page, &mut servers, &mut ordered).await;
            match played {
                Ok(audit) => self.change(json!({ "phase": "done", "audit": audit })),
                Err(why) => {
                    servers = None; // they may be in any state
                    self.change(json!({ "phase": "failed", "why": format!("{why:#}") }));
                }
            }
            self.sells.store(false, Relaxed);
        }
    }

    async fn sale(
        &self,
        page: &Page,
        servers: &mut Option<(Arc<Mutex<Services>>, Lab)>,
        ordered: &mut mpsc::UnboundedReceiver<Order>,
    ) -> anyhow::Result<Value> {
        self.shown.send_replace(json!({ "phase": "starting", "says": "PostgreSQL, Redis and RabbitMQ are starting" }));
        if servers.is_none() {
            *servers = Some(start(page).await?);
        }
        let (services, lab) = servers.as_ref().context("there are no servers")?;
        self.shown.send_replace(json!({ "phase": "starting", "says": "two instances of the shop are starting" }));
        let plan = Plan { stock: STOCK, instances: 2, ..Plan::stampede(Version::V6, None) };
        let progress = Progress::default();
        let sale = ByHand::begin(lab, services.clone(), &plan, progress.clone()).await?;
        let rows = Arc::new(Rows::default());
        let mut reading = JoinSet::new();
        reading.spawn(rows.clone().read(progress.clone()));
        self.shown.send_replace(json!({ "phase": "selling", "stock": STOCK, "log": [], "parts": parts(&sale) }));
        let queued = sale.queued();
        tokio::select! {
            audit = self.steps(page, lab, sale, &progress, ordered) => audit,
            () = self.show(&progress, &queued, &rows) => unreachable!("it shows until the sale is over"),
        }
    }

    /// Does what the reader orders, until the sale ends; then audits it.
    async fn steps(
        &self,
        page: &Page,
        lab: &Lab,
        mut sale: ByHand,
        progress: &Progress,
        ordered: &mut mpsc::UnboundedReceiver<Order>,
    ) -> anyhow::Result<Value> {
        let mut over = Box::pin(async {
            tokio::select! {
                () = sleep(LONGEST) => "The sale has lasted long enough.",
                () = page.unwatched() => "No browser watches any more.",
            }
        });
        let why = loop {
            let order = tokio::select! {
                order = ordered.recv() => order,
                why = &mut over => break why,
            };
            match order {
                Some(Order::Turn { part, to }) => {
                    self.change(json!({ "turning": part }));
                    let (from, ms) = (sale.health(part), since(progress));
                    let error = sale.turn(part, to).await.err().map(|why| format!("{why:#}"));
                    self.log(json!({ "ms": ms, "part": part, "from": from, "to": to, "error": error }));
                    self.change(json!({ "turning": null, "parts": parts(&sale) }));
                }
                Some(Order::Begin {}) => {}
                Some(Order::End {}) | None => break "You have ended the sale.",
            }
        };
        self.change(json!({ "phase": "ending", "says": why }));
        let audit = sale.conclude(lab).await?;
        Ok(json!({ "is_sound": audit.is_sound() && audit.not_conserved == 0, "found": audit }))
    }

    /// Shows the sale's numbers again and again.
    async fn show(&self, progress: &Progress, queued: &AtomicUsize, rows: &Rows) {
        loop {
            let told: Vec<_> = progress.tally.kinds().into_iter().map(|(kind, count)| json!([kind, count])).collect();
            self.change(json!({
                "ms": since(progress),
                "yes": progress.yes.load(Relaxed),
                "waiting": queued.load(Relaxed),
                "orders": rows.orders(),
                "told": told,
            }));
            sleep(EVERY).await;
        }
    }

    fn change(&self, fields: Value) {
        self.shown.send_modify(|shown| {
            if let (Value::Object(shown), Value::Object(fields)) = (shown, fields) {
                shown.extend(fields);
            }
        });
    }

    fn log(&self, entry: Value) {
        self.shown.send_modify(|shown| {
            if let Some(log) = shown["log"].as_array_mut() {
                log.push(entry);
            }
        });
    }
}

/// Starts servers of its own, which can be killed without harm to the other tabs.
async fn start(page: &Page) -> anyhow::Result<(Arc<Mutex<Services>>, Lab)> {
    if let Some(missing) = SERVERS.into_iter().find_map(Server::missing) {
        anyhow::bail!(missing);
    }
    let program = page.labs.program.clone();
    let services = spawn_blocking(move || Services::start(&program, &SERVERS)).await??;
    let lab = Lab::on(page.labs.program.clone(), &services).await?;
    let services = Arc::new(Mutex::new(services));
    Ok((services, lab))
}

fn parts(sale: &ByHand) -> Value {
    PARTS.iter().map(|&part| json!({ "part": part, "is": sale.health(part) })).collect()
}

/// Milliseconds since the first buyer could come.
fn since(progress: &Progress) -> Option<u64> {
    progress.began_at().map(|began| began.elapsed().as_millis() as u64)
}
