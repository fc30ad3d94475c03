use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use loadtest::{
    buyer::progress::Progress,
    fault::{AnyFault, round, round_on_machines},
    lab::{
        Lab,
        machines::{self, Machines},
        open_files,
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
use tokio::task::spawn_blocking;

use super::{
    database::this_program,
    ending::Interrupts,
    exit::Exit,
    machines::MachinesArgs,
    print::{note, print, room, say},
    progress::with_progress,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Faults to inject, one after the other [default: all]
    #[arg(value_name = "FAULT")]
    faults: Vec<AnyFault>,

    #[command(flatten)]
    machines: MachinesArgs,

    /// Valid rounds for each fault. A round in which the fault comes too late is repeated, three times at most
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Buyers of the crowd; at least half of them click after the repair. Others come one by one during the fault
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    buyers: u32,

    /// Units of each sale. The fault strikes when a quarter is sold, and must be in place before half is
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(4..))]
    stock: u32,

    /// Instances of the shop; the requests of each tab go to them in turn [default: 2, or one on each machine]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    instances: Option<u32>,

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

    /// Further arguments for the shop, after --. A run that is continued needs the same ones
    #[arg(last = true)]
    shop_args: Vec<String>,
}

/// Connections that the buyers share.
const CONNECTIONS: usize = 50;
/// The difference between the seeds of a round and its repeat; there are fewer rounds than that.
const REPEAT: u64 = 1000;

/// Starts the servers, and works until done or interrupted. The servers stop in both cases.
pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let on_machines = args.machines.are_asked_for();
    let plan = Plan {
        buyers: args.buyers as usize,
        stock: args.stock.into(),
        instances: args.instances.map_or(args.machines.instances().max(2), |n| n as usize),
        nginx: on_machines,
        connections: CONNECTIONS,
        shop_args: args.shop_args.clone(),
        ..Plan::stampede(Version::V6, None)
    };
    let mut grid = Grid::new(&args, plan)?;
    if on_machines {
        machines::enter()?; // the process starts again, so this comes before it listens for signals
    }
    let mut interrupts = Interrupts::listen()?;
    let interrupted = tokio::select! {
        exit = grid.play() => return exit,
        interrupted = interrupts.next() => interrupted,
    };
    grid.say_what_is_kept();
    Ok(interrupted)
}

/// The faults to inject, and the number of rounds for each.
struct Grid {
    chosen: Vec<AnyFault>,
    on_machines: bool,
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
            None => Faults::new(Figures { seed: args.seed, shop_args: plan.shop_args.clone(), faults: Vec::new() }),
        };
        let file = args.resume.as_ref().or(args.json.as_ref()).cloned();
        file.iter().try_for_each(|file| check_writable(file))?;
        let on_machines = args.machines.are_asked_for();
        let chosen = if args.faults.is_empty() { AnyFault::all(on_machines) } else { args.faults.clone() };
        chosen.iter().try_for_each(|fault| check(*fault, on_machines, &plan))?;
        Ok(Grid { chosen, on_machines, rounds: args.rounds as usize, plan, played, file })
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
                let ground = match &mut ground {
                    Some(ground) => ground,
                    None => ground.insert(start(self.on_machines).await?),
                };
                self.play_one(ground, fault, place, turn).await?;
            }
            print(faults::table([&*self.played.of(fault)]).lines(room()));
        }
        say(faults::LEGEND);
        Ok(self.played.verdict().into())
    }

    /// Plays one round or its repeat, and writes the file at once.
    async fn play_one(
        &mut self,
        (lab, services): &mut (Lab, Option<Services>),
        fault: AnyFault,
        place: usize,
        (n, repeat): (usize, usize),
    ) -> anyhow::Result<()> {
        let seed = self.played.seed + n as u64 + repeat as u64 * REPEAT;
        let plan = Plan { seed, ..self.plan.clone() };
        let again = if repeat == 0 { String::new() } else { format!(", repeat {repeat} of {REPEATS}") };
        let (at, of) = (place * self.rounds + n + 1, self.chosen.len() * self.rounds);
        let progress = Progress::default();
        let work = async {
            match (fault, services) {
                (AnyFault::Servers(fault), Some(services)) => {
                    round(lab, services, fault, &plan, progress.clone(), async |shops| shops).await
                }
                (AnyFault::Machines(fault), _) => round_on_machines(lab, fault, &plan, progress.clone()).await,
                (AnyFault::Servers(fault), None) => bail!("{fault} needs single servers"),
            }
        };
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

/// Starts all servers or three machines, and opens a lab on them.
async fn start(on_machines: bool) -> anyhow::Result<(Lab, Option<Services>)> {
    let program = this_program()?;
    if on_machines {
        let machines = spawn_blocking(move || Machines::start(&program)).await??;
        return Ok((Lab::on_machines(this_program()?, Arc::new(machines)).await?, None));
    }
    let services = spawn_blocking(move || Services::start(&program, &Server::OF_SHOPS)).await??;
    Ok((Lab::on(this_program()?, &services).await?, Some(services)))
}

/// Whether a fault can be played here.
fn check(fault: AnyFault, on_machines: bool, plan: &Plan) -> anyhow::Result<()> {
    match (fault, on_machines) {
        (AnyFault::Servers(fault), false) => fault.check(plan),
        (AnyFault::Machines(_), true) => Ok(()),
        (AnyFault::Servers(fault), true) => bail!("{fault} strikes single servers: leave --machines out"),
        (AnyFault::Machines(fault), false) => bail!("{fault} strikes one of three machines: add --machines 3"),
    }
}

/// In words, what follows an invalid round.
fn then(repeat: usize) -> String {
    match repeat {
        REPEATS => "not played again, the fault is invalid".into(),
        _ => format!("played again ({} of {REPEATS})", repeat + 1),
    }
}
