//! The private servers: started, killed, restarted with their data, and removed without a trace.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{eventually, is_empty, loadtest, temporary};
use loadtest::lab::servers::{Server, Services};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{AnyConnection, Connection, Executor, MySqlConnection};
use url::Url;

/// The system's processes: their parents, and whether they run.
fn processes() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        (fields.next()? != "Z").then_some((pid, fields.next()?.parse().ok()?))
    })
    .collect()
}

/// What a keeper of all servers of shops is started with.
const OF_SHOPS: &str = "postgres\0redis\0rabbitmq\0provider";

/// The keeper that `parent` has started for these servers, and all of its descendants.
fn family(parent: u32, servers: &str) -> Vec<u32> {
    let processes = processes();
    let is_keeper = |pid| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.ends_with(format!("\0keeper\0{servers}\0").as_bytes()))
    };
    let keeper =
        processes.iter().find(|(pid, its_parent)| *its_parent == parent && is_keeper(*pid)).expect("a keeper").0;
    let mut family = vec![keeper];
    for next in 0.. {
        let Some(&member) = family.get(next) else { break };
        family.extend(processes.iter().filter(|(_, parent)| *parent == member).map(|(pid, _)| *pid));
    }
    family
}

/// Process names, which the system cuts to 15 letters.
fn names(family: &[u32]) -> HashSet<String> {
    family.iter().filter_map(|pid| Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().into())).collect()
}

/// The folder that these servers keep their data in.
fn servers_of(family: &[u32]) -> PathBuf {
    let folders = family.iter().filter_map(|pid| fs::read_link(format!("/proc/{pid}/cwd")).ok());
    let redis = folders.into_iter().find(|folder| folder.ends_with("redis")).expect("the folder of Redis");
    redis.parent().unwrap().to_owned()
}

/// When these processes began, in ticks of the system's clock. A process id alone may be given to another process later.
fn beginnings(family: &[u32]) -> Vec<(u32, String)> {
    let began = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((*pid, stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.to_owned()))
    };
    family.iter().filter_map(began).collect()
}

async fn are_gone(family: &[(u32, String)]) {
    let gone = async || {
        let running: Vec<_> = processes().into_iter().map(|(pid, _)| pid).collect();
        !beginnings(&running).iter().any(|one| family.contains(one))
    };
    let pids: Vec<_> = family.iter().map(|(pid, _)| *pid).collect();
    eventually(&format!("{:?} are gone", names(&pids)), gone).await;
}

/// The addresses that these processes listen on, in the system's notation.
fn listening(family: &[u32]) -> Vec<String> {
    let folders = family.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok());
    let files: HashSet<_> = folders.flatten().flatten().filter_map(|file| fs::read_link(file.path()).ok()).collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = fields.filter(|f| f[3] == "0A" && files.contains(&PathBuf::from(format!("socket:[{}]", f[9]))));
    ours.map(|fields| fields[1].to_owned()).collect()
}

/// Whether an address in that notation is on loopback. Java binds to IPv4 through IPv6.
fn is_loopback(address: &str) -> bool {
    let loopback = ["0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"];
    loopback.contains(&address.split(':').next().unwrap())
}

