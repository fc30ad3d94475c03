//! The source of each version's purchase, and the line of each statement in it.

use crate::version::{Variant, Version};

/// The line from which on the source is shown.
const BEGINS: &str = "/// Sells one unit";

/// The purchase's source, from its doc comment on.
pub(super) fn of(version: Version, variant: Option<Variant>) -> &'static str {
    let source = match (version, variant) {
        (_, Some(Variant::Transaction)) => include_str!("../../../v1-naive/src/variants/transaction.rs"),
        (_, Some(Variant::ProcessLock)) => include_str!("../../../v2-pessimistic/src/variants/process_lock.rs"),
        (_, Some(Variant::InsertFirst)) => include_str!("../../../v2-pessimistic/src/variants/insert_first.rs"),
        (_, Some(Variant::Serializable)) => include_str!("../../../v2-pessimistic/src/variants/serializable.rs"),
        (_, Some(Variant::NoRetry)) => include_str!("../../../v3-optimistic/src/variants/no_retry.rs"),
        (_, Some(Variant::Conditional)) => include_str!("../../../v3-optimistic/src/variants/conditional.rs"),
        (Version::V1, None) => include_str!("../../../v1-naive/src/purchase.rs"),
        (Version::V2, None) => include_str!("../../../v2-pessimistic/src/purchase.rs"),
        (_, None) => include_str!("../../../v3-optimistic/src/purchase.rs"),
    };
    source.rfind("pub async fn purchase").and_then(|at| source[..at].rfind(BEGINS)).map_or(source, |at| &source[at..])
}

/// The line of a statement in the source, counted from 0; `None` if it is not there.
pub(super) fn line_of(source: &str, sql: &str) -> Option<usize> {
    let written = match sql.trim_end_matches(';') {
        "commit" => ".commit()".to_owned(),
        sql => format!("\"{sql}\""),
    };
    source.lines().position(|line| line.to_lowercase().contains(&written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::VERSIONS;

    #[test]
    fn a_source_begins_with_the_purchase() {
        for version in VERSIONS {
            for variant in [None].into_iter().chain(version.variants().iter().copied().map(Some)) {
                let source = of(version, variant);
                assert!(
                    source.starts_with(BEGINS) && source.contains("pub async fn purchase"),
                    "{version} {variant:?}"
                );
            }
        }
    }

    /// So there is no write skew among purchases, as the page says: each writes the row that it has read.
    #[test]
    fn a_purchase_reads_one_row_and_writes_it() {
        for version in [Version::V1, Version::V2, Version::V3] {
            for variant in [None].into_iter().chain(version.variants().iter().copied().map(Some)) {
                let source = of(version, variant);
                let begin = |words: &str| source.matches(words).count();
                assert_eq!((begin("\"update sales set"), begin("\"update ")), (1, 1), "{version} {variant:?}");
                assert_eq!(begin("\"select "), begin(" from sales where id = $1"), "{version} {variant:?}");
            }
        }
    }

    #[test]
    fn a_statement_is_found_in_its_line() {
        let (v1, v2) = (of(Version::V1, None), of(Version::V2, None));
        let line = |source: &'static str, sql| line_of(source, sql).and_then(|line| source.lines().nth(line));
        assert!(line(v1, "select stock, sold from sales where id = $1").unwrap().contains("query_as"));
        assert!(line(v1, "update sales set sold = $2 where id = $1").unwrap().contains("sold + 1"));
        assert!(line(v2, "select stock, sold from sales where id = $1 for update").unwrap().contains("Postgres"));
        assert!(line(v2, "commit").unwrap().contains("tx.commit()"));
        assert_eq!(line(v1, "commit"), None);
    }
}
