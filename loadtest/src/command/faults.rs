use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use loadtest::{
    buyer::progress::Progress,
    fault::{Fault, round},
    lab::{
        Lab, open_files,
        servers::{Server, Services},
    },
    record::{
        faults::{Faults, Grid as Figures, REPEATS, Verdict},
        file::check_writable,
    },
    render::{faults, text::thousands},
    scenario::plan::Plan,
    version::Version,
};

use super::{
    database::this_program,
    ending::Interrupts,
    exit::Exit,
    print::{note, print, room, say},
    progress::with_progress,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Faults to inject, one after the other [default: all]
    #[arg(value_name = "FAULT")]
    faults: Vec<Fault>,

    /// Valid rounds for each fault. A round in which the fault comes too late is repeated, three times at most
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Buyers of the crowd; at least half of them click after the repair. Others come one by one during the fault
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    buyers: u32,

    /// Units of each sale. The fault strikes when a quarter is sold, and must be in place before half is
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(4..))]
    stock: u32,

    /// Instances of the shop; the requests of each tab go to them in turn
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    instances: u32,

    /// The seed that shuffles the buyers; each round adds 1, each repeat adds 1000
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Write the results to this file after each round
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    json: Option<PathBuf>,

    /// Continue an earlier run: rounds in this file are not repeated, the missing ones are added. Stock, buyers, instances, seed,
    /// machine and commit must be the same as in the file
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
}

/// Connections that the buyers share.
const CONNECTIONS: usize = 50;
/// The difference between the seeds of a round and its repeat; there are fewer rounds than that.
const REPEAT: u64 = 1000;

/// Starts the servers, and works until done or interrupted. The servers stop in both cases.
pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let mut interrupts = Interrupts::listen()?;
    let plan = Plan {
        buyers: args.buyers as usize,
        stock: args.stock.into(),
        instances: args.instances as usize,
        connections: CONNECTIONS,
        ..Plan::stampede(Version::V6, None)
    };
    let mut grid = Grid::new(&args, plan)?;
    let interrupted = tokio::select! {
        exit = grid.play() => return exit,
        interrupted = interrupts.next() => interrupted,
    };
    grid.say_what_is_kept();
    Ok(interrupted)
}

/// The faults to inject, and the number of rounds for each.
struct Grid {
    chosen: Vec<Fault>,
    rounds: usize,
    plan: Plan,
    played: Faults,
    file: Option<PathBuf>,
}

impl Grid {
    fn new(args: &Args, plan: Plan) -> anyhow::Result<Grid> {
        let played = match &args.resume {
            Some(file) => {
                let played = Faults::read(file)?;
                let resumes = played.check_resumes(&plan, args.seed);
                resumes.with_context(|| format!("cannot go on with {}", file.display()))?;
                played
            }
            None => Faults::new(Figures { seed: args.seed, faults: Vec::new() }),
        };
        let file = args.resume.as_ref().or(args.json.as_ref()).cloned();
        file.iter().try_for_each(|file| check_writable(file))?;
        let chosen = if args.faults.is_empty() { Fault::value_variants() } else { &args.faults };
        chosen.iter().try_for_each(|fault| fault.check(&plan))?;
        Ok(Grid { chosen: chosen.to_vec(), rounds: args.rounds as usize, plan, played, file })
    }

    /// Plays the missing rounds and shows all of them.
    async fn play(&mut self) -> anyhow::Result<Exit> {
        let plan = &self.plan;
        open_files::allow(plan.sockets())?;
        let (who, units) = (plan.who(), thousands(plan.stock));
        say(format_args!("{who}, {units} units, {} instances of {}", plan.instances, plan.version));
        print(faults::table([]).heads(room()));
        let mut ground = None; // no servers are needed if the file has all rounds
        for (place, fault) in self.chosen.clone().into_iter().enumerate() {
            while let Some(turn) = self.played.of(fault).next(self.rounds) {
                let (lab, services) = match &mut ground {
                    Some(ground) => ground,
                    None => ground.insert(start().await?),
                };
                self.play_one(lab, services, fault, place, turn).await?;
            }
            print(faults::table([&*self.played.of(fault)]).lines(room()));
        }
        say(faults::LEGEND);
        Ok(self.played.verdict().into())
    }

    /// Plays one round or its repeat, and writes the file at once.
    async fn play_one(
        &mut self,
        lab: &Lab,
        services: &mut Services,
        fault: Fault,
        place: usize,
        (n, repeat): (usize, usize),
    ) -> anyhow::Result<()> {
        let seed = self.played.seed + n as u64 + repeat as u64 * REPEAT;
        let plan = Plan { seed, ..self.plan.clone() };
        let again = if repeat == 0 { String::new() } else { format!(", repeat {repeat} of {REPEATS}") };
        let (at, of) = (place * self.rounds + n + 1, self.chosen.len() * self.rounds);
        let progress = Progress::default();
        let work = round(lab, services, fault, &plan, progress.clone(), async |shops| shops);
        let title = format!("[{at}/{of}] {fault}{again}");
        let round = with_progress(&title, &plan.who(), Some(plan.buyers), true, &progress, work).await?;
        if let Some(why) = round.why_invalid() {
            say(format_args!("{fault}, seed {seed}: invalid: {why}; {}", then(repeat)));
        }
        match round.verdict {
            Verdict::Broken => {
                let logs = lab.keep_logs(&format!("{fault}-seed-{seed}"))?;
                say(format_args!("{fault}, seed {seed}: broken: the logs of its shops are in {}", logs.display()));
            }
            _ => lab.forget_logs()?,
        }
        self.played.of(fault).rounds.push(round);
        self.file.iter().try_for_each(|file| self.played.write(file))
    }

    fn say_what_is_kept(&self) {
        let rounds: usize = self.played.faults.iter().map(|rounds| rounds.rounds.len()).sum();
        if let Some(file) = self.file.as_ref().filter(|_| rounds > 0) {
            let file = file.display();
            note(format_args!("{rounds} rounds are in {file}: the same command with --resume {file} goes on"));
        }
    }
}

/// Starts all servers, and opens a lab on them.
async fn start() -> anyhow::Result<(Lab, Services)> {
    let program = this_program()?;
    let services = tokio::task::spawn_blocking(move || Services::start(&program, &Server::OF_SHOPS)).await??;
    Ok((Lab::on(this_program()?, &services).await?, services))
}

/// In words, what follows an invalid round.
fn then(repeat: usize) -> String {
    match repeat {
        REPEATS => "not played again, the fault is invalid".into(),
        _ => format!("played again ({} of {REPEATS})", repeat + 1),
    }
}
