//! A sequence names the unit: who gets a number above the stock is refused. No lock lasts until the commit, because a sequence is
//! not transactional. So a number whose order fails is lost, and so is its unit.

use sqlx::PgConnection;

use super::{Statements, database::order};
use crate::ways::way::{Answer, Gap};

pub(super) struct Sequence;

impl Statements for Sequence {
    const SET_UP: &str = "
        do $$ declare item bigint; begin
            for item in select id from items loop
                execute format('create sequence if not exists unit_%s', item);
                execute format('alter sequence unit_%s restart', item);
            end loop;
        end $$;
    ";

    async fn take(db: &mut PgConnection, _: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let next = "select stock, nextval('unit_' || id) from items where id = $1";
        let (stock, unit): (i64, i64) = sqlx::query_as(next).bind(item).fetch_one(&mut *db).await?;
        if unit > stock {
            return Ok(Answer::SoldOut);
        }
        order(db, item, buyer).await?;
        Ok(Answer::Taken)
    }
}
