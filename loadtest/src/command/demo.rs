use loadtest::{
    lab::{open_files, servers::Server},
    matrix,
    render::runs,
    scenario::{Scenario, plan::Plan},
    version::{VERSIONS, Variant, Version},
};

use super::{
    database::{Database, in_lab_until_ended},
    exit::Exit,
    matrix::play,
    output::{Destination, Output},
    print::{print, room, say},
    progress::{Shows, run_with_progress},
    rounds::Rounds,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    database: Database,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    rounds: Rounds,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let destination = Destination::new(args.output)?;
    let attacks: Vec<_> = matrix::plans(true).into_iter().filter(|plan| plan.scenario != Scenario::Stampede).collect();
    open_files::allow(attacks.iter().map(Plan::sockets).max().unwrap_or_default())?;
    in_lab_until_ended(&args.database, async |lab, ending| {
        if !lab.has_postgres() {
            let missing = if Server::Postgres.is_installed() {
                ""
            } else {
                ": PostgreSQL is not installed, `make demo` installs it"
            };
            say(format_args!("On embedded SQLite, without the variants that need PostgreSQL{missing}."));
        }
        if let Some(lacking) = lab.lacks_for(Version::V6) {
            say(format_args!("{lacking}."));
        }
        say(Plan::stampede(Version::V1, None).describe());
        print(runs::table([]).heads(room()));
        let mut runs = Vec::new();
        let stampedes = args.rounds.of(&plans(lab.has_postgres()));
        for plan in stampedes.into_iter().filter(|plan| lab.lacks_for(plan.version).is_none()) {
            let Some(run) = Box::pin(run_with_progress(lab, &plan, "", Shows::Bar, ending)).await? else { break };
            print(runs::table([&run]).lines(room()));
            runs.push(run);
            if ending.requested_at().is_some() {
                break;
            }
        }
        if ending.requested_at().is_some() {
            return destination.conclude(args.rounds.seed, runs);
        }
        print("\n");
        say("Why v1 oversells and v2 does not: diff v1-naive/src/purchase.rs v2-pessimistic/src/purchase.rs");
        say("And what each of them withstands (`cargo loadtest matrix` takes longer and measures more):");
        runs.extend(Box::pin(play(lab, &args.rounds.of(&attacks), ending)).await?);
        destination.conclude(args.rounds.seed, runs)
    })
    .await
}

/// Every version, each followed by its variants.
fn plans(postgres: bool) -> Vec<Plan> {
    let mut plans = Vec::new();
    for version in VERSIONS {
        plans.push(Plan::stampede(version, None));
        for &variant in version.variants() {
            let plan = Plan::stampede(version, Some(variant));
            plans.push(match variant {
                // Isolation levels and row locks need PostgreSQL.
                Variant::Transaction | Variant::InsertFirst | Variant::Serializable if !postgres => continue,
                // A process lock holds with one instance and breaks with two.
                Variant::ProcessLock => Plan { instances: 2, ..plan },
                // PostgreSQL takes a second to detect each deadlock.
                Variant::InsertFirst => Plan { buyers: 64, ..plan },
                Variant::Transaction | Variant::Serializable | Variant::NoRetry | Variant::Conditional => plan,
            });
        }
    }
    plans
}
