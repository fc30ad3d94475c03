//! The mutants' shop, and the place of each bug.

use std::{
    collections::HashMap,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::post,
};
use clap::Parser;
use serde::Deserialize;
use serde_json::json;
use sqlx::{Any, Transaction};
use tokio::sync::Semaphore;
use v1_naive::shop::{self, Buyer, Error, Path, Placed, Shop, header_login, problem, sales::now_ms};
use v4_ratelimit::rate_limit::client_limit::{self, ClientLimit};
use v5_hidden_api::gate::{ASK, BUY};

use super::Mutant;

/// How many requests a buyer may send; a purchase takes two.
const REQUESTS: u32 = 6;
/// How long the slow shop takes.
const SLOW: Duration = Duration::from_secs(40);
/// The buyer for whom a wrong order is stored.
const OTHER: i64 = 1_000_000_000;

/// The settings of chapter 5, whose gates this shop has. Unlike chapter 5 it keeps the gates' state in the database, so that any
/// number of instances can be started and stopped.
#[derive(Parser)]
pub struct Settings {
    /// The seeded bug
    mutant: Mutant,

    #[command(flatten)]
    shop: v5_hidden_api::Config,
}

struct Rules {
    mutant: Mutant,
    path_ttl_ms: i64,
    requests: Mutex<HashMap<i64, u32>>,
    has_sold: AtomicBool,
    /// One lock for each sale: its buyers take turns, and a crowd does not delay the buyers of another sale.
    turns: Mutex<HashMap<i64, Arc<Semaphore>>>,
}

/// Serves until a stop is requested.
pub async fn serve(args: &[String]) -> ExitCode {
    let config: Settings = shop::parse_from(std::iter::once("mutant").chain(args.iter().map(String::as_str)));
    shop::run(&config.shop.shop, app(&config)).await
}

async fn app(config: &Settings) -> anyhow::Result<Router> {
    let (settings, mutant) = (&config.shop, config.mutant);
    let shop = Shop::open(&settings.shop, ASK).await?;
    let paths = "create table if not exists paths (
                     path text primary key, sale_id bigint not null, buyer_id bigint not null, made_at bigint not null)";
    let one_each = "create unique index if not exists one_each on orders (sale_id, buyer_id)";
    let schema = if mutant == Mutant::SellsTwice { vec![paths] } else { vec![paths, one_each] };
    shop.database.make(&shop.pool, &schema).await?;
    let clients = ClientLimit::new(&settings.limits.clients)?;
    let path_ttl_ms = settings.rules.path_ttl.as_millis() as i64;
    let (requests, has_sold, turns) = Default::default();
    let rules = Rules { mutant, path_ttl_ms, requests, has_sold, turns };
    let purchase = Router::new()
        .route(ASK, post(ask))
        .route(BUY, post(buy))
        .layer(Extension(Arc::new(rules)))
        .layer(from_fn_with_state(clients, client_limit::layer));
    Ok(shop.router(purchase).layer(from_fn(header_login)))
}

#[derive(Deserialize)]
struct SalePath {
    sale_id: i64,
}

#[derive(Deserialize)]
struct HiddenPath {
    sale_id: i64,
    path: String,
}

/// Issues a purchase URL.
async fn ask(
    State(shop): State<Shop>,
    rules: Extension<Arc<Rules>>,
    Path(SalePath { sale_id }): Path<SalePath>,
    buyer: Buyer,
) -> Result<Response, Response> {
    rules.admit(&shop, sale_id, buyer).await?;
    let path = format!("{:032x}", fastrand::u128(..));
    let insert = sqlx::query("insert into paths (path, sale_id, buyer_id, made_at) values ($1, $2, $3, $4)");
    let insert = insert.bind(&path).bind(sale_id).bind(buyer.id).bind(now_ms());
    insert.execute(&shop.pool).await.map_err(refused)?;
    let href = BUY.replace("{sale_id}", &sale_id.to_string()).replace("{path}", &path);
    Ok(Json(json!({ "buy": { "method": "POST", "href": href } })).into_response())
}

