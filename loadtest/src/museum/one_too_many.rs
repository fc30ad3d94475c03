//! The condition is in the update, where it belongs, and lets one unit too many through: `sold <= stock` is still true when all units
//! are sold.

use axum::{Router, extract::State, routing::post};
use v1_naive::shop::{Buyer, Error, Path, Placed, Shop};
use v3_optimistic::purchase::{BUY, PurchasePath};

use super::{
    WrongShop,
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    of_chapters::crowd,
};
use crate::{
    scenario::{Scenario, plan::Plan},
    version::{Variant, Version},
};

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "one-too-many",
    wrong: "it compares with less-or-equal, and sells one unit more than there are",
    code: "loadtest/src/museum/one_too_many.rs",
    seen: &[
        Source::Thread("GuoZhaoran/spikeSystem", 14, "with `>=` the script sells one more than there are"),
        Source::File("bazhihu/micro-go", "seckill/remote/remote.go"),
    ],
    attack: "stampede: 400 buyers for 100 units",
    finding: Finding::Oversold,
    fix: Fix {
        file: "v3-optimistic/src/variants/conditional.rs",
        what: "purchase",
        how: "sell only while fewer are sold than there are",
    },
    servers: &[],
    play: Play::Scenario { plan, lanes: None },
};

fn plan(form: Form) -> Plan {
    match form {
        Form::Wrong => Plan { exhibit: Some(WrongShop::OneTooMany), ..crowd(Version::V3, None, Scenario::Stampede) },
        Form::Fixed => crowd(Version::V3, Some(Variant::Conditional), Scenario::Stampede),
    }
}

pub(super) fn routes() -> Router<Shop> {
    Router::new().route(BUY, post(purchase))
}

async fn purchase(shop: State<Shop>, Path(path): Path<PurchasePath>, buyer: Buyer) -> Result<Placed, Error> {
    let mut tx = shop.pool.begin().await?;
    let sell = "update sales set sold = sold + 1 where id = $1 and sold <= stock";
    if sqlx::query(sell).bind(path.sale_id).execute(&mut *tx).await?.rows_affected() == 0 {
        return Err(Error::SoldOut);
    }
    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(path.sale_id)
        .bind(buyer.id)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Placed(order_id))
}
