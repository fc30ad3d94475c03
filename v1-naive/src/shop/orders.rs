use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Buyer, Error, Path, Shop};

/// The answer to a successful purchase: 201 with the order's id and URL.
#[derive(Debug)]
pub struct Placed(
    /// The order's id.
    pub i64,
);

impl IntoResponse for Placed {
    fn into_response(self) -> Response {
        let location = [(header::LOCATION, format!("/orders/{}", self.0))];
        let body = json!({ "order_id": self.0, "status": "confirmed" });
        (StatusCode::CREATED, location, Json(body)).into_response()
    }
}

#[derive(Deserialize)]
pub(super) struct OrderPath {
    order_id: i64,
}

/// `GET /orders/{order_id}`: an order of this buyer. Another buyer's order is answered like one that does not exist.
pub(super) async fn show(
    State(shop): State<Shop>,
    Path(path): Path<OrderPath>,
    buyer: Buyer,
) -> Result<Json<Value>, Error> {
    let query = sqlx::query_as("select sale_id, status from orders where id = $1 and buyer_id = $2");
    let order = query.bind(path.order_id).bind(buyer.id).fetch_optional(&shop.pool).await?;
    let (sale_id, status): (i64, String) = order.ok_or(Error::NotFound)?;
    Ok(Json(json!({ "order_id": path.order_id, "sale_id": sale_id, "status": status })))
}
