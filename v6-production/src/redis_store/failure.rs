use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What an error says about the command that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Redis has refused it: it is starting, a replica, full, or asks who we are. Nothing was done.
    Refused,
    /// No answer, or none that says what was done.
    Unanswered,
}

/// Reads an error. A script is refused by its first write, before it has done anything.
pub(crate) fn failure(error: &RedisError) -> Failure {
    let refused = match error.kind() {
        ErrorKind::AuthenticationFailed => true,
        ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::ExecAbort) => is_read_only(error),
        ErrorKind::Server(_) => true,
        _ => matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "NOAUTH" | "BUSY")),
    };
    if refused { Failure::Refused } else { Failure::Unanswered }
}

/// Whether Redis is a replica, and so takes no writes. Before version 7, a script's error has this in its text.
pub(super) fn is_read_only(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || error.detail().is_some_and(|detail| detail.contains("READONLY"))
}
