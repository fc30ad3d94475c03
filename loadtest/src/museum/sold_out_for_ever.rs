//! A flag in the process spares the database the buyers who come too late. It is set when the last unit is sold, and never reset. Then an
//! order expires, its unit is free, and no buyer gets it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use futures_util::future::LocalBoxFuture;

use super::{
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
    small_sale::{SALE, SmallSale, give_back, order, take},
};

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "sold-out-for-ever",
    wrong: "the sold-out flag in the process is never reset when a unit comes back",
    code: "loadtest/src/museum/sold_out_for_ever.rs",
    seen: &[
        Source::Thread("smartstore/SmartStoreNET", 265, "an order is canceled, and the buy button stays hidden"),
        Source::Thread("GuoZhaoran/spikeSystem", 12, "the local count is not rolled back"),
    ],
    attack: "one of ten orders expires, and one more buyer comes",
    finding: Finding::Figure,
    fix: Fix {
        file: "v6-production/src/sold_out.rs",
        what: "restocked",
        how: "clear the flag when a unit comes back, and let it lapse after a second in case that news is lost",
    },
    servers: &[],
    play: Play::Own(play),
};

/// Asks for a unit, unless the flag says that there is none.
async fn buy(sale: &SmallSale<'_>, flag: &AtomicBool, buyer_id: i64) -> anyhow::Result<bool> {
    if flag.load(SeqCst) {
        return Ok(false);
    }
    let mut tx = sale.shop.pool.begin().await?;
    let taken = take(&mut tx).await?;
    match taken {
        true => {
            order(&mut tx, buyer_id, "confirmed").await?;
        }
        false => flag.store(true, SeqCst),
    }
    tx.commit().await?;
    Ok(taken)
}

/// Ends the unpaid order of this buyer, and gives its unit back.
async fn expire(sale: &SmallSale<'_>, flag: &AtomicBool, form: Form, buyer_id: i64) -> anyhow::Result<()> {
    let mut tx = sale.shop.pool.begin().await?;
    let end = "update orders set status = 'expired' where sale_id = $1 and buyer_id = $2 and status = 'confirmed'";
    if sqlx::query(end).bind(SALE).bind(buyer_id).execute(&mut *tx).await?.rows_affected() == 1 {
        give_back(&mut tx).await?;
    }
    tx.commit().await?;
    if form == Form::Fixed {
        flag.store(false, SeqCst);
    }
    Ok(())
}

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    Box::pin(async move {
        let (sale, flag) = (SmallSale::open(kit.lab, 10).await?, AtomicBool::new(false));
        for buyer in 1..=11 {
            buy(&sale, &flag, buyer).await?; // the eleventh one sets the flag
        }
        expire(&sale, &flag, form, 1).await?;
        let served = buy(&sale, &flag, 12).await?;
        sale.close().await?;
        let line = match served {
            true => "1 unit came back, and the next buyer got it",
            false => "1 unit came back, and the next buyer was told sold-out",
        };
        Ok(Seen::figure(line.into(), served))
    })
}
