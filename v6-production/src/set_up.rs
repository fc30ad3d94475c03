//! Errors of the configuration, which waiting does not solve: a wrong password, a missing database, another chapter's tables. The
//! program waits for a server that does not answer; for these errors it ends, and says what to do.

use lapin::ErrorKind::ProtocolError;
use redis::{ErrorKind::AuthenticationFailed, RedisError};

/// The cause and the remedy, in one line.
#[derive(Debug, Clone)]
pub(crate) struct Wrong(String);

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl Wrong {
    /// The database has a table of this name that is not chapter 6's.
    pub(crate) fn tables(table: &str) -> Wrong {
        Wrong(format!(
            "the database has a table {table} that is not chapter 6's, perhaps another chapter's; make one for chapter 6 \
             (createdb) and name it in DATABASE_URL"
        ))
    }

    /// The database is another shop's.
    pub(crate) fn namespace(owner: &str, ours: &str) -> Wrong {
        Wrong(format!(
            "the database is that of the shop {owner:?}, and this is {ours:?}: two shops would sell the same units; set NAMESPACE to \
             {owner:?}, or make a database for this shop (createdb) and name it in DATABASE_URL"
        ))
    }

    /// PostgreSQL has a synchronous standby, and a COMMIT does not wait for it.
    pub(crate) fn synchronous_commit(setting: &str) -> Wrong {
        Wrong(format!(
            "PostgreSQL has a synchronous standby, and synchronous_commit is {setting} here: a confirmed order could be on one disk \
             only; set it to on, or reset it, where it was changed (alter role, alter database, postgresql.conf)"
        ))
    }

    /// The error of the configuration behind `error`; `None` if there is none.
    pub(crate) fn of(error: &anyhow::Error) -> Option<Wrong> {
        error.chain().find_map(|cause| {
            let wrong = cause.downcast_ref::<Wrong>().cloned();
            let of_tls = || certificate(&cause.to_string());
            let of_sql = || postgres(cause.downcast_ref()?);
            let of_redis = || redis(cause.downcast_ref()?);
            let of_queue = || rabbitmq(cause.downcast_ref()?);
            wrong.or_else(of_tls).or_else(of_sql).or_else(of_redis).or_else(of_queue)
        })
    }
}

/// A wrong certificate. rustls reports it for all three servers.
fn certificate(said: &str) -> Option<Wrong> {
    let (_, why) = said.split_once("invalid peer certificate: ")?;
    let remedy =
        "name the file of the authority that has signed it in SSL_CERT_FILE, and in the URL the host that it is for";
    Some(Wrong(format!("a server's certificate is not good: {why}; {remedy}")))
}

fn postgres(error: &sqlx::Error) -> Option<Wrong> {
    let remedy = match error {
        sqlx::Error::Tls(_) => "turn TLS on in the server, or set sslmode=disable in DATABASE_URL",
        sqlx::Error::Configuration(_) => "correct DATABASE_URL",
        sqlx::Error::Database(cause) => match cause.code()?.get(..2)? {
            "28" => "correct user and password in DATABASE_URL",
            "3D" => "make the database (createdb), or correct its name in DATABASE_URL",
            "42" => "name a database in DATABASE_URL that is chapter 6's own, and a user who may make tables in it",
            _ => return None,
        },
        _ => return None,
    };
    let cause = match error {
        sqlx::Error::Database(cause) => cause.message().to_owned(),
        other => other.to_string(),
    };
    Some(Wrong(format!("PostgreSQL: {cause}; {remedy}")))
}

fn redis(error: &RedisError) -> Option<Wrong> {
    if error.detail().is_some_and(|detail| detail.contains("cluster support disabled")) {
        let remedy = "name one server in REDIS_URL, or nodes with cluster-enabled yes";
        return Some(Wrong(format!("REDIS_URL names several servers, and they are no Redis Cluster; {remedy}")));
    }
    let refused =
        error.kind() == AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
    refused.then(|| Wrong(format!("Redis: {error}; correct user and password in REDIS_URL")))
}

fn rabbitmq(error: &lapin::Error) -> Option<Wrong> {
    let ProtocolError(error) = error.kind() else { return None };
    let remedy = match error.get_id() {
        403 => "correct user and password in AMQP_URL, or give the user permissions (rabbitmqctl set_permissions)",
        402 | 530 => {
            "make the virtual host (rabbitmqctl add_vhost, set_permissions), or correct the end of AMQP_URL: %2f is `/`"
        }
        406 => "delete that queue (rabbitmqctl delete_queue), or set another NAMESPACE",
        _ => return None,
    };
    Some(Wrong(format!("RabbitMQ: {}; {remedy}", error.get_message())))
}
