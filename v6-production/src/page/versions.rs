//! The page's files of other versions. During a deployment, a browser may get the page from an old instance and request its files
//! from a new one. So each version writes its files to SQL, where other versions find them.

use std::{collections::HashMap, time::Duration};

use sqlx::PgPool;
use tokio::{sync::Mutex, time::Instant};

use super::files::FILES;
use crate::sql::in_time;

/// The shortest time between two reads of the files, whatever is requested.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// How many files SQL keeps: the two files of the last twenty versions.
const KEPT: i64 = 40;

/// The files of recent versions, and when they were read.
#[derive(Default)]
pub(crate) struct Versions(Mutex<(Option<Instant>, HashMap<String, String>)>);

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
    pub(super) async fn find(&self, sql: &PgPool, name: &str) -> sqlx::Result<Option<String>> {
        let (read_at, files) = &mut *self.0.lock().await;
        if !files.contains_key(name) && read_at.is_none_or(|at| at.elapsed() >= AT_MOST_EVERY) {
            let query = sqlx::query_as("select name, text from page_files").fetch_all(sql);
            let read: Vec<(String, String)> = in_time(query).await?;
            (*read_at, *files) = (Some(Instant::now()), read.into_iter().collect());
        }
        Ok(files.get(name).cloned())
    }
}
