use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::expiring::Full;
use crate::{
    rate_limit::Refusal,
    shop::{Error, problem},
};

/// Why a gate lets a request no further.
#[derive(Debug)]
pub enum Refused {
    /// 403 `not-open`: the sale opens later.
    NotOpen,
    /// 410 `closed`: the sale is over.
    Closed,
    /// 429 `rate-limited`: the buyer's count starts again after this time.
    TooOften(Duration),
    /// 404 `wrong-path`: made up, somebody else's, used, too old, or for a sale that does not exist; nobody is told which.
    WrongPath,
    /// 409 `limit-reached`: the buyer has a unit.
    LimitReached,
    /// As the shop without gates answers.
    Shop(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Shop(error)
    }
}

impl From<Full> for Refused {
    fn from(Full: Full) -> Refused {
        Refused::Shop(Error::Overloaded)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Refused::NotOpen => problem(StatusCode::FORBIDDEN, "not-open", "the sale has not opened yet"),
            Refused::Closed => problem(StatusCode::GONE, "closed", "the sale is over"),
            Refused::TooOften(wait) => Refusal::TooFast(wait).into_response(),
            Refused::WrongPath => {
                problem(StatusCode::NOT_FOUND, "wrong-path", "this is no address to buy at; ask for a new one")
            }
            Refused::LimitReached => {
                problem(StatusCode::CONFLICT, "limit-reached", "one unit for each buyer, and you have yours")
            }
            Refused::Shop(error) => error.into_response(),
        }
    }
}
