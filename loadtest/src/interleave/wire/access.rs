//! The rows that a statement touches, from its SQL and its values.
//!
//! Only the plain forms are recognised: one table, and a row that is named by its primary key. Anything else counts as touching
//! any row, or anything at all. That costs classes, and never an outcome.

use super::statement::Statement;
use crate::interleave::{
    footprint::{Access, Key, Mode, Row},
    keys::{Keys, Table},
};

/// The locking clauses of a select.
const LOCKS: [(&str, Mode); 4] = [
    (" for no key update", Mode::NoKeyUpdate),
    (" for update", Mode::Update),
    (" for key share", Mode::KeyShare),
    (" for share", Mode::Share),
];

impl Statement {
    /// The rows that it touches for `buyer`; `None` if its SQL is not recognised, so that it may touch anything.
    pub(crate) fn accesses(&self, buyer: usize, keys: &Keys) -> Option<Vec<Access>> {
        let sql = self.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let sql = sql.trim_end_matches(';');
        if sql.contains(';') || sql.matches("select").count() > usize::from(self.word == "select") {
            return None;
        }
        match self.word {
            "select" => self.select(sql, keys),
            "update" => self.update(sql, keys),
            "insert" => self.insert(sql, buyer, keys),
            "commit" => Some(Vec::new()),
            _ => None,
        }
    }

    fn select(&self, sql: &str, keys: &Keys) -> Option<Vec<Access>> {
        let (columns, from) = sql.strip_prefix("select ")?.split_once(" from ")?;
        let lock = LOCKS.iter().find_map(|(clause, mode)| Some((from.strip_suffix(clause)?, *mode)));
        let (from, mode) = lock.map_or((from, None), |(from, mode)| (from, Some(mode)));
        let (table, condition) = table(from, keys)?;
        if columns.contains('(') || condition.contains(" for ") {
            return None;
        }
        let row = self.row(table, condition)?;
        Some([Mode::Read].into_iter().chain(mode).map(|mode| Access { row: row.clone(), mode }).collect())
    }

    fn update(&self, sql: &str, keys: &Keys) -> Option<Vec<Access>> {
        let sql = sql.strip_prefix("update ")?.split(" returning ").next()?;
        let (name, rest) = sql.split_once(" set ")?;
        let (table, _) = table(name, keys)?;
        let (set, condition) = rest.split_once(" where ").map_or((rest, ""), |(set, condition)| (set, condition));
        let columns: Vec<&str> = set.split(',').filter_map(|one| Some(one.split('=').next()?.trim())).collect();
        let refers = table.references.iter().any(|reference| columns.contains(&reference.column.as_str()));
        if refers || set.contains('(') || set.contains(" from ") {
            return None;
        }
        let names_key = columns.contains(&table.primary.as_str()) || table.unique;
        let lock = if names_key { Mode::Update } else { Mode::NoKeyUpdate };
        let condition = if condition.is_empty() { String::new() } else { format!("where {condition}") };
        let row = self.row(table, &condition)?;
        Some([Mode::Read, lock, Mode::Write].map(|mode| Access { row: row.clone(), mode }).into())
    }

    fn insert(&self, sql: &str, buyer: usize, keys: &Keys) -> Option<Vec<Access>> {
        let sql = sql.strip_prefix("insert into ")?.split(" returning ").next()?;
        let (name, rest) = sql.split_once(" (")?;
        let (table, _) = table(name, keys)?;
        let (columns, values) = rest.strip_suffix(')')?.split_once(") values (")?;
        if values.contains(['(', ')']) {
            return None;
        }
        let columns: Vec<&str> = columns.split(',').map(str::trim).collect();
        let values: Vec<&str> = values.split(',').map(str::trim).collect();
        let key = if table.unique || columns.contains(&table.primary.as_str()) { Key::Any } else { Key::New(buyer) };
        let new = Row { table: Some(table.name.clone()), key };
        let own = [Mode::NoKeyUpdate, Mode::Write].map(|mode| Access { row: new.clone(), mode });
        let refers = table.references.iter().map(|reference| {
            let at = columns.iter().position(|column| *column == reference.column);
            let id = at.and_then(|at| self.value(values.get(at)?));
            let row = Row { table: Some(reference.table.clone()), key: id.map_or(Key::Any, Key::Id) };
            Access { row, mode: Mode::KeyShare }
        });
        Some(own.into_iter().chain(refers).collect())
    }