/// Sells a unit, or does what the bug does instead.
async fn buy(
    State(shop): State<Shop>,
    rules: Extension<Arc<Rules>>,
    Path(HiddenPath { sale_id, path }): Path<HiddenPath>,
    Buyer { id }: Buyer,
) -> Result<Response, Response> {
    let turn = rules.turn(sale_id);
    let in_turn = turn.acquire().await;
    rules.admit(&shop, sale_id, Buyer { id }).await?;
    rules.redeem(&shop, sale_id, id, &path).await?;
    match rules.mutant {
        Mutant::Right | Mutant::LosesHundredth => {}
        Mutant::AlwaysSoldOut => return Err(Error::SoldOut.into_response()),
        Mutant::AlwaysClosed => return Err(closed()),
        Mutant::Overloaded => return Err(Error::Overloaded.into_response()),
        Mutant::Garbage => return Ok((StatusCode::OK, "<html><body>It works!</body></html>").into_response()),
        Mutant::FirstBuyerOnly if rules.has_sold.swap(true, SeqCst) => return Err(Error::SoldOut.into_response()),
        Mutant::FirstBuyerOnly => {}
        Mutant::SellsTwice => drop(sell(&shop, rules.mutant, sale_id, id).await),
        Mutant::StoresNothing => return Ok(Placed(fastrand::i64(1..OTHER)).into_response()),
        Mutant::TellsNo => {
            sell(&shop, rules.mutant, sale_id, id).await.map_err(refused)?;
            return Err(Error::SoldOut.into_response());
        }
        Mutant::Fails => {
            sell(&shop, rules.mutant, sale_id, id).await.map_err(refused)?;
            return Err(problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something failed"));
        }
        Mutant::Slow => {
            drop(in_turn);
            tokio::time::sleep(SLOW).await;
        }
        Mutant::OtherBuyer => {
            return Ok(sell(&shop, rules.mutant, sale_id, id + OTHER).await.map_err(refused)?.into_response());
        }
    }
    Ok(sell(&shop, rules.mutant, sale_id, id).await.map_err(refused)?.into_response())
}

fn closed() -> Response {
    problem(StatusCode::GONE, "closed", "the sale is over")
}

/// Chapter 3's condition in the update itself. It is correct on one row, with any number of instances.
async fn sell(shop: &Shop, mutant: Mutant, sale_id: i64, buyer_id: i64) -> Result<Placed, Error> {
    let mut tx: Transaction<'_, Any> = shop.pool.begin().await?;
    let sold = sqlx::query("update sales set sold = sold + 1 where id = $1 and sold < stock")
        .bind(sale_id)
        .execute(&mut *tx)
        .await?
        .rows_affected();
    if sold == 0 {
        return Err(Error::SoldOut);
    }
    let order_id: i64 = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&mut *tx)
        .await?;
    if mutant == Mutant::LosesHundredth && order_id % 100 == 0 {
        // The row stays, so that its id is not used again.
        sqlx::query("update orders set status = 'lost' where id = $1").bind(order_id).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(Placed(order_id))
}

impl Rules {
    fn turn(&self, sale_id: i64) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(sale_id).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
    }

    /// Checks the sale's opening hours and the frequency cap.
    async fn admit(&self, shop: &Shop, sale_id: i64, buyer: Buyer) -> Result<(), Response> {
        let window = sqlx::query_as("select opens_at, closes_at from sales where id = $1").bind(sale_id);
        let window: Option<(i64, i64)> = window.fetch_optional(&shop.pool).await.map_err(refused)?;
        let (opens_at, closes_at) = window.ok_or_else(|| Error::NotFound.into_response())?;
        let now = now_ms();
        if now < opens_at {
            return Err(problem(StatusCode::FORBIDDEN, "not-open", "the sale has not opened yet"));
        }
        if now >= closes_at {
            return Err(closed());
        }
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = requests.entry(buyer.id).or_default();
        *asked += 1;
        match *asked {
            ..=REQUESTS => Ok(()),
            _ => Err(problem(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "too many requests; wait")),
        }
    }

    /// Redeems a purchase URL: it must be this buyer's, unexpired and unused.
    async fn redeem(&self, shop: &Shop, sale_id: i64, buyer_id: i64, path: &str) -> Result<(), Response> {
        let take = sqlx::query("delete from paths where path = $1 and sale_id = $2 and buyer_id = $3 and made_at > $4");
        let take = take.bind(path).bind(sale_id).bind(buyer_id).bind(now_ms() - self.path_ttl_ms);
        match take.execute(&shop.pool).await.map_err(refused)?.rows_affected() {
            1 => Ok(()),
            _ => Err(problem(StatusCode::NOT_FOUND, "wrong-path", "this is no address to buy at; ask for a new one")),
        }
    }
}

/// The unique index refuses a second order of the same buyer; other errors are handled as in every chapter.
fn refused(error: impl Into<Error>) -> Response {
    match error.into() {
        Error::Internal(sqlx::Error::Database(cause)) if cause.is_unique_violation() => {
            problem(StatusCode::CONFLICT, "limit-reached", "one unit for each buyer, and you have yours")
        }
        error => error.into_response(),
    }
}
