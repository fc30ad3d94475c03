//! The tables of chapter 6.

use std::time::Duration;

use anyhow::ensure;
use sqlx::{Executor, PgConnection, PgPool};
use tokio::time::timeout;

use super::in_time;
use crate::set_up::Wrong;

/// The version of the tables. Every change of the statements below raises it by one.
const VERSION: i64 = 5;
/// How long the creation of the tables may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The tables of version 3, and the changes of older versions.
const SCHEMA: [&str; 19] = [
    "create table if not exists sales (
        id bigint primary key,
        name text not null,
        price_cents bigint not null,
        stock bigint not null,
        sold bigint not null check (sold between 0 and stock), -- units of orders that are confirmed or paid
        opens_at bigint not null, -- milliseconds since 1970, as all times
        closes_at bigint not null,
        epoch bigint not null default 0 -- 0: not in Redis yet
    )",
    "create table if not exists orders (
        id bigint primary key,
        sale_id bigint not null references sales (id),
        buyer_id bigint not null,
        status text not null check (status in ('confirmed', 'paid', 'expired', 'failed')),
        reason text,
        path bigint not null, -- the address it was bought at, and the request, for who asks again
        request bigint not null,
        reserved_at bigint not null, -- by Redis's clock
        confirmed_at bigint not null, -- by this one, as all times below
        pay_by bigint not null,
        paid_with text, -- the idempotency key of the payment that is charged for it: from then on it does not expire
        given_back bool not null default false -- to Redis: the unit of an order that is expired or failed
    )",
    // Stable, so a statement sees one time and can use an index. A volatile function would be called for each row.
    "create or replace function now_ms() returns bigint language sql stable
        as $$ select (extract(epoch from clock_timestamp()) * 1000)::bigint $$",
    "create table if not exists denied (
        buyer_id bigint primary key,
        name text not null
    )",
    "create unique index if not exists one_active_order on orders (sale_id, buyer_id)
        where status in ('confirmed', 'paid')",
    "drop index if exists to_release", // of version 2
    "create index if not exists to_expire on orders (pay_by) where status = 'confirmed'",
    "create index if not exists to_give_back on orders (id) where status in ('expired', 'failed') and not given_back",
    "create index if not exists orders_unpaid on orders (sale_id) where status = 'confirmed'",
    "create index if not exists orders_of_buyer on orders (buyer_id, id)",
    "create table if not exists payments (
        buyer_id bigint not null,
        idempotency_key text not null,
        order_id bigint not null references orders (id),
        request text not null, -- a keyed hash of what was asked
        answer text, -- null while it is in flight
        reference text, -- what the provider knows it by
        owes text check (owes in ('authorise', 'capture', 'void', 'refund')), -- what is still to be done there
        next_at bigint not null default 0, -- not before that
        tries bigint not null default 0,
        primary key (buyer_id, idempotency_key)
    )",
    "alter table payments -- of version 2
        add column if not exists reference text,
        add column if not exists owes text check (owes in ('authorise', 'capture', 'void', 'refund')),
        add column if not exists next_at bigint not null default 0,
        add column if not exists tries bigint not null default 0,
        drop column if exists started_at",
    "update payments set reference = gen_random_uuid()::text where reference is null",
    "create index if not exists payments_owed on payments (next_at) where owes is not null",
    "create unique index if not exists payments_by_reference on payments (reference)",
    "create table if not exists order_collisions ( -- orders that failed because another buyer has their number
        order_id bigint not null references orders (id),
        buyer_id bigint not null,
        primary key (order_id, buyer_id)
    )",
    "create table if not exists leases (
        name text primary key,
        holder text not null, -- for people
        number bigint not null, -- the fencing token: each holder's is higher than the last one's
        expires_at bigint not null
    )",
    "create table if not exists oversold_shop ( -- whose keys and queues belong to these rows
        one bool primary key default true check (one),
        namespace text not null
    )",
    "create table if not exists oversold_schema (version bigint primary key)",
];