fn connect(url: &Url) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap()))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// Sends a line to Redis and returns the whole answer.
fn redis(url: &Url, line: &str) -> String {
    let mut stream = connect(url).unwrap();
    write!(stream, "AUTH {}\r\n{line}\r\nQUIT\r\n", url.password().unwrap()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

/// Sends one AMQP method and returns the class and method of the answer.
fn amqp(stream: &mut TcpStream, channel: u8, method: [u8; 2], arguments: &[u8]) -> [u8; 2] {
    let length = 4 + arguments.len() as u8;
    stream.write_all(&[1, 0, channel, 0, 0, 0, length, 0, method[0], 0, method[1]]).unwrap();
    stream.write_all(arguments).unwrap();
    stream.write_all(&[0xCE]).unwrap();
    read_amqp(stream)
}

fn read_amqp(stream: &mut TcpStream) -> [u8; 2] {
    let mut head = [0; 7];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes(head[3..].try_into().unwrap()) as usize;
    let mut body = vec![0; length + 1];
    stream.read_exact(&mut body).unwrap();
    [body[1], body[3]]
}

/// Logs in to RabbitMQ and declares a quorum queue; with `passive`, only asks whether it exists.
fn rabbitmq(url: &Url, passive: bool) -> bool {
    let mut stream = connect(url).unwrap();
    stream.write_all(b"AMQP\0\0\x09\x01").unwrap();
    assert_eq!(read_amqp(&mut stream), [10, 10], "start");
    let login = format!("\0{}\0{}", url.username(), url.password().unwrap());
    let start = [b"\0\0\0\0\x05PLAIN\0\0\0", &[login.len() as u8][..], login.as_bytes(), b"\x05en_US"].concat();
    assert_eq!(amqp(&mut stream, 0, [10, 11], &start), [10, 30], "the password is right");
    stream.write_all(b"\x01\0\0\0\0\0\x0c\0\x0a\0\x1f\x07\xff\0\x02\0\0\0\0\xce").unwrap(); // tune-ok has no answer
    assert_eq!(amqp(&mut stream, 0, [10, 40], b"\x01/\0\0"), [10, 41], "open");
    assert_eq!(amqp(&mut stream, 1, [20, 10], b"\0"), [20, 11], "a channel");
    let quorum = b"\0\0\0\x18\x0cx-queue-typeS\0\0\0\x06quorum";
    let declare = [b"\0\0\x06orders", &[if passive { 3 } else { 2 }][..], quorum].concat();
    amqp(&mut stream, 1, [50, 10], &declare) == [50, 11]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn killed_servers_come_back_with_their_data_and_dropped_ones_leave_nothing() {
    sqlx::any::install_default_drivers();
    let mut services = tokio::task::block_in_place(|| Services::start(&loadtest(), &Server::OF_SHOPS)).unwrap();
    let urls = Server::OF_SHOPS.map(|server| services.url(server).unwrap().clone());
    let [postgres_url, redis_url, amqp_url, _] = &urls;

    let before = family(std::process::id(), OF_SHOPS);
    let listening = listening(&before);
    assert!(listening.len() >= 5, "the three, and two ports among nodes: {listening:?}");
    assert!(listening.iter().all(|address| is_loopback(address)), "{listening:?}");

    // An idle session and a busy one, so that the server has child processes to kill.
    let mut session = AnyConnection::connect(postgres_url.as_str()).await.unwrap();
    sqlx::query("create table kept (id bigint)").execute(&mut session).await.unwrap();
    sqlx::query("insert into kept values (42)").execute(&mut session).await.unwrap();
    // Otherwise a killed server leaves a file in /dev/shm.
    let memory: String = sqlx::query_scalar("show dynamic_shared_memory_type").fetch_one(&mut session).await.unwrap();
    assert_eq!(memory, "mmap");
    let mut busy = AnyConnection::connect(postgres_url.as_str()).await.unwrap();
    let busy = tokio::spawn(async move { sqlx::query("select pg_sleep(3600)").execute(&mut busy).await.map(drop) });
    assert!(redis(redis_url, "SET kept 42").ends_with("+OK\r\n+OK\r\n"));
    // The log takes up to a second to reach the disk, but the operating system has it at once. A kill does not affect it.
    assert!(redis(redis_url, "GET kept").contains("$2\r\n42\r\n"));
    assert!(rabbitmq(amqp_url, false), "a queue");
    let folder = servers_of(&before);
    let before = beginnings(&before);
    let mut is_on_disk = || tokio::task::block_in_place(|| services.has_on_disk("orders")).unwrap();
    eventually("the queue is on the disk", async || is_on_disk()).await;
    assert!(!tokio::task::block_in_place(|| services.has_on_disk("no such queue")).unwrap());

    for (server, url) in Server::OF_SHOPS.iter().zip(&urls) {
        tokio::task::block_in_place(|| {
            services.kill(*server).unwrap();
            assert!(connect(url).is_err(), "{server} is dead");
            assert!(services.kill(*server).is_err(), "and not twice");
            services.start_again(*server).unwrap();
            assert!(services.start_again(*server).is_err(), "nor up twice");
        });
        assert_eq!(services.url(*server), Some(url));
    }
    assert!(busy.await.unwrap().is_err(), "the session is dead with its server");
    let mut session = AnyConnection::connect(postgres_url.as_str()).await.unwrap();
    let kept: i64 = sqlx::query_scalar("select id from kept").fetch_one(&mut session).await.unwrap();
    assert_eq!(kept, 42);
    assert!(redis(redis_url, "GET kept").contains("$2\r\n42\r\n"));
    eventually("the queue is there again", async || rabbitmq(amqp_url, true)).await;

    let after = family(std::process::id(), OF_SHOPS);
    let names = names(&after);
    for name in ["postgres", "redis-server", "beam.smp", "epmd"] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    assert_eq!(servers_of(&after), folder);
    let after = beginnings(&after);
    assert!(folder.file_name().unwrap().to_string_lossy().starts_with("oversold-servers-"));

    tokio::task::block_in_place(|| drop(services));
    assert!(!folder.exists());
    are_gone(&before).await;
    are_gone(&after).await;
}

/// How many of the keys `1` … `100` exist, and the last of them.
fn keys(url: &Url) -> (usize, Option<usize>) {
    let said: String = (1..=100).map(|n| format!("EXISTS {n}\r\n")).collect();
    let said = redis(url, said.trim_end());
    let there: Vec<_> = said.lines().skip(1).take(100).map(|line| line == ":1").collect();
    (there.iter().filter(|there| **there).count(), there.iter().rposition(|there| *there).map(|n| n + 1))
}

#[test]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
fn redis_can_lose_the_end_of_its_log_and_all_of_it() {
    let mut services = Services::start(&loadtest(), &[Server::Redis]).unwrap();
    let url = services.url(Server::Redis).unwrap().clone();
    // With `everysec`, Redis writes to its log up to two seconds late while the disk is slow.
    assert!(redis(&url, "CONFIG SET appendfsync always").contains("+OK\r\n+OK\r\n"));
    for n in 1..=100 {
        assert!(redis(&url, &format!("SET {n} 1")).contains("+OK\r\n+OK\r\n"));
    }
    let refused = |result: anyhow::Result<()>, what: &str| {
        let error = result.expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
    };
    refused(services.cut_redis(), "Redis is running");
    refused(services.empty_redis(), "Redis is running");

    services.kill(Server::Redis).unwrap();
    services.cut_redis().unwrap();
    services.start_again(Server::Redis).unwrap();
    let (left, last) = keys(&url);
    assert!((55..80).contains(&left), "{left} of 100");
    assert_eq!(last, Some(left), "the first ones are whole");

    services.kill(Server::Redis).unwrap();
    services.empty_redis().unwrap();
    services.start_again(Server::Redis).unwrap();
    assert_eq!(keys(&url), (0, None));
    services.kill(Server::Redis).unwrap();
    services.empty_redis().unwrap();
    refused(services.cut_redis(), "");
    services.start_again(Server::Redis).unwrap();
    refused(services.block_rabbitmq(true), "RabbitMQ is not one of these servers");
}

#[tokio::test]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn servers_end_with_the_process_that_started_them() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let folder = temporary();
        let mut command = Command::new(loadtest());
        let command = command.arg("services").env("TMPDIR", folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut services = command.spawn().unwrap();
        let mut lines = BufReader::new(services.stdout.take().unwrap()).lines();
        let urls = ["DATABASE_URL=", "REDIS_URL=", "AMQP_URL="].map(|variable| {
            let line = lines.next().expect("three lines").unwrap();
            line.strip_prefix(variable).expect("a URL").parse::<Url>().unwrap()
        });
        assert!(urls.iter().all(|url| connect(url).is_ok()) && !is_empty(folder.path()));
        let family = family(services.id(), OF_SHOPS);
        assert!(names(&family).contains("epmd"));
        let family = beginnings(&family);

        kill(Pid::from_raw(services.id() as i32), signal).unwrap();
        services.wait().unwrap();
        are_gone(&family).await;
        assert!(urls.iter().all(|url| connect(url).is_err()));
        assert!(is_empty(folder.path()), "the folder of the servers is gone");
    }
}

const HOLD: &str = "HOLD_SERVERS_UNTIL";

/// The keeper is the same for all servers; these are not among those that `loadtest services` starts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB, memcached and ZooKeeper: make test"]
async fn other_servers_end_with_their_process_and_mariadb_keeps_its_data_when_killed() {
    let servers = [Server::MariaDb, Server::Memcached, Server::ZooKeeper];
    if let Ok(end) = std::env::var(HOLD) {
        let mut services = Services::start(&loadtest(), &servers).unwrap();
        let url = services.url(Server::MariaDb).unwrap().clone();
        let mut session = MySqlConnection::connect(url.as_str()).await.unwrap();
        session.execute("create database kept").await.unwrap();
        services.kill(Server::MariaDb).unwrap();
        services.start_again(Server::MariaDb).unwrap();
        MySqlConnection::connect(&format!("{url}kept")).await.unwrap();
        println!();
        servers.iter().for_each(|server| println!("URL={}", services.url(*server).unwrap()));
        std::io::stdin().lines().for_each(drop);
        panic!("{end}");
    }
    for end in ["a panic", "kill -9"] {
        let folder = temporary();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "services::other_servers_end_with_their_process_and_mariadb_keeps_its_data_when_killed";
        command.args(["--exact", name, "--include-ignored", "--nocapture"]).env(HOLD, end).env("TMPDIR", folder.path());
        let mut owner = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
        let urls = lines.filter_map(|line| line.strip_prefix("URL=")?.parse::<Url>().ok());
        let urls: Vec<_> = urls.take(servers.len()).collect();
        assert_eq!(urls.len(), servers.len());
        assert!(urls.iter().all(|url| connect(url).is_ok()) && !is_empty(folder.path()));
        let listening = listening(&family(owner.id(), "mariadb\0memcached\0zookeeper"));
        assert!(listening.len() >= servers.len(), "{listening:?}");
        assert!(listening.iter().all(|address| is_loopback(address)), "{listening:?}");
        match end {
            "kill -9" => owner.kill().unwrap(),
            _ => drop(owner.stdin.take()),
        }
        assert!(!owner.wait().unwrap().success());
        let gone = async || urls.iter().all(|url| connect(url).is_err()) && is_empty(folder.path());
        eventually("the servers are gone", gone).await;
    }
}

#[test]
fn a_server_that_is_not_installed_is_named() {
    let mut command = Command::new(loadtest());
    let output = command.args(["keeper", "redis"]).env("PATH", "").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Redis is not installed; `make services` installs it"), "{output:?}");
}
