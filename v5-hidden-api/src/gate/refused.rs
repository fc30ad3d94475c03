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

/// Why a gate refuses a request.
#[derive(Debug)]
pub enum Refused {
    /// 403 `not-open`: the sale opens later.
    NotOpen,
    /// 410 `closed`: the sale is over.
    Closed,
    /// 429 `rate-limited`: the buyer's window ends after this time.
    TooOften(Duration),
    /// 404 `wrong-path`: the path is forged, another buyer's, used or expired, or the sale does not exist. The answer does not say
    /// which, so that an attacker learns nothing.
    WrongPath,
    /// 409 `limit-reached`: the buyer has a unit already.
    LimitReached,
    /// A refusal by the shop behind the gates.
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
