//! A statement of a purchase: its name in a schedule, what it reads and what it writes.

/// The names of statements in a schedule. BEGIN, SET and ROLLBACK do not affect other buyers and are never held.
pub const WORDS: [&str; 4] = ["select", "update", "insert", "commit"];

/// A statement for the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Its name in a schedule.
    pub(crate) word: &'static str,
    pub(super) sql: String,
    pub(super) values: Vec<Option<i64>>,
}

impl Statement {
    /// A statement with the values of `$1`, `$2` …; `None` if it has no name in a schedule.
    pub(crate) fn new(sql: &str, values: Vec<Option<i64>>) -> Option<Statement> {
        let sql = sql.to_lowercase();
        let first = sql.split_whitespace().next()?;
        let word = WORDS.into_iter().find(|word| *word == first.trim_end_matches(';'))?;
        Some(Statement { word, sql, values })
    }

    /// The statement as it was sent, in lower case.
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    /// The name to display, which also shows whether a select locks the row.
    pub(crate) fn shown(&self) -> String {
        let locks = if self.sql.trim_end().ends_with("for update") { " for update" } else { "" };
        format!("{}{locks}", self.word)
    }

    /// The values of `sold` and `version` that it has read, if it selected them.
    pub(crate) fn read(&self, columns: &[Option<i64>]) -> Vec<(String, i64)> {
        let asked = self.sql.strip_prefix("select").and_then(|rest| rest.split(" from ").next()).unwrap_or_default();
        let named = asked.split(',').map(|name| name.trim().to_owned()).zip(columns);
        let known = named.filter(|(name, _)| name == "sold" || name == "version");
        known.filter_map(|(name, value)| Some((name, (*value)?))).collect()
    }

    /// What it writes to `sold`: `1`, or `sold + 1` if the database computes it.
    pub(crate) fn writes(&self) -> Option<String> {
        let set = self.sql.split_once("set sold = ")?.1;
        let what = set.split([',', '\n']).next()?.split(" where").next()?.trim();
        match what.strip_prefix('$') {
            Some(place) => {
                let place: usize = place.parse().ok()?;
                Some((*self.values.get(place.checked_sub(1)?)?)?.to_string())
            }
            None => Some(what.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_without_effect_on_others_are_no_steps() {
        for sql in ["BEGIN", "begin isolation level serializable", "ROLLBACK", "set lock_timeout = 1", "", "selected"] {
            assert_eq!(Statement::new(sql, Vec::new()), None, "{sql}");
        }
        for (sql, shown) in
            [("COMMIT", "commit"), ("select 1 for update", "select for update"), ("Insert into", "insert")]
        {
            assert_eq!(Statement::new(sql, Vec::new()).unwrap().shown(), shown);
        }
    }

    #[test]
    fn read_and_written_values_are_recognized() {
        let select = Statement::new("select stock, sold, version from sales where id = $1", vec![Some(2)]).unwrap();
        let read = select.read(&[Some(1), Some(0), Some(7)]);
        assert_eq!(read, [("sold".to_owned(), 0), ("version".to_owned(), 7)]);
        let writes = |sql, values| Statement::new(sql, values).unwrap().writes();
        assert_eq!(writes("update sales set sold = $2 where id = $1", vec![Some(2), Some(1)]).as_deref(), Some("1"));
        let swap = "update sales set sold = $3, version = version + 1 where id = $1 and version = $2";
        assert_eq!(writes(swap, vec![Some(2), Some(0), Some(5)]).as_deref(), Some("5"));
        let counted = "update sales set sold = sold + 1 where id = $1 and sold < stock";
        assert_eq!(writes(counted, vec![Some(2)]).as_deref(), Some("sold + 1"));
        assert_eq!(writes("insert into orders (sale_id) values ($1)", vec![Some(2)]), None);
    }
}
