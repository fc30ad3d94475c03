//! The page's files of other versions. During a deployment, a browser may get the page from an old instance and request its files
//! from a new one. So each version writes its files to SQL, where other versions find them.

use std::{collections::HashMap, time::Duration};

use sqlx::PgPool;
use tokio::{sync::Mutex, time::Instant};

use super::files::FILES;
use crate::{error::Error, sql::in_time};

/// The shortest time between two reads of the files, whatever is requested.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// How many files SQL keeps: the two files of the last twenty versions.
const KEPT: i64 = 40;

/// The files of recent versions.
#[derive(Default)]
pub(crate) struct Versions(Mutex<Known>);

#[derive(Default)]
struct Known {
    files: HashMap<String, String>,
    /// When the last read ended, and whether it failed.
    read: Option<(Instant, bool)>,
}

/// Writes this version's files to SQL, and deletes those of old versions.
pub(crate) async fn leave(sql: &PgPool) -> anyhow::Result<()> {
    let [names, texts] = [FILES.each_ref().map(|file| file.name.as_str()), FILES.each_ref().map(|file| file.text)];
    let insert = "insert into page_files (name, text, started_at)
                  select *, now_ms() from unnest($1::text[], $2::text[])
                  on conflict (name) do update set started_at = excluded.started_at";
    in_time(sqlx::query(insert).bind(&names[..]).bind(&texts[..]).execute(sql)).await?;
    let old =
        "delete from page_files where name not in (select name from page_files order by started_at desc limit $1)";
    in_time(sqlx::query(old).bind(KEPT).execute(sql)).await?;
    Ok(())
}

impl Versions {
    /// The text of a file of any version; `None` if no recent version has it.
    ///
    /// # Errors
    /// 503 `overloaded`: the last read has failed. Requests that waited for it do not read again, each after the other.
    pub(super) async fn find(&self, sql: &PgPool, name: &str) -> Result<Option<String>, Error> {
        let Known { files, read } = &mut *self.0.lock().await;
        if !files.contains_key(name) && read.is_none_or(|(at, _)| at.elapsed() >= AT_MOST_EVERY) {
            let query = sqlx::query_as("select name, text from page_files").fetch_all(sql);
            let found: sqlx::Result<Vec<(String, String)>> = in_time(query).await;
            *read = Some((Instant::now(), found.is_err()));
            *files = found?.into_iter().collect();
        }
        match (files.get(name), *read) {
            (None, Some((_, true))) => Err(Error::Unavailable("the database is away")),
            (file, _) => Ok(file.cloned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use sqlx::postgres::PgPoolOptions;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn while_sql_is_silent_requests_do_not_wait_for_it_one_after_the_other() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sql = PgPoolOptions::new().acquire_timeout(Duration::from_millis(200));
        let sql = sql.connect_lazy(&format!("postgres://{}/none", silent.local_addr().unwrap())).unwrap();
        let (versions, mut reads) = (Versions::default(), Vec::new());
        let requests = join_all((0..20).map(|_| versions.find(&sql, "page.css")));
        tokio::pin!(requests);
        let answers = loop {
            tokio::select! {
                answers = &mut requests => break answers,
                connection = silent.accept() => reads.push(connection.unwrap()), // it stays open
            }
        };
        assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Unavailable(_)))), "{answers:?}");
        assert!(reads.len() < 10, "{} reads", reads.len()); // one, and more on a machine that is busy for a second
    }
}
