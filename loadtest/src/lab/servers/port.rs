//! Claims free ports for the servers.

use std::{
    fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, UdpSocket},
    ops::RangeInclusive,
};

use anyhow::{Context, bail};
use tokio::net::TcpSocket;

/// How often a server is started on new ports before its error is returned.
pub(crate) const ATTEMPTS: usize = 5;

/// A TCP port that no other process of ours gets while this value lives, even while its server is down.
///
/// The claim is a UDP socket on the same port number. The system gives it to one process only, and releases it when that process
/// ends, also by SIGKILL. A lock file would need a folder that every user and container agrees on. A socket is visible to exactly
/// those processes that share the ports.
pub struct Port {
    number: u16,
    _claim: UdpSocket,
}

impl Port {
    /// Claims a port on which no process listens.
    ///
    /// # Errors
    /// No port is free, or the process has too many open files.
    pub fn take() -> anyhow::Result<Port> {
        #[cfg(test)]
        if let Some(port) = tests::next() {
            return Ok(port);
        }
        let numbers =
            not_for_clients(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default());
        for _ in 0..1000 {
            if let Some(port) = Port::claim(fastrand::u16(numbers.clone()))?
                && !port.is_taken()
            {
                return Ok(port);
            }
        }
        bail!("no port from {} to {} is free", numbers.start(), numbers.end())
    }

    /// Claims `N` ports.
    pub(crate) fn take_all<const N: usize>() -> anyhow::Result<[Port; N]> {
        let ports: Vec<Port> = (0..N).map(|_| Port::take()).collect::<anyhow::Result<_>>()?;
        ports.try_into().map_err(|_| anyhow::anyhow!("cannot claim {N} ports"))
    }

    /// Claims this port; `None` if another process of ours has it.
    pub(super) fn claim(number: u16) -> anyhow::Result<Option<Port>> {
        match UdpSocket::bind((Ipv4Addr::LOCALHOST, number)) {
            Ok(claim) => Ok(Some(Port { number, _claim: claim })),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot claim port {number}")),
        }
    }

    /// The port number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Whether a process listens on it. If our server does not run, it is another program.
    pub(crate) fn is_taken(&self) -> bool {
        self.bind().is_err()
    }

    /// Only binds and does not listen, so it does not disturb a server. A process that is forked meanwhile may keep the socket
    /// for a moment.
    fn bind(&self) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, self.number).into())?;
        Ok(socket)
    }
}

/// Ports outside `for_clients`, the system's range of ephemeral ports. A killed server restarts on its own port, which an
/// outgoing connection could have taken if it were ephemeral.
fn not_for_clients(for_clients: &str) -> RangeInclusive<u16> {
    const OURS: RangeInclusive<u16> = 12_000..=u16::MAX;
    let mut bounds = for_clients.split_whitespace().map_while(|bound| bound.parse::<u16>().ok());
    let (Some(first), Some(last)) = (bounds.next(), bounds.next()) else {
        return *OURS.start()..=32_000; // below the ephemeral range of all known systems
    };
    let (below, above) = (first.saturating_sub(*OURS.start()), OURS.end() - last);
    match (below, above) {
        (0..1000, 0..1000) => OURS, // Nearly all ports are ephemeral. A taken port is detected at the start.
        (below, above) if below >= above => *OURS.start()..=first - 1,
        _ => last + 1..=*OURS.end(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        cell::RefCell,
        collections::{HashSet, VecDeque},
        io::{BufRead, BufReader},
        net::TcpListener,
        process::{Command, Stdio},
        thread::sleep,
        time::{Duration, Instant},
    };

    use super::*;

    thread_local! {
        static CHOSEN: RefCell<VecDeque<Port>> = RefCell::default();
    }

    pub(super) fn next() -> Option<Port> {
        CHOSEN.with_borrow_mut(VecDeque::pop_front)
    }

    /// Makes this thread take these ports next, even if another program listens there.
    pub(crate) fn choose(ports: impl IntoIterator<Item = Port>) {
        CHOSEN.with_borrow_mut(|chosen| chosen.extend(ports));
    }

    /// Waits until nobody listens on it. A child of a parallel test keeps a copy of our sockets until it runs its program.
    fn free(port: &Port) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while port.is_taken() {
            assert!(Instant::now() < deadline, "port {} is taken", port.number());
            sleep(Duration::from_millis(1));
        }
    }

    /// A port, and another program that listens on it.
    pub(crate) fn taken() -> (Port, TcpListener) {
        let port = Port::take().unwrap();
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).unwrap();
        (port, stranger)
    }

    #[test]
    fn ports_are_outside_the_ephemeral_range() {
        assert_eq!(not_for_clients("32768\t60999\n"), 12_000..=32_767);
        assert_eq!(not_for_clients("15000 30000"), 30_001..=65_535);
        assert_eq!(not_for_clients("1024 65535"), 12_000..=65_535);
        assert_eq!(not_for_clients("1024 60999"), 61_000..=65_535);
        assert_eq!(not_for_clients("61000 65535"), 12_000..=60_999);
        assert_eq!(not_for_clients(""), 12_000..=32_000);
    }

    #[test]
    fn a_port_taken_by_another_program_is_detected() {
        let (port, stranger) = taken();
        assert!(port.is_taken());
        drop(stranger);
        free(&port);
    }

    #[test]
    fn checking_a_port_does_not_block_a_server() {
        let port = Port::take().unwrap();
        let _looks = port.bind().unwrap();
        let _server = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).unwrap();
        assert!(port.is_taken());
    }

    #[test]
    fn a_port_is_claimed_once() {
        let port = Port::take().unwrap();
        assert!(Port::claim(port.number()).unwrap().is_none());
    }

    const HOLD: &str = "HOLD_PORTS_UNTIL_STDIN_IS_CLOSED";

    #[test]
    #[allow(clippy::print_stdout, reason = "another process of this test reads it")]
    fn one_process_has_each_port_once() {
        let ports: Vec<Port> = (0..500).map(|_| Port::take().unwrap()).collect();
        let numbers: HashSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 500);
        if std::env::var_os(HOLD).is_some() {
            println!("\n{:?}", numbers.iter().collect::<Vec<_>>());
            std::io::stdin().lines().for_each(drop);
        }
    }

    /// By chance, two draws of 500 out of about 20,000 ports would share about twelve.
    #[test]
    fn two_processes_never_have_the_same_port() {
        let start = |_| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "lab::servers::port::tests::one_process_has_each_port_once", "--nocapture"]);
            command.env(HOLD, "").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        };
        let mut processes = [0, 1].map(start);
        let mut outputs = processes.each_mut().map(|process| BufReader::new(process.stdout.take().unwrap()).lines());
        let mut held = HashSet::new();
        for lines in &mut outputs {
            let numbers = lines.find_map(|line| serde_json::from_str::<Vec<u16>>(&line.unwrap()).ok());
            held.extend(numbers.expect("the ports that it holds"));
        }
        assert_eq!(held.len(), 1000);
        for (mut process, rest) in processes.into_iter().zip(outputs) {
            drop(process.stdin.take());
            rest.for_each(drop);
            assert!(process.wait().unwrap().success());
        }
    }
}
