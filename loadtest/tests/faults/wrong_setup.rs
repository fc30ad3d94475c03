//! A wrong set-up is reported at once, with the remedy; and a start does not disturb running instances. Chapter 6 on its real
//! servers.

use std::{process::Output, time::Duration};

use crate::support::{
    Shop, loadtest,
    production::{Production, shared},
};
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use loadtest::{lab::servers::Server, version::Version};
use sqlx::Executor;
use tokio::{process::Command, time::timeout};
use url::Url;

/// Runs a version's program until it ends by itself.
async fn ends(version: Version, args: &[String]) -> Output {
    let mut program = Command::new(loadtest());
    program.args(["serve", version.name(), "--listen", "127.0.0.1:0"]).args(args).kill_on_drop(true);
    timeout(Duration::from_secs(30), program.output()).await.expect("it ends by itself").unwrap()
}

/// Asserts that the program ends with exit code 4 and one line with these words.
pub(super) async fn says(version: Version, args: &[String], words: &[&str]) {
    let output = ends(version, args).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!((output.status.code(), errors.len()), (Some(4), 1), "{said}");
    assert!(words.iter().all(|word| errors[0].contains(word)), "{words:?}: {}", errors[0]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_permanent_error_is_reported_with_its_remedy() {
    let sale = Production::new(shared(), 5).await;
    let (postgres, redis, amqp) = (&sale.database.url, &sale.stores.redis, &sale.stores.amqp);
    let with = |url: &Url, change: fn(&mut Url)| {
        let mut url = url.clone();
        change(&mut url);
        url
    };
    let wrong_password = |url: &mut Url| url.set_password(Some("wrong")).unwrap();
    let cases = [
        (Server::Postgres, with(postgres, wrong_password), ["password", "correct user and password in DATABASE_URL"]),
        (Server::Postgres, with(postgres, |url| url.set_path("nowhere")), ["nowhere", "createdb"]),
        (Server::Postgres, with(postgres, |url| url.set_query(Some("sslmode=require"))), ["TLS", "sslmode=disable"]),
        (Server::Redis, with(redis, wrong_password), ["Redis", "correct user and password in REDIS_URL"]),
        (Server::RabbitMq, with(amqp, wrong_password), ["RabbitMQ", "correct user and password in AMQP_URL"]),
        (Server::RabbitMq, with(amqp, |url| url.set_path("nowhere")), ["nowhere", "add_vhost"]),
    ];
    let all = cases.map(|(server, url, words)| {
        let args = sale.args_with(server, &url, &[]);
        async move { says(Version::V6, &args, &words).await }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_queue_of_another_type_is_said() {
    let sale = Production::new(shared(), 5).await;
    let connection = sale.stores.queues().await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let queue = format!("{}.orders", sale.stores.namespace);
    channel.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await.unwrap();
    says(Version::V6, &sale.args(&[]), &[&queue, "delete_queue", "NAMESPACE"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn tables_of_another_chapter_are_refused() {
    let sale = Production::new(shared(), 5).await;
    let first = Shop::start(Version::V1, "postgres", 5, &[]).await;
    let args = sale.args_with(Server::Postgres, &first.database.url, &[]);
    says(Version::V6, &args, &["table orders", "createdb", "DATABASE_URL"]).await;
    let sixth = ["--database-url".to_owned(), sale.database.url.to_string()];
    says(Version::V1, &sixth, &["table orders", "createdb", "DATABASE_URL"]).await;
    // They accept their own tables, also the second time.
    let own = ["--database-url".to_owned(), first.database.url.to_string()];
    let log = first.lab.folder.path().join("again");
    loadtest::lab::shop_process::ShopProcess::start(&first.lab.loadtest, Version::V1, &own, log).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_start_locks_no_table_when_nothing_has_to_change() {
    let sale = Production::new(shared(), 5).await;
    let first = sale.instance(&[]).await;
    // Other sessions are writing an order and selling a unit.
    let mut writer = sale.pool.begin().await.unwrap();
    writer.execute("lock table orders in row exclusive mode").await.unwrap();
    writer.execute("select from sales for update").await.unwrap();
    let second = sale.instance(&[]).await;
    let locks = "select count(*) from pg_locks where relation = 'orders'::regclass
                 and mode not in ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')";
    let locks: i64 = sqlx::query_scalar(locks).fetch_one(&sale.pool).await.unwrap();
    assert_eq!(locks, 0);
    writer.rollback().await.unwrap();
    drop((first, second));
}

/// Two shops on one database would sell the same units.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_database_is_one_shops() {
    let sale = Production::new(shared(), 5).await;
    let mut args = sale.args(&[]);
    let at = args.iter().position(|arg| arg == "--namespace").unwrap();
    args[at + 1] = "another".into();
    says(Version::V6, &args, &[&sale.stores.namespace, "\"another\"", "NAMESPACE", "createdb"]).await;
    args.push("rebuild".into());
    says(Version::V6, &args, &["\"another\"", "NAMESPACE"]).await;
    sale.instance(&[]).await; // the first one continues
}
