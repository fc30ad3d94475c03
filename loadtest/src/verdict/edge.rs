//! The answers of nginx to all requests of a run, from its access log.

use std::{fs, io, path::Path};

use serde::Deserialize;

/// A line of the access log, as far as it counts here.
#[derive(Deserialize)]
struct Line {
    status: u16,
    retry_after: String,
}

/// How many answers are worse than a 503 with `Retry-After`: any other answer of 500 and above, and a 503 that does not say when
/// to come back.
///
/// # Errors
/// The file cannot be read or is empty, or a line is none of nginx's.
pub fn worse_than_later(access_log: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(access_log)?;
    if text.is_empty() {
        return Err(io::Error::other("nginx has logged no request"));
    }
    text.lines().try_fold(0, |worse, line| Ok(worse + u64::from(is_worse(serde_json::from_str(line)?))))
}

fn is_worse(Line { status, retry_after }: Line) -> bool {
    status >= 500 && (status != 503 || retry_after.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_503_that_says_when_to_come_back_is_bearable() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        let worse = |lines: &str| {
            fs::write(&log, lines).unwrap();
            worse_than_later(&log)
        };
        let line = |status, retry_after| {
            format!(r#"{{"route":"/","status":{status},"retry_after":"{retry_after}","seconds":0.1}}{}"#, "\n")
        };
        let fine = [line(200, ""), line(409, ""), line(429, "1"), line(503, "1")].concat();
        assert_eq!(worse(&fine).unwrap(), 0);
        assert_eq!(worse(&[fine, line(500, "1"), line(503, ""), line(504, "")].concat()).unwrap(), 3);
        assert!(worse("no line of nginx").is_err() && worse("").is_err());
    }
}
