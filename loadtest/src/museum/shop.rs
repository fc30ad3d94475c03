//! Serves the exhibits that are shops. Each replaces one part of its chapter's shop, and the rest is the chapter's.

use std::process::ExitCode;

use axum::{Extension, Router, middleware::from_fn};
use clap::Parser;
use v1_naive::shop::{self, header_login};
use v3_optimistic::purchase;
use v4_ratelimit::rate_limit::RateLimit;
use v5_hidden_api::gate;

use super::{WrongShop, cap_read_then_write, ids_added, limiter_ignored, one_too_many};

/// The settings of chapter 5, which include those of the chapters before.
#[derive(Parser)]
pub struct Settings {
    /// The exhibit
    exhibit: WrongShop,

    #[command(flatten)]
    shop: v5_hidden_api::Config,
}

/// Serves until a stop is requested.
pub async fn serve(args: &[String]) -> ExitCode {
    let settings: Settings = shop::parse_from(std::iter::once("exhibit").chain(args.iter().map(String::as_str)));
    shop::run(&settings.shop.shop, app(&settings)).await
}

async fn app(settings: &Settings) -> anyhow::Result<Router> {
    let config = &settings.shop;
    let first_step = match settings.exhibit {
        WrongShop::OneTooMany | WrongShop::LimiterIgnored => purchase::BUY,
        WrongShop::CapReadThenWrite | WrongShop::IdsAdded => gate::ASK,
    };
    let shop = v3_optimistic::open(&config.shop, first_step).await?;
    let purchase = match settings.exhibit {
        WrongShop::OneTooMany => one_too_many::routes(),
        WrongShop::LimiterIgnored => limiter_ignored::routes(RateLimit::new(&config.limits)?),
        WrongShop::CapReadThenWrite => cap_read_then_write::routes(config, &shop).await?,
        WrongShop::IdsAdded => ids_added::routes(&shop).await?,
    };
    Ok(shop.router(purchase).layer(Extension(config.retry)).layer(from_fn(header_login)))
}
