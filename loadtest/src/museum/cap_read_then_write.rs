//! The frequency cap reads the number of tries, compares it and writes it back. Requests that a buyer sends at once all read the same
//! number, and all pass: check-then-act, as in chapter 1.

use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::post,
};
use futures_util::future::LocalBoxFuture;
use v1_naive::shop::{Buyer, Error, Shop};
use v5_hidden_api::{
    Config,
    gate::{ASK, BUY, Gates, clock::Clock, one_order, path, refused::Refused},
};

use super::{
    WrongShop,
    burst::{Burst, burst},
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
};
use crate::{
    scenario::{Scenario, plan::Plan},
    version::Version,
};

/// The requests of a buyer in ten seconds: chapter 5's default.
const LIMIT: i64 = 6;
/// The most bursts, each at a new shop. On a busy machine the requests of one can come one after the other, and none reads too early.
const BURSTS: usize = 5;
const WINDOW: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "cap-read-then-write",
    wrong: "the frequency cap reads the count, compares it and writes it back",
    code: "loadtest/src/museum/cap_read_then_write.rs",
    seen: &[
        Source::Thread("TerminalWitchcraft/actix-ratelimit", 16, "get, then decrement: two requests read the last one"),
        Source::Thread("idenplane/idenplane", 396, "get, add one, set"),
    ],
    attack: "bursts: one buyer sends 60 requests at once, five times at most",
    finding: Finding::Figure,
    fix: Fix {
        file: "v5-hidden-api/src/gate/frequency.rs",
        what: "count",
        how: "count and compare in one step, under one lock; in Redis, in one script",
    },
    servers: &[],
    play: Play::Own(play),
};

pub(super) async fn routes(config: &Config, shop: &Shop) -> anyhow::Result<Router<Shop>> {
    let table = "create table if not exists tries (buyer_id bigint primary key, n bigint not null)";
    shop.database.make(&shop.pool, &[table]).await?;
    let gates = Gates::new(&config.rules, shop, Clock::default()).await?;
    let ask = post(path::issue).layer(Extension(gates.clone()));
    let buy = post(one_order::handler).layer(from_fn_with_state(gates, path::layer));
    Ok(Router::new().route(ASK, ask).route(BUY, buy).layer(from_fn_with_state(shop.clone(), cap)))
}

async fn cap(State(shop): State<Shop>, buyer: Buyer, request: Request, next: Next) -> Result<Response, Refused> {
    let read = sqlx::query_scalar("select n from tries where buyer_id = $1").bind(buyer.id);
    let n: i64 = read.fetch_optional(&shop.pool).await.map_err(Error::from)?.unwrap_or_default();
    if n >= LIMIT {
        return Err(Refused::TooOften(WINDOW));
    }
    // Until this write, all others read the same number.
    let write = "insert into tries (buyer_id, n) values ($1, $2) on conflict (buyer_id) do update set n = $2";
    sqlx::query(write).bind(buyer.id).bind(n + 1).execute(&shop.pool).await.map_err(Error::from)?;
    Ok(next.run(request).await)
}

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    // The limit by IP address is not under test.
    let shop_args = ["--client-rate=10000", "--client-burst=10000"].map(str::to_owned).to_vec();
    let plan = Plan { shop_args, ..Plan::new(Version::V5, None, Scenario::Stampede) };
    let plan = match form {
        Form::Wrong => Plan { exhibit: Some(WrongShop::CapReadThenWrite), ..plan },
        Form::Fixed => plan,
    };
    Box::pin(async move {
        let mut bursts = 0;
        loop {
            let Burst { passed, sent, .. } = burst(kit.lab, &plan, |_| 7).await?;
            bursts += 1;
            let holds = passed as i64 <= LIMIT;
            if !holds || bursts == BURSTS {
                let line =
                    format!("{passed} of {sent} requests of one buyer passed; the cap is {LIMIT} in ten seconds");
                return Ok(Seen::figure(line, holds));
            }
        }
    })
}
