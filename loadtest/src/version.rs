//! The versions under test and their variants.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A chapter's shop, named like its crate and folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// Read, compare, write back: a check-then-act race.
    #[serde(rename = "v1-naive")]
    V1,
    /// A row lock.
    #[serde(rename = "v2-pessimistic")]
    V2,
    /// A version column.
    #[serde(rename = "v3-optimistic")]
    V3,
    /// A token bucket in front of the purchase.
    #[serde(rename = "v4-ratelimit")]
    V4,
    /// Gates that know the buyer: opening hours, a frequency cap, a hidden URL.
    #[serde(rename = "v5-hidden-api")]
    V5,
    /// Redis, a message queue, and any number of instances.
    #[serde(rename = "v6-production")]
    V6,
}

/// Another purchase in a version's shop, named as the shop's `--variant` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// v1's statements in one transaction.
    Transaction,
    /// v2 with a lock in the process instead of a row lock.
    ProcessLock,
    /// v2, but it inserts the order first.
    InsertFirst,
    /// v2 without a lock, at the isolation level *serializable*.
    Serializable,
    /// v3 without retries: the first conflict is the answer.
    NoRetry,
    /// v3 with the condition in the update instead of a version column.
    Conditional,
}

impl Variant {
    /// The name that `--variant` takes.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Transaction => "transaction",
            Variant::ProcessLock => "process-lock",
            Variant::InsertFirst => "insert-first",
            Variant::Serializable => "serializable",
            Variant::NoRetry => "no-retry",
            Variant::Conditional => "conditional",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A version and its variant: `v2-pessimistic process-lock`.
pub fn title(version: Version, variant: Option<Variant>) -> String {
    match variant {
        None => version.to_string(),
        Some(variant) => format!("{version} {variant}"),
    }
}

/// All versions, in the order of the chapters.
pub const VERSIONS: [Version; 6] = [Version::V1, Version::V2, Version::V3, Version::V4, Version::V5, Version::V6];

impl Version {
    /// The name of the crate and folder.
    pub fn name(self) -> &'static str {
        match self {
            Version::V1 => "v1-naive",
            Version::V2 => "v2-pessimistic",
            Version::V3 => "v3-optimistic",
            Version::V4 => "v4-ratelimit",
            Version::V5 => "v5-hidden-api",
            Version::V6 => "v6-production",
        }
    }

    /// The version's variants, in the order of its chapter.
    pub fn variants(self) -> &'static [Variant] {
        match self {
            Version::V1 => &[Variant::Transaction],
            Version::V2 => &[Variant::ProcessLock, Variant::InsertFirst, Variant::Serializable],
            Version::V3 => &[Variant::NoRetry, Variant::Conditional],
            Version::V4 | Version::V5 | Version::V6 => &[],
        }
    }

    /// The version's variant with this name.
    ///
    /// # Errors
    /// There is no such variant; the message lists those that exist.
    pub fn variant(self, name: &str) -> Result<Variant, String> {
        let known = self.variants().iter().find(|variant| variant.name() == name);
        known.copied().ok_or_else(|| {
            let names: Vec<_> = self.variants().iter().map(|variant| variant.name()).collect();
            match names.is_empty() {
                true => format!("{self} has no variants"),
                false => format!("{self} has no variant {name}; it has {}", names.join(", ")),
            }
        })
    }

    /// Whether the purchase URL is hidden: a sale's first link leads to it, and each buyer has another one.
    pub fn hides_the_address(self) -> bool {
        self >= Version::V5
    }

    /// Whether buyers log in and carry a session, which can be forged.
    pub fn has_sessions(self) -> bool {
        self == Version::V6
    }

    /// Whether the version needs Redis, RabbitMQ and PostgreSQL.
    pub fn needs_stores(self) -> bool {
        self == Version::V6
    }

    /// Whether the version counts requests per client IP. Then it must be told that the load test is a trusted proxy, because all
    /// buyers come from this machine.
    pub fn counts_clients(self) -> bool {
        self >= Version::V4
    }

    /// Arguments that raise the version's limits so far that they have no effect.
    pub fn wide_limits(self) -> Vec<&'static str> {
        let mut args = Vec::new();
        if self.counts_clients() {
            args.extend(["--client-rate=10000000", "--client-burst=10000000"]);
        }
        if self.counts_clients() && !self.needs_stores() {
            args.extend(["--global-rate=10000000", "--global-burst=10000000"]);
        }
        if self.hides_the_address() {
            args.push("--frequency-limit=1000000");
        }
        if self.needs_stores() {
            args.extend(["--session-rate=10000000", "--session-burst=10000000", "--puzzle=off"]);
        }
        args
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Version {
    type Err = String;

    /// Accepts `v1` as well as `v1-naive`.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = |version: &Version| version.name() == text || version.name().split('-').next() == Some(text);
        VERSIONS.into_iter().find(known).ok_or_else(|| {
            let names: Vec<_> = VERSIONS.iter().map(|version| version.name()).collect();
            format!("the versions are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn names<V: ValueEnum>() -> Vec<String> {
        V::value_variants().iter().filter_map(V::to_possible_value).map(|value| value.get_name().to_owned()).collect()
    }

    #[test]
    fn the_variants_are_those_of_the_chapters() {
        let none = Vec::new;
        let chapters = [
            names::<v1_naive::Variant>(),
            names::<v2_pessimistic::Variant>(),
            names::<v3_optimistic::Variant>(),
            none(),
            none(),
            none(),
        ];
        for (version, theirs) in VERSIONS.into_iter().zip(chapters) {
            let ours: Vec<_> = version.variants().iter().map(|variant| variant.name()).collect();
            assert_eq!(ours, theirs, "{version}");
        }
    }

    #[test]
    fn names_and_files_agree() {
        for version in VERSIONS {
            assert_eq!(serde_json::to_value(version).unwrap(), version.name());
            for variant in version.variants() {
                assert_eq!(serde_json::to_value(variant).unwrap(), variant.name());
            }
        }
    }
}
