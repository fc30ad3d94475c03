//! Plays an exhibit, with the mistake or with the fix, and says what the audit found.

use anyhow::{Context, bail};
use tokio::task::spawn_blocking;
use url::Url;

use super::exhibit::{Exhibit, Finding, Form, Play};
use crate::{
    interleave::{
        explain::explain,
        scheduler::{Scheduler, Subject},
        search::search,
    },
    lab::{
        Lab,
        servers::{Server, Services},
    },
    record::Run,
    render::{picture, text::thousands},
    scenario::plan::Plan,
    verdict::{audit::Audit, evidence::Evidence},
};

/// The most interleavings to play. Two buyers of a chapter have fewer.
const MOST: usize = 1000;
/// How often a scenario is played at most, until a run is valid.
const PLAYS: usize = 3;

/// What an exhibit with steps of its own has to work with.
pub struct Kit<'a> {
    /// A lab on SQLite, or on PostgreSQL if the exhibit needs it.
    pub lab: &'a Lab,
    services: Option<Services>,
}

impl Kit<'_> {
    /// The URL of a server.
    ///
    /// # Errors
    /// The exhibit does not list this server.
    pub fn url(&self, server: Server) -> anyhow::Result<&Url> {
        let url = self.services.as_ref().and_then(|services| services.url(server));
        url.with_context(|| format!("{server} is not one of the exhibit's servers"))
    }
}

/// What a play showed.
pub struct Seen {
    /// What happened, with the findings of the audit, in one line.
    pub line: String,
    /// The lanes of an interleaving, with an explanation below; `None` if there are none.
    pub picture: Option<String>,
    findings: Vec<String>,
}

impl Seen {
    /// The audit of a sale with this stock.
    pub(super) fn audited(stock: i64, audit: &Audit) -> Seen {
        let findings = Evidence::of(audit).findings();
        let found = if findings.is_empty() { "nothing is wrong".to_owned() } else { findings.join(", ") };
        let [stock, orders, sold] = [stock, audit.orders, audit.sold].map(thousands);
        let line = format!("stock {stock}, orders {orders}, `sold` says {sold}: {found}");
        Seen { line, picture: None, findings }
    }

    /// A figure of the attack's own.
    pub(super) fn figure(line: String, holds: bool) -> Seen {
        let findings = if holds { Vec::new() } else { vec![Finding::Figure.word().to_owned()] };
        Seen { line, picture: None, findings }
    }

    /// The same with more to say.
    pub(super) fn and(self, more: &str) -> Seen {
        Seen { line: format!("{}; {more}", self.line), ..self }
    }

    /// A run, with what is wrong instead of what the table of versions promises. Its figure stands in the line already.
    fn of_run(run: &Run) -> Seen {
        let findings = run.evidence().findings();
        let counted: Vec<_> =
            findings.iter().map(String::as_str).filter(|found| *found != Finding::Figure.word()).collect();
        let found = match counted.is_empty() {
            true if findings.is_empty() => ": nothing is wrong".into(),
            true => String::new(),
            false => format!(": {}", counted.join(", ")),
        };
        Seen { line: run.figures() + &found, picture: None, findings }
    }

    /// Whether the audit has found this.
    pub fn broke(&self, finding: Finding) -> bool {
        self.findings.iter().any(|found| found.ends_with(finding.word()))
    }

    /// Whether the audit has found nothing.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// The findings in a word or two each: `1 oversold, 1 unconserved`.
    pub fn catch(&self) -> String {
        self.findings.join(", ")
    }
}

impl Exhibit {
    /// Why it cannot be played here, and what installs what is missing; `None` if it can.
    pub fn missing(&self) -> Option<String> {
        self.servers.iter().find_map(|server| server.missing())
    }

