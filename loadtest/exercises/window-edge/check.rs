//! Clients with patterns of their own. There is nothing to change here.

use super::exercise::Limiter;

const LIMIT: usize = 6;
const WINDOW_MS: u64 = 10_000;
const MOST_REMEMBERED: usize = 100;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    let clients: [(&str, Vec<u64>); 4] = [
        ("a client at the edge of two windows", (9_000..11_000).step_by(10).collect()),
        ("a client that saves its requests", [0].into_iter().chain((9_500..10_500).step_by(10)).collect()),
        ("a client that never stops", (0..60_000).step_by(7).collect()),
        ("a client with pauses", (0..40).flat_map(|n| [n * 3_300, n * 3_300 + 1, n * 3_300 + 2]).collect()),
    ];
    for (client, times) in &clients {
        let admitted = admitted(times)?;
        for (n, first) in admitted.iter().enumerate() {
            let within = admitted[n..].iter().take_while(|at| **at - first < WINDOW_MS).count();
            if within > LIMIT {
                let last = admitted[n + within - 1];
                return Err(format!("{client}: {within} requests admitted from {first} ms to {last} ms"));
            }
        }
        // Whoever is refused must have had its six.
        for at in times.iter().filter(|at| !admitted.contains(at)) {
            let before = admitted.iter().filter(|other| *other < at && at - **other < WINDOW_MS).count();
            if before < LIMIT {
                return Err(format!("{client}: refused at {at} ms, after {before} in the ten seconds before"));
            }
        }
    }
    Ok(format!("{} clients, never more than {LIMIT} in ten seconds, and none refused below it", clients.len()))
}

/// The times of the requests that are admitted.
fn admitted(times: &[u64]) -> Result<Vec<u64>, String> {
    let mut limiter = Limiter::default();
    let mut admitted = Vec::new();
    for at in times {
        if limiter.admit(*at) {
            admitted.push(*at);
        }
        let remembered = limiter.remembered();
        if remembered > MOST_REMEMBERED {
            return Err(format!("the limiter remembers {remembered} numbers after {} requests", times.len()));
        }
    }
    Ok(admitted)
}