/// The changes since version 3, which may run again. Statements of older versions do not: `create index if not exists` locks its
/// table in the middle of a sale, even if the index exists.
const SINCE_3: [&str; 5] = [
    // The number of changes of the deny list, by which a copy is recognised as old.
    "alter table oversold_shop add column if not exists denials bigint not null default 0",
    "create or replace function count_denial() returns trigger language plpgsql
        as $$ begin update oversold_shop set denials = denials + 1; return null; end $$",
    "create or replace trigger denials after insert or update or delete or truncate on denied
        for each statement execute function count_denial()",
    "create table if not exists page_files ( -- of all versions that have been started of late
        name text primary key,
        text text not null,
        started_at bigint not null
    )",
    // The worker counts every new order in its sale's row, and a missing row is an error there. The key checked it again per order.
    "alter table orders drop constraint if exists orders_sale_id_fkey",
];

/// Creates the tables, unless this version of them exists. `if not exists` alone is not enough: `create index` locks its table
/// before it checks. So each start would wait for every open transaction, and all writers would wait for the start.
///
/// # Errors
/// The database belongs to another program, or PostgreSQL fails.
pub(super) async fn make(pool: &PgPool) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    if is_made(&mut connection).await? {
        return Ok(());
    }
    drop(connection);
    let making = async {
        let mut tx = pool.begin().await?;
        tx.execute("set local statement_timeout = '50s'; set local lock_timeout = '50s'").await?;
        // Two instances that start together would collide. The lock's number stands for this schema.
        tx.execute("select pg_advisory_xact_lock(5318006)").await?;
        if !is_made(&mut tx).await? {
            is_ours(&mut tx).await?;
            let old = version(&mut tx).await? < 3;
            for statement in SCHEMA.into_iter().filter(|_| old).chain(SINCE_3) {
                tx.execute(statement).await?;
            }
            let insert = "insert into oversold_schema (version) values ($1) on conflict do nothing";
            sqlx::query(insert).bind(VERSION).execute(&mut *tx).await?;
        }
        anyhow::Ok(tx.commit().await?)
    };
    timeout(PATIENCE, making).await?
}

/// Claims the database for a shop, or checks that the shop owns it. Two shops with different keys and queues would sell the same
/// units twice, and declare each other's orders lost.
///
/// # Errors
/// The database belongs to another shop, or PostgreSQL fails.
pub(super) async fn claim(pool: &PgPool, namespace: &str) -> anyhow::Result<()> {
    let owner = "select namespace from oversold_shop";
    let owner = async || in_time(sqlx::query_scalar(owner).fetch_optional(pool)).await;
    let mut known: Option<String> = owner().await?;
    if known.is_none() {
        let insert = sqlx::query("insert into oversold_shop (namespace) values ($1) on conflict do nothing");
        in_time(insert.bind(namespace).execute(pool)).await?;
        known = owner().await?;
    }
    let owner = known.unwrap_or_default();
    ensure!(owner == namespace, Wrong::namespace(&owner, namespace));
    Ok(())
}

async fn is_made(sql: &mut PgConnection) -> sqlx::Result<bool> {
    Ok(version(sql).await? >= VERSION)
}

/// The version of the tables in this database; 0 if there are none. It reads the system catalogue, which locks nothing.
async fn version(sql: &mut PgConnection) -> sqlx::Result<i64> {
    let known = "select to_regclass('oversold_schema') is not null";
    if !sqlx::query_scalar::<_, bool>(known).fetch_one(&mut *sql).await? {
        return Ok(0);
    }
    sqlx::query_scalar("select coalesce(max(version), 0) from oversold_schema").fetch_one(sql).await
}

/// Refuses tables of the same names that belong to another program, for example another chapter.
async fn is_ours(sql: &mut PgConnection) -> anyhow::Result<()> {
    let foreign = "select to_regclass('orders') is not null and not exists (
                       select from pg_attribute where attrelid = to_regclass('orders') and attname = 'given_back')";
    let foreign: bool = sqlx::query_scalar(foreign).fetch_one(sql).await?;
    ensure!(!foreign, Wrong::tables("orders"));
    Ok(())
}
