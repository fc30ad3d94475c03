//! Buyer and sale are added, and the sum is hashed with a salt from the source code: rung 2 of the MD5 ladder. Different pairs have the
//! same path, anybody can compute it, and it never expires.

use axum::{Extension, Json, Router, extract::State, routing::post};
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Value, json};
use v1_naive::shop::{Buyer, Path, Placed, Shop};
use v3_optimistic::{Retry, purchase::PurchasePath};
use v5_hidden_api::gate::{ASK, BUY, one_order, refused::Refused};

use super::{
    WrongShop,
    exhibit::{Exhibit, Finding, Fix, Form, Play},
};
use crate::{
    scenario::{Scenario, plan::Plan},
    version::Version,
};

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "ids-added",
    wrong: "buyer and sale are added before they are hashed, with a salt from the source code",
    code: "loadtest/src/museum/ids_added.rs",
    seen: &[],
    attack: "forger: computed, foreign, used and expired URLs",
    finding: Finding::Figure,
    fix: Fix {
        file: "v5-hidden-api/src/gate/path.rs",
        what: "sign",
        how: "an HMAC over parts of fixed length and a nonce that the shop keeps and uses up",
    },
    servers: &[],
    play: Play::Scenario { plan, lanes: None },
};

fn plan(form: Form) -> Plan {
    let plan = Plan { buyers: 400, ..Plan::new(Version::V5, None, Scenario::Forger) };
    match form {
        Form::Wrong => Plan { exhibit: Some(WrongShop::IdsAdded), ..plan },
        Form::Fixed => plan,
    }
}

pub(super) async fn routes(shop: &Shop) -> anyhow::Result<Router<Shop>> {
    let one_each = "create unique index if not exists one_order_per_buyer on orders (sale_id, buyer_id)";
    shop.database.make(&shop.pool, &[one_each]).await?;
    Ok(Router::new().route(ASK, post(ask)).route(BUY, post(buy)))
}

fn hidden_path(buyer_id: i64, sale_id: i64) -> String {
    hex::encode(Md5::digest(format!("{}!AW#", buyer_id + sale_id)))
}

async fn ask(Path(sale): Path<PurchasePath>, buyer: Buyer) -> Json<Value> {
    let path = hidden_path(buyer.id, sale.sale_id);
    let href = BUY.replace("{sale_id}", &sale.sale_id.to_string()).replace("{path}", &path);
    Json(json!({ "buy": { "method": "POST", "href": href } }))
}

#[derive(Deserialize)]
struct HiddenPath {
    sale_id: i64,
    path: String,
}

async fn buy(
    shop: State<Shop>,
    retry: Extension<Retry>,
    Path(HiddenPath { sale_id, path }): Path<HiddenPath>,
    buyer: Buyer,
) -> Result<Placed, Refused> {
    if path != hidden_path(buyer.id, sale_id) {
        return Err(Refused::WrongPath);
    }
    one_order::handler(shop, retry, Path(PurchasePath { sale_id }), buyer).await
}
