//! The museum: real mistakes of public flash-sale code. Each is played until the audit catches it.
//!
//! [`exhibit`] says what an exhibit is, and [`mod@play`] plays one. A file of its own has the mistake of each exhibit and its fix, side by
//! side. `of_chapters` lists the mistakes that the chapters have already, as variants or as what a later chapter repairs.
//!
//! `small_sale` is a sale whose buyers are in this process, `broker` is a queue on RabbitMQ, `burst` sends many requests at once, and
//! [`shop`] serves the exhibits that need a whole shop. Most play on SQLite; the others start private servers.

mod ack_before_commit;
mod broker;
mod burst;
mod cap_read_then_write;
mod decr_below_zero;
pub mod exhibit;
mod ids_added;
mod limiter_ignored;
pub(crate) mod name;
mod never_acks;
mod of_chapters;
mod one_too_many;
pub mod play;
mod publish_without_outbox;
mod queued_for_ever;
mod release_twice;
mod retry_sells_twice;
pub mod shop;
mod small_sale;
mod sold_out_for_ever;
mod unlock_before_commit;

use crate::near::near;

pub use self::{
    exhibit::{Exhibit, Form},
    name::WrongShop,
};

/// All exhibits, in the order of the chapters that repair them.
pub const EXHIBITS: [&Exhibit; 19] = [
    &of_chapters::LOST_UPDATE,
    &one_too_many::EXHIBIT,
    &of_chapters::TRANSACTION_ONLY,
    &of_chapters::LOCK_IN_PROCESS,
    &unlock_before_commit::EXHIBIT,
    &of_chapters::INSERT_FIRST,
    &of_chapters::NO_RETRY,
    &limiter_ignored::EXHIBIT,
    &cap_read_then_write::EXHIBIT,
    &ids_added::EXHIBIT,
    &of_chapters::WINDOW_ON_THE_PAGE,
    &decr_below_zero::EXHIBIT,
    &sold_out_for_ever::EXHIBIT,
    &publish_without_outbox::EXHIBIT,
    &ack_before_commit::EXHIBIT,
    &never_acks::EXHIBIT,
    &queued_for_ever::EXHIBIT,
    &retry_sells_twice::EXHIBIT,
    &release_twice::EXHIBIT,
];

/// The exhibit of this name.
///
/// # Errors
/// There is none. The message names those that are spelt alike.
pub fn named(name: &str) -> Result<&'static Exhibit, String> {
    let found = EXHIBITS.into_iter().find(|exhibit| exhibit.name == name);
    found.ok_or_else(|| match near(name, EXHIBITS.into_iter().map(|exhibit| exhibit.name)) {
        near if near.is_empty() => "there is no such exhibit; `loadtest museum` lists them".to_owned(),
        near => format!("there is no such exhibit; do you mean {}?", near.join(" or ")),
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs, path::Path};

    use super::*;

    #[test]
    fn a_wrong_name_is_answered_with_those_that_are_spelt_alike() {
        let refused = |name| named(name).err().unwrap_or_default();
        assert!(refused("relaese-twice").ends_with("do you mean retry-sells-twice or release-twice?"));
        assert!(refused("xyz").ends_with("lists them"));
        assert!(named("lost").err().is_some_and(|why| why.ends_with("do you mean lost-update?")));
        assert!(EXHIBITS.iter().all(|exhibit| named(exhibit.name).is_ok_and(|found| found.name == exhibit.name)));
    }

    /// A file that moves, or a function that is renamed, must not leave an exhibit that points nowhere.
    #[test]
    fn each_exhibit_names_files_that_exist_and_functions_that_they_have() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let names: HashSet<_> = EXHIBITS.iter().map(|exhibit| exhibit.name).collect();
        assert_eq!(names.len(), EXHIBITS.len(), "two have the same name");
        for exhibit in EXHIBITS {
            assert!(root.join(exhibit.code).is_file(), "{}: {}", exhibit.name, exhibit.code);
            let fix = fs::read_to_string(root.join(exhibit.fix.file)).unwrap_or_default();
            assert!(fix.contains(exhibit.fix.what), "{}: {:?}", exhibit.name, exhibit.fix);
        }
    }
}
