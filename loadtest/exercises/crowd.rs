//! A sale in an embedded database, for the checks. There is nothing to change here.

#![allow(dead_code, reason = "each check uses its own part")]

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

use clap::Parser;
use tempfile::TempDir;
use v1_naive::shop::{self, Shop, config::sqlite_url};

/// If this is set, this process is the second instance; its value is the database's URL.
const SECOND: &str = "OVERSOLD_SECOND_INSTANCE";

/// What the second instance says when it is ready.
const READY: &str = "ready";

/// The id of the sale.
pub const SALE: i64 = 1;

/// A SQLite file. It is deleted when this is dropped.
pub struct Database {
    _folder: TempDir,
    /// The file's URL, which a second instance opens, too.
    pub url: String,
}

/// What the database holds.
pub struct Rows {
    /// The number of orders.
    pub orders: i64,
    /// The sale's own counter.
    pub sold: i64,
}

impl Database {
    /// A new one.
    pub fn new() -> Result<Database, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        let url = sqlite_url(&folder.path().join("shop.db")).map_err(text)?.to_string();
        Ok(Database { _folder: folder, url })
    }
}

/// A second process of this program, which is the second instance.
pub struct Second {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Second {
    /// The database's URL if this process is the second one.
    pub fn is_this() -> Option<String> {
        std::env::var(SECOND).ok()
    }

    /// Starts it, and waits until it is ready.
    pub fn start(url: &str) -> Result<Second, String> {
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        let command = command.args(std::env::args_os().skip(1)).env(SECOND, url);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(text)?;
        let lines = BufReader::new(process.stdout.take().ok_or("the second instance has no output")?).lines();
        let mut second = Second { process, lines };
        while second.line()? != READY {}
        Ok(second)
    }

    /// In the second process: says that it is ready, and waits for [`Second::go`]. It ends with the first process.
    pub fn is_ready() -> Result<(), String> {
        println!("{READY}");
        let read = || std::io::stdin().read_line(&mut String::new());
        read().map_err(text)?;
        std::thread::spawn(move || {
            let _ = read();
            std::process::exit(1);
        });
        Ok(())
    }

    /// Lets it begin.
    pub fn go(&mut self) -> Result<(), String> {
        let input = self.process.stdin.as_mut().ok_or("the second instance has no input")?;
        input.write_all(b"go\n").map_err(text)
    }

    /// Waits for its end. The result is its last line, which its check has returned.
    pub fn result(mut self) -> Result<String, String> {
        let mut last = self.line()?;
        for line in &mut self.lines {
            last = line.map_err(text)?;
        }
        self.process.wait().map_err(text)?;
        Ok(last)
    }

    fn line(&mut self) -> Result<String, String> {
        self.lines.next().ok_or("the second instance has failed")?.map_err(text)
    }
}

/// The settings of an instance on this database, whose sale has this stock.
pub fn config(url: &str, stock: i64) -> Result<shop::Config, String> {
    let args = ["shop", "--database-url", url, "--stock", &stock.to_string(), "--log", "off"];
    v1_naive::Config::try_parse_from(args).map(|config| config.shop).map_err(text)
}

/// An instance of chapter 1's shop, with two connections. SQLite has no queue for its lock: of many who wait for it on a busy machine,
/// one may wait longer than SQLite allows. Who waits for a connection is in a queue.
pub async fn instance(url: &str, stock: i64) -> Result<Shop, String> {
    let config = shop::Config { pool_size: 2, ..config(url, stock)? };
    Shop::open(&config, "/sales/{sale_id}/purchase").await.map_err(text)
}

/// Reads what the database holds.
pub async fn rows(shop: &Shop) -> Result<Rows, String> {
    let orders = sqlx::query_scalar("select count(*) from orders").fetch_one(&shop.pool).await.map_err(text)?;
    let sold = sqlx::query_scalar("select sold from sales where id = 1").fetch_one(&shop.pool).await.map_err(text)?;
    Ok(Rows { orders, sold })
}

/// Works until done, on all processors.
pub fn block_on(work: impl Future<Output = Result<String, String>>) -> Result<String, String> {
    tokio::runtime::Runtime::new().map_err(text)?.block_on(work)
}

/// The text of an error.
pub fn text(error: impl std::fmt::Display) -> String {
    format!("the check itself failed: {error}")
}
