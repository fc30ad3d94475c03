//! The verdict on a run. It is reached here and nowhere else. Files store it in the words that people read.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{evidence::Evidence, promise::Promise};

/// Whether a run did what its version promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Verdict {
    /// It did. This includes breaking where the table says so.
    AsPromised,
    /// It did not: it broke where it should hold, or held where it should break.
    NotAsPromised,
    /// The version promises nothing here. Only the figure is shown.
    Measured,
    /// The run is invalid for this reason, and says nothing about the version.
    Invalid(String),
}

const INVALID: &str = "invalid: ";

impl Verdict {
    /// Why the run is invalid; `None` if it is valid.
    pub fn invalid(&self) -> Option<&str> {
        match self {
            Verdict::Invalid(reason) => Some(reason),
            Verdict::AsPromised | Verdict::NotAsPromised | Verdict::Measured => None,
        }
    }

    /// The verdict with the promise: `holds, as promised`. If the promise was not kept, what came out stands first:
    /// `undersells; promised: holds`.
    pub(crate) fn says(&self, promised: Promise, outcome: impl FnOnce() -> String) -> String {
        match self {
            Verdict::NotAsPromised => format!("{}; promised: {promised}", outcome()),
            Verdict::AsPromised | Verdict::Measured | Verdict::Invalid(_) => format!("{promised}, {self}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Verdict::AsPromised => f.write_str("as promised"),
            Verdict::NotAsPromised => f.write_str("not as promised"),
            Verdict::Measured => f.write_str("measured"),
            Verdict::Invalid(reason) => write!(f, "{INVALID}{reason}"),
        }
    }
}

impl FromStr for Verdict {
    type Err = Infallible;

    /// An unknown word in a file is treated as the reason of an invalid run.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "as promised" => Verdict::AsPromised,
            "not as promised" => Verdict::NotAsPromised,
            "measured" => Verdict::Measured,
            other => Verdict::Invalid(other.strip_prefix(INVALID).unwrap_or(other).into()),
        })
    }
}

impl From<Verdict> for String {
    fn from(verdict: Verdict) -> String {
        verdict.to_string()
    }
}

impl From<String> for Verdict {
    fn from(text: String) -> Verdict {
        let Ok(verdict) = text.parse();
        verdict
    }
}

/// Judges a run against its promise. `invalid` is why the run is invalid, and `disturbed` why its figure may be wrong. A disturbed run is
/// invalid if its promise would be kept with the opposite figure. A unit that was sold twice counts in an invalid run, too.
pub(crate) fn judge(promised: Promise, run: &Evidence, invalid: Option<String>, disturbed: Option<String>) -> Verdict {
    let opposite = Evidence { figure_holds: !run.figure_holds, has_starved: !run.has_starved, ..*run };
    match (invalid, promised) {
        (Some(_), promised) if promised.is_broken_by_orders(run) => Verdict::NotAsPromised,
        (Some(reason), _) => Verdict::Invalid(reason),
        (None, Promise::MayBreak) => Verdict::Measured,
        (None, promised) if promised.kept(run) => Verdict::AsPromised,
        (None, promised) if promised.kept(&opposite) => disturbed.map_or(Verdict::NotAsPromised, Verdict::Invalid),
        (None, _) => Verdict::NotAsPromised,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::audit::Audit;

    #[test]
    fn a_disturbed_run_is_invalid_only_if_its_figure_decides() {
        let sound = Audit { orders: 1, ..Audit::default() };
        let oversold = Audit { oversold: 1, ..sound.clone() };
        let slow = |audit| Evidence { figure_holds: false, ..Evidence::of(audit) };
        let why = || Some("other programs took 40 % of the processors".to_owned());
        for (promised, run, disturbed, verdict) in [
            (Promise::Holds, slow(&sound), why(), Verdict::Invalid(why().unwrap())),
            (Promise::Holds, slow(&sound), None, Verdict::NotAsPromised),
            (Promise::Holds, slow(&oversold), why(), Verdict::NotAsPromised),
            (Promise::Holds, Evidence::of(&sound), why(), Verdict::AsPromised),
            (Promise::Starves, Evidence::of(&sound), why(), Verdict::Invalid(why().unwrap())),
            (Promise::MayBreak, slow(&sound), why(), Verdict::Measured),
        ] {
            assert_eq!(judge(promised, &run, None, disturbed), verdict, "{promised:?} {run:?}");
        }
    }

    #[test]
    fn a_unit_that_was_sold_twice_counts_in_an_invalid_run() {
        let (sound, oversold) = (Audit::default(), Audit { oversold: 1, ..Audit::default() });
        let invalid = || Verdict::Invalid("ended by the user".into());
        for (promised, audit, verdict) in [
            (Promise::Holds, &oversold, Verdict::NotAsPromised),
            (Promise::Starves, &oversold, Verdict::NotAsPromised),
            (Promise::Holds, &sound, invalid()),
            (Promise::Oversells, &oversold, invalid()),
            (Promise::MayBreak, &oversold, invalid()),
        ] {
            let judged = judge(promised, &Evidence::of(audit), invalid().invalid().map(str::to_owned), None);
            assert_eq!(judged, verdict, "{promised:?}");
        }
    }

    #[test]
    fn a_verdict_reads_as_it_was_written() {
        let invalid = Verdict::Invalid("the generator was the bottleneck".into());
        for verdict in [Verdict::AsPromised, Verdict::NotAsPromised, Verdict::Measured, invalid] {
            assert_eq!(Verdict::from(String::from(verdict.clone())), verdict);
        }
        assert_eq!(Verdict::from("fine".to_owned()).invalid(), Some("fine"), "an unknown word is no praise");
    }
}