    /// The row that a condition names; any row if it names none. `None` if the condition can touch other tables.
    fn row(&self, table: &Table, condition: &str) -> Option<Row> {
        let condition = if condition.is_empty() { "" } else { condition.strip_prefix("where ")? };
        if condition.contains('(') {
            return None;
        }
        let named = |part: &str| self.value(part.strip_prefix(table.primary.as_str())?.strip_prefix(" = ")?);
        let is_one = !condition.contains(" or ");
        let id = condition.split(" and ").find_map(named).filter(|_| is_one);
        Some(Row { table: Some(table.name.clone()), key: id.map_or(Key::Any, Key::Id) })
    }

    /// The value of a placeholder such as `$1`; `None` if it is none, or not a number.
    fn value(&self, placeholder: &str) -> Option<i64> {
        let place: usize = placeholder.strip_prefix('$')?.parse().ok()?;
        *self.values.get(place.checked_sub(1)?)?
    }
}

/// The table at the start of a text, and the rest.
fn table<'a, 'k>(text: &'a str, keys: &'k Keys) -> Option<(&'k Table, &'a str)> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some((keys.table(name)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The accesses of a statement with the values 2, 7, as text: `sales 2 Read`.
    fn accesses(sql: &str) -> Option<Vec<String>> {
        let statement = Statement::new(sql, vec![Some(2), Some(7)]).unwrap();
        let text = |Access { row, mode }: Access| {
            let key = match row.key {
                Key::Any => "any".to_owned(),
                Key::Id(id) => id.to_string(),
                Key::New(buyer) => format!("new {buyer}"),
            };
            format!("{} {key} {mode:?}", row.table.unwrap_or_default())
        };
        Some(statement.accesses(1, &Keys::of_the_shop())?.into_iter().map(text).collect())
    }

    #[test]
    fn the_plain_forms_name_their_row() {
        for (sql, expected) in [
            ("select stock, sold from sales where id = $1", &["sales 2 Read"][..]),
            ("select sold from sales\n where id = $1 for update", &["sales 2 Read", "sales 2 Update"]),
            ("select sold from sales where id = $2 for key share", &["sales 7 Read", "sales 7 KeyShare"]),
            ("select sold from sales", &["sales any Read"]),
            ("select id from orders where sale_id = $1", &["orders any Read"]),
            ("select id from sales where id = $1 or id = $2", &["sales any Read"]),
            ("select id from sales where sold = $2 and id = $1", &["sales 2 Read"]),
            ("select id from sales where id = 2", &["sales any Read"]),
            (
                "update sales set sold = $2 where id = $1 and sold < stock returning sold",
                &["sales 2 Read", "sales 2 NoKeyUpdate", "sales 2 Write"],
            ),
            ("update sales set sold = 0", &["sales any Read", "sales any NoKeyUpdate", "sales any Write"]),
            ("update sales set sold = 0, id = $2 where id = $1", &["sales 2 Read", "sales 2 Update", "sales 2 Write"]),
            (
                "insert into orders (sale_id, buyer_id) values ($1, $2) returning id",
                &["orders new 1 NoKeyUpdate", "orders new 1 Write", "sales 2 KeyShare"],
            ),
            (
                "insert into orders (buyer_id) values ($1)",
                &["orders new 1 NoKeyUpdate", "orders new 1 Write", "sales any KeyShare"],
            ),
            (
                "insert into orders (id, sale_id) values ($2, $1)",
                &["orders any NoKeyUpdate", "orders any Write", "sales 2 KeyShare"],
            ),
            ("commit", &[]),
        ] {
            assert_eq!(
                accesses(sql).as_deref(),
                Some(&expected.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..])
            );
        }
    }

    #[test]
    fn what_is_not_recognised_may_touch_anything() {
        for sql in [
            "select 1",
            "select pg_advisory_lock(1) from sales where id = $1",
            "select id from sales, orders where id = $1",
            "select id from sales join orders on true where id = $1",
            "select id from sales where id = $1 for update skip locked",
            "select id from sales where id in (1, 2)",
            "select id from strangers where id = $1",
            "select id from sales where id = $1; update sales set sold = 0",
            "select id from sales where id = $1 union select id from orders",
            "update sales set sold = (select count(*) from orders) where id = $1",
            "update sales set sold = random() where id = $1",
            "update sales set sold = 0 where id in (select 1)",
            "update sales set sold = 0 from orders where sales.id = $1",
            "update orders set sale_id = $1 where id = $2",
            "update strangers set sold = 0 where id = $1",
            "insert into orders select 1",
            "insert into orders (sale_id) values ($1), ($2)",
            "insert into orders (sale_id) values ($1) on conflict do nothing",
            "insert into strangers (sale_id) values ($1)",
        ] {
            assert_eq!(accesses(sql), None, "{sql}");
        }
    }
}
