use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Whether a failed command was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Redis has refused the command: it is starting, a replica, full, or requires a login. Nothing was done.
    Refused,
    /// There was no answer, or none that says what was done.
    Unanswered,
}

/// Classifies an error. A script is refused at its first write, before it has changed anything.
pub(crate) fn failure(error: &RedisError) -> Failure {
    let refused = match error.kind() {
        ErrorKind::AuthenticationFailed => true,
        ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::ExecAbort) => is_read_only(error),
        ErrorKind::Server(_) => true,
        _ => matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "NOAUTH" | "BUSY")),
    };
    if refused { Failure::Refused } else { Failure::Unanswered }
}

/// Whether Redis is a replica, which accepts no writes. Before version 7, an error of a script has this only in its text.
pub(super) fn is_read_only(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || error.detail().is_some_and(|detail| detail.contains("READONLY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: &str) -> Failure {
        let answer = redis::parse_redis_value(format!("-{answer}\r\n").as_bytes()).unwrap();
        failure(&answer.extract_error().unwrap_err())
    }

    #[test]
    fn a_cluster_that_is_changing_has_done_nothing() {
        for refusal in [
            "MOVED 3999 127.0.0.1:6381",
            "ASK 3999 127.0.0.1:6381",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "CLUSTERDOWN Hash slot not served",
            "LOADING Redis is loading the dataset in memory",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down",
        ] {
            assert_eq!(said(refusal), Failure::Refused, "{refusal}");
        }
        assert_eq!(said("ERR something else"), Failure::Unanswered);
    }
}
