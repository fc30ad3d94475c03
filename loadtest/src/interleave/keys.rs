//! The keys of the tables, from PostgreSQL's catalog: the column that names a row, and the rows that an insert refers to.

use sqlx::AnyPool;

/// The tables whose rows can be told apart.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    tables: Vec<Table>,
}

/// A table with a primary key of one column, and without triggers.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name.
    pub(crate) name: String,
    /// The column of its primary key.
    pub(crate) primary: String,
    /// Whether it has another unique index, so that two inserts can collide.
    pub(crate) unique: bool,
    /// Its foreign keys.
    pub(crate) references: Vec<Reference>,
}

/// A foreign key. An insert takes a `for key share` lock on the row that it names.
#[derive(Debug)]
pub(crate) struct Reference {
    /// The column; empty if the key is not one column that names a primary key.
    pub(crate) column: String,
    /// The table that it refers to.
    pub(crate) table: String,
}

impl Keys {
    /// Reads the catalog.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn read(pool: &AnyPool) -> sqlx::Result<Keys> {
        let tables: Vec<(String, String, bool)> = sqlx::query_as(
            "select t.relname::text, a.attname::text,
                 exists (select from pg_index u where u.indrelid = t.oid and u.indisunique and not u.indisprimary)
             from pg_index p
             join pg_class t on t.oid = p.indrelid
             join pg_attribute a on a.attrelid = t.oid and a.attnum = p.indkey[0]
             where p.indisprimary and p.indnatts = 1 and pg_table_is_visible(t.oid)
                 and not exists (select from pg_trigger g where g.tgrelid = t.oid and not g.tgisinternal)
             order by 1",
        )
        .fetch_all(pool)
        .await?;
        let references: Vec<(String, String, String)> = sqlx::query_as(
            "select t.relname::text,
                 case when f.conkey = array[a.attnum] and f.confkey = array[p.indkey[0]] then a.attname::text else '' end,
                 r.relname::text
             from pg_constraint f
             join pg_class t on t.oid = f.conrelid
             join pg_class r on r.oid = f.confrelid
             join pg_attribute a on a.attrelid = f.conrelid and a.attnum = f.conkey[1]
             left join pg_index p on p.indrelid = f.confrelid and p.indisprimary and p.indnatts = 1
             where f.contype = 'f'",
        )
        .fetch_all(pool)
        .await?;
        let tables = tables.into_iter().map(|(name, primary, unique)| {
            let own = references.iter().filter(|(table, ..)| *table == name);
            let references = own.map(|(_, column, table)| Reference { column: column.clone(), table: table.clone() });
            Table { primary, unique, references: references.collect(), name }
        });
        Ok(Keys { tables: tables.collect() })
    }

    /// The table with this name; `None` if its rows cannot be told apart.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

#[cfg(test)]
impl Keys {
    /// The shop's tables.
    pub(crate) fn of_the_shop() -> Keys {
        let table =
            |name: &str, references| Table { name: name.into(), primary: "id".into(), unique: false, references };
        let sale = Reference { column: "sale_id".into(), table: "sales".into() };
        Keys { tables: vec![table("orders", vec![sale]), table("sales", Vec::new())] }
    }
}
