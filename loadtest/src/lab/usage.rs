//! Measures what a run takes of the processors and of PostgreSQL's sessions.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use nix::{
    sys::resource::{UsageWho, getrusage},
    unistd::{SysconfVar, sysconf},
};
use sqlx::AnyPool;
use tokio::{sync::watch, task::JoinHandle, time::interval};

use crate::record::{Consumer, Sessions};

/// The processor time that everybody has taken so far.
pub(crate) struct Processors {
    at: Instant,
    /// In seconds; `None` without `/proc`.
    seconds: Option<BTreeMap<Consumer, f64>>,
    /// Of this process alone, in seconds.
    own: f64,
}

impl Processors {
    /// Reads the clocks of this process, the shops with these process ids, the servers that the lab has started, and the machine.
    pub(crate) fn read(shops: &[u32]) -> Processors {
        let own = own_seconds();
        Processors { at: Instant::now(), seconds: by_consumer(shops, own), own }
    }

    /// The seconds that each has taken since, and the seconds that there were.
    pub(crate) fn until(&self, now: &Processors) -> Option<(BTreeMap<Consumer, f64>, f64)> {
        let before = self.seconds.as_ref()?;
        let since = |(&who, &after): (&Consumer, &f64)| (who, (after - before.get(&who).unwrap_or(&0.0)).max(0.0));
        Some((now.seconds.as_ref()?.iter().map(since).collect(), (now.at - self.at).as_secs_f64() * cores()))
    }

    /// The share of the machine's processors that this process has taken since, from 0 to 1.
    pub(crate) fn own_share_until(&self, now: &Processors) -> f64 {
        (now.own - self.own) / (now.at - self.at).as_secs_f64() / cores()
    }
}

/// Seconds by consumer since each process began; `None` without `/proc`.
fn by_consumer(shops: &[u32], own: f64) -> Option<BTreeMap<Consumer, f64>> {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()?? as f64;
    let processes: Vec<Process> =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| Process::read(&entry)).collect();
    let parents: BTreeMap<u32, u32> = processes.iter().map(|process| (process.pid, process.parent)).collect();
    let mut seconds = BTreeMap::from([(Consumer::Generator, own)]);
    for process in &processes {
        if let Some(consumer) = process.consumer(shops, &parents) {
            *seconds.entry(consumer).or_default() += process.ticks as f64 / per_second;
        }
    }
    let others = busy_ticks()? / per_second - seconds.values().sum::<f64>();
    seconds.insert(Consumer::Others, others);
    Some(seconds)
}

/// A line of `/proc/PID/stat`.
struct Process {
    pid: u32,
    parent: u32,
    name: String,
    /// User and system time, of itself and of the children that it has waited for.
    ticks: u64,
}

impl Process {
    fn read(entry: &fs::DirEntry) -> Option<Process> {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The line is `PID (NAME) STATE PARENT …`, and a name may contain any character.
        let (name, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        Some(Process { pid, parent: fields.get(1)?.parse().ok()?, name: name.split_once('(')?.1.to_owned(), ticks })
    }

    /// `None` if the process is neither a shop nor a server that this program has started.
    fn consumer(&self, shops: &[u32], parents: &BTreeMap<u32, u32>) -> Option<Consumer> {
        if shops.contains(&self.pid) {
            return Some(Consumer::Shop);
        }
        let mut ancestors = std::iter::successors(Some(self.pid), |pid| parents.get(pid).copied()).skip(1);
        let consumer = match self.name.as_str() {
            "postgres" => Consumer::Postgres,
            "redis-server" => Consumer::Redis,
            "beam.smp" => Consumer::RabbitMq,
            _ => return None,
        };
        ancestors.any(|pid| pid == std::process::id()).then_some(consumer)
    }
}

/// The ticks that all processors were in use since the machine began.
fn busy_ticks() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().next()?.strip_prefix("cpu")?;
    let fields: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy = [0, 1, 2, 5, 6, 7].map(|n| fields.get(n).copied().unwrap_or_default());
    Some(busy.iter().sum())
}

/// Processor time that this process has taken so far, in seconds.
fn own_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return 0.0 };
    [usage.user_time(), usage.system_time()].iter().map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6).sum()
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}

/// Samples PostgreSQL's sessions in a database.
pub(crate) struct Sampler {
    stop: watch::Sender<bool>,
    sampling: JoinHandle<Vec<(Instant, Sessions)>>,
}

impl Sampler {
    /// Begins to sample database `name`, every 50 ms.
    pub(crate) fn begin(admin: AnyPool, name: String) -> Sampler {
        let (stop, stopped) = watch::channel(false);
        Sampler { stop, sampling: tokio::spawn(sample(admin, name, stopped)) }
    }

    /// Ends, and returns the average since `from`; `None` if there is no sample.
    pub(crate) async fn average_since(self, from: &Processors) -> Option<Sessions> {
        self.stop.send_replace(true);
        let samples = self.sampling.await.ok()?;
        let samples: Vec<_> = samples.into_iter().filter(|sample| sample.0 >= from.at).map(|sample| sample.1).collect();
        let mean = |of: fn(&Sessions) -> f64| samples.iter().map(of).sum::<f64>() / samples.len() as f64;
        (!samples.is_empty()).then(|| Sessions { waiting: mean(|one| one.waiting), busy: mean(|one| one.busy) })
    }
}

async fn sample(admin: AnyPool, name: String, mut stop: watch::Receiver<bool>) -> Vec<(Instant, Sessions)> {
    let query = "select count(*) filter (where wait_event_type = 'Lock'), count(*) filter (where state <> 'idle')
                 from pg_stat_activity where datname = $1";
    let mut ticks = interval(Duration::from_millis(50));
    let mut samples = Vec::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return samples,
        }
        if let Ok((waiting, busy)) = sqlx::query_as::<_, (i64, i64)>(query).bind(&name).fetch_one(&admin).await {
            samples.push((Instant::now(), Sessions { waiting: waiting as f64, busy: busy as f64 }));
        }
    }
}
