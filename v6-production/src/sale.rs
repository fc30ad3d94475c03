use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    error::Error,
    headers::FOR_A_SECOND,
    links::{self, SalePath},
    shop::{self, Path},
    short_link,
};

/// `GET /sales/{sale_id}`: one sale. The answer is the same for all buyers, so that the edge can cache it; the first step of a
/// purchase is the login.
///
/// # Errors
/// 404 `not-found`: there is no such sale, or it ended more than a day ago; 503 `overloaded`.
pub(crate) async fn show(app: State<App>, Path(path): Path<SalePath>) -> Result<impl IntoResponse, Error> {
    let sale = app.catalogue.find(path.sale_id).await?;
    let mut body = json!(*sale);
    body["server_time"] = app.now_ms(sale.id).into();
    body["buy"] = links::post(&links::session(Some(sale.id)));
    body["link"] = links::short(sale.id).into();
    Ok(([(header::CACHE_CONTROL, FOR_A_SECOND)], Json(body)))
}

/// The code in a short address.
#[derive(Deserialize)]
pub(crate) struct ShortPath {
    code: String,
}

/// `GET /s/{code}`: redirects to the page of the sale with this code.
///
/// # Errors
/// 404 `not-found`: this is no code, or there is no such sale; 503 `overloaded`.
pub(crate) async fn follow(app: State<App>, Path(ShortPath { code }): Path<ShortPath>) -> Result<Response, Error> {
    let sale_id = short_link::sale_id(&code).ok_or(Error::Shop(shop::Error::NotFound))?;
    let sale = app.catalogue.find(sale_id).await?;
    Ok((StatusCode::FOUND, [(header::LOCATION, links::page(sale.id))]).into_response())
}
