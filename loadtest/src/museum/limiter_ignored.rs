//! The rate limiter is asked for each request, and its answer is dropped. It counts, and it limits nothing.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use futures_util::future::LocalBoxFuture;
use v1_naive::shop::Shop;
use v3_optimistic::purchase;
use v4_ratelimit::rate_limit::RateLimit;

use super::{
    WrongShop,
    burst::{Burst, burst},
    exhibit::{Exhibit, Finding, Fix, Form, Play},
    play::{Kit, Seen},
};
use crate::{
    scenario::{Scenario, plan::Plan},
    version::Version,
};

/// The tokens of a client's bucket, and those that it gets each second: chapter 4's defaults.
const TOKENS: usize = 10;
const PER_SECOND: usize = 5;

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "limiter-ignored",
    wrong: "the rate limiter is asked, and its answer is thrown away",
    code: "loadtest/src/museum/limiter_ignored.rs",
    seen: &[],
    attack: "a burst: one client sends 60 requests at once",
    finding: Finding::Figure,
    fix: Fix {
        file: "v4-ratelimit/src/rate_limit.rs",
        what: "layer",
        how: "return the refusal: `?`, and no `let _ =` in front of a result",
    },
    servers: &[],
    play: Play::Own(play),
};

pub(super) fn routes(limit: Arc<RateLimit>) -> Router<Shop> {
    purchase::routes().layer(from_fn_with_state(limit, layer))
}

async fn layer(
    State(limit): State<Arc<RateLimit>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let _ = limit.admit(limit.clients.client(peer, request.headers())).await;
    next.run(request).await
}

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    let plan = Plan::new(Version::V4, None, Scenario::Stampede);
    let plan = match form {
        Form::Wrong => Plan { exhibit: Some(WrongShop::LimiterIgnored), ..plan },
        Form::Fixed => plan,
    };
    Box::pin(async move {
        let Burst { passed, sent, took } = burst(kit.lab, &plan, |n| n as i64 + 1).await?;
        let allowed = TOKENS + PER_SECOND * took.as_secs_f64().ceil() as usize;
        let line = format!("{passed} of {sent} requests of one client passed; its bucket allows {allowed}");
        Ok(Seen::figure(line, passed <= allowed))
    })
}
