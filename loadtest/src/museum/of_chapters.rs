//! The mistakes that the chapters have already: variants, and what a later chapter repairs. Here are only their entries.

use super::exhibit::{Exhibit, Finding, Fix, Form, Play, Source};
use crate::{
    interleave::scheduler::Subject,
    lab::servers::Server::Postgres,
    scenario::{Scenario, plan::Plan},
    version::{Variant, Version},
};

/// A crowd that a debug build serves within two seconds: 400 buyers for 100 units.
pub(super) fn crowd(version: Version, variant: Option<Variant>, scenario: Scenario) -> Plan {
    Plan { buyers: 400, connections: 200, ..Plan::new(version, variant, scenario) }
}

/// Two buyers for these units.
fn two(version: Version, variant: Option<Variant>, stock: i64) -> Subject {
    Subject { version, variant, buyers: 2, stock }
}

/// The exhibit of a chapter in the wrong form, the fixed one otherwise.
fn either<T>(form: Form, wrong: T, fixed: T) -> T {
    match form {
        Form::Wrong => wrong,
        Form::Fixed => fixed,
    }
}

const ROW_LOCK: Fix = Fix {
    file: "v2-pessimistic/src/purchase.rs",
    what: "for update",
    how: "lock the row in the statement that reads it, until the commit",
};

pub(super) const LOST_UPDATE: Exhibit = Exhibit {
    name: "lost-update",
    wrong: "it reads the counter, compares it and writes it back, in three statements",
    code: "v1-naive/src/purchase.rs",
    seen: &[Source::Thread("macrozheng/mall", 353, "the stock is locked by select, add, update")],
    attack: "stampede: 400 buyers for 100 units",
    finding: Finding::Oversold,
    fix: ROW_LOCK,
    servers: &[],
    play: Play::Scenario {
        plan: |form| crowd(either(form, Version::V1, Version::V2), None, Scenario::Stampede),
        lanes: Some(|form| two(either(form, Version::V1, Version::V2), None, 1)),
    },
};

pub(super) const TRANSACTION_ONLY: Exhibit = Exhibit {
    name: "transaction-only",
    wrong: "a read committed transaction around the same three statements, and no lock",
    code: "v1-naive/src/variants/transaction.rs",
    seen: &[Source::Thread(
        "msupply-foundation/open-msupply",
        12641,
        "two transactions read the same state, and both commit",
    )],
    attack: "every interleaving of two buyers for one unit",
    finding: Finding::Oversold,
    fix: ROW_LOCK,
    servers: &[Postgres],
    play: Play::Interleavings(|form| {
        two(either(form, Version::V1, Version::V2), either(form, Some(Variant::Transaction), None), 1)
    }),
};

pub(super) const LOCK_IN_PROCESS: Exhibit = Exhibit {
    name: "lock-in-process",
    wrong: "a mutex in the process guards a row that a second instance writes, too",
    code: "v2-pessimistic/src/variants/process_lock.rs",
    seen: &[Source::Thread("seenasabti/active_job_tracker", 9, "each process has its own copy of the mutex")],
    attack: "two-instances: 400 buyers for 100 units, requests in turn",
    finding: Finding::Oversold,
    fix: ROW_LOCK,
    servers: &[],
    play: Play::Scenario {
        plan: |form| crowd(Version::V2, either(form, Some(Variant::ProcessLock), None), Scenario::TwoInstances),
        lanes: Some(|form| two(Version::V2, either(form, Some(Variant::ProcessLock), None), 1)),
    },
};

pub(super) const INSERT_FIRST: Exhibit = Exhibit {
    name: "insert-first",
    wrong: "it inserts the order and then locks the sale's row, whose share lock the foreign key has taken",
    code: "v2-pessimistic/src/variants/insert_first.rs",
    seen: &[],
    attack: "every interleaving of two buyers for two units",
    finding: Finding::Undersold,
    fix: Fix {
        file: "v2-pessimistic/src/purchase.rs",
        what: "for update",
        how: "take the strongest lock first, and always in the same order",
    },
    servers: &[Postgres],
    play: Play::Interleavings(|form| two(Version::V2, either(form, Some(Variant::InsertFirst), None), 2)),
};

pub(super) const NO_RETRY: Exhibit = Exhibit {
    name: "no-retry",
    wrong: "a version conflict is the buyer's answer, although units are left",
    code: "v3-optimistic/src/variants/no_retry.rs",
    seen: &[Source::Thread(
        "zaiyunduan123/springboot-seckill",
        44,
        "the retry reads the old version again: 7 of 50 units are sold",
    )],
    attack: "stampede: 400 buyers for 100 units",
    finding: Finding::Undersold,
    fix: Fix {
        file: "v3-optimistic/src/purchase.rs",
        what: "try_once",
        how: "try again in a new transaction, after a random wait",
    },
    servers: &[],
    play: Play::Scenario {
        plan: |form| crowd(Version::V3, either(form, Some(Variant::NoRetry), None), Scenario::Stampede),
        lanes: Some(|form| two(Version::V3, either(form, Some(Variant::NoRetry), None), 2)),
    },
};

/// The page of chapters 1 to 5 disables its button outside of the window. Only chapters 5 and 6 also check the request.
pub(super) const WINDOW_ON_THE_PAGE: Exhibit = Exhibit {
    name: "window-on-the-page",
    wrong: "the page disables its button until the sale opens, and the purchase does not look at the clock",
    code: "v3-optimistic/src/purchase.rs",
    seen: &[
        Source::Thread("tzConnectBerlin/kanvas", 196, "the end of a sale is not enforced"),
        Source::Thread("LeanerCloud/CUDly", 1286, "the date of a purchase is checked by the browser only"),
    ],
    attack: "early-bird: purchases before the opening and after the close",
    finding: Finding::Figure,
    fix: Fix {
        file: "v5-hidden-api/src/gate/window.rs",
        what: "layer",
        how: "check the window in front of the purchase, by the shop's clock",
    },
    servers: &[],
    play: Play::Scenario {
        plan: |form| Plan::new(either(form, Version::V3, Version::V5), None, Scenario::EarlyBird),
        lanes: None,
    },
};