    /// The lab's database, as `--database` takes it. Lanes are drawn from PostgreSQL's statements.
    pub fn database(&self) -> &'static str {
        let can_draw = self.has_lanes() && Server::Postgres.is_installed();
        if can_draw || self.servers.contains(&Server::Postgres) { "postgres" } else { "sqlite" }
    }

    /// Whether it has lanes to draw on PostgreSQL.
    pub fn has_lanes(&self) -> bool {
        matches!(self.play, Play::Interleavings(_) | Play::Scenario { lanes: Some(_), .. })
    }

    /// Plays a scenario, again while the run is invalid.
    async fn run(&self, lab: &Lab, plan: &Plan) -> anyhow::Result<Run> {
        for _ in 1..PLAYS {
            let run = crate::run::run(lab, plan, Default::default()).await?;
            if run.verdict.invalid().is_none() {
                return Ok(run);
            }
        }
        let run = crate::run::run(lab, plan, Default::default()).await?;
        match run.verdict.invalid() {
            None => Ok(run),
            Some(why) => bail!("{PLAYS} runs of {} were invalid; the last one: {why}", self.name),
        }
    }

    /// Plays it in a lab with its database.
    ///
    /// # Errors
    /// A server or a shop does not start, or fails. That says nothing about the exhibit.
    pub async fn play(&self, lab: &Lab, form: Form) -> anyhow::Result<Seen> {
        match self.play {
            Play::Interleavings(subject) => interleavings(lab, &subject(form)).await,
            Play::Scenario { plan, lanes } => {
                let run = self.run(lab, &plan(form)).await?;
                let mut seen = Seen::of_run(&run);
                if let Some(lanes) = lanes.filter(|_| form == Form::Wrong && lab.has_postgres()) {
                    seen.picture = interleavings(lab, &lanes(form)).await?.picture;
                }
                Ok(seen)
            }
            Play::Own(play) => {
                let servers = self.servers.iter().copied().filter(|server| *server != Server::Postgres);
                let servers: Vec<Server> = servers.collect();
                let program = lab.loadtest.clone();
                let services = match servers.is_empty() {
                    true => None,
                    false => Some(spawn_blocking(move || Services::start(&program, &servers)).await??),
                };
                let kit = Kit { lab, services };
                let seen = play(&kit, form).await;
                spawn_blocking(move || drop(kit.services)).await?;
                seen
            }
        }
    }
}

/// Plays every interleaving of two buyers, and draws one that breaks.
async fn interleavings(lab: &Lab, subject: &Subject) -> anyhow::Result<Seen> {
    let scheduler = Scheduler::build(lab, subject).await?;
    let explored = search(&scheduler, MOST, |_| {}).await;
    scheduler.close(lab).await?;
    let explored = explored?;
    let Some(shown) = &explored.shown else { bail!("no interleaving was played") };
    let picture = picture::text(&explored.caption(), shown) + &explain(&shown.steps).join("\n");
    let seen = Seen::audited(subject.stock, &shown.audit);
    let line = format!("{} of {} interleavings break; {}", explored.broken, explored.orders_of_events, seen.line);
    Ok(Seen { line, picture: Some(picture), ..seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_announced_finding_counts() {
        let seen = Seen::audited(10, &Audit { orders: 11, sold: 10, oversold: 1, ..Audit::default() });
        assert_eq!(seen.line, "stock 10, orders 11, `sold` says 10: 1 oversold");
        assert!(seen.broke(Finding::Oversold) && !seen.broke(Finding::Undersold) && !seen.holds());
        let sound = Seen::audited(10, &Audit { orders: 10, sold: 10, ..Audit::default() });
        assert!(sound.holds() && !sound.broke(Finding::Oversold) && sound.line.ends_with("nothing is wrong"));
        assert!(Seen::figure("60 passed".into(), false).broke(Finding::Figure));
        assert!(Seen::figure("10 passed".into(), true).holds());
    }

    /// The words of the findings are those of the evidence.
    #[test]
    fn each_finding_is_one_that_the_evidence_has() {
        for (finding, audit) in [
            (Finding::Oversold, Audit { oversold: 1, ..Audit::default() }),
            (Finding::Undersold, Audit { undersold: 1, ..Audit::default() }),
            (Finding::Twice, Audit { double_bought: 1, ..Audit::default() }),
            (Finding::Lost, Audit { lost_promises: 1, ..Audit::default() }),
        ] {
            assert!(Seen::audited(1, &audit).broke(finding), "{finding:?}");
        }
        let audit = Audit::default();
        let slow = Evidence { figure_holds: false, ..Evidence::of(&audit) };
        assert_eq!(slow.findings(), [Finding::Figure.word()]);
    }
}
