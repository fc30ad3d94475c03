//! The versions under test and their variants, by name.

use std::{fmt, process::ExitCode, str::FromStr};

use clap::ValueEnum;
use v1_naive::shop;

/// A chapter's shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Read, compare, write back.
    V1,
    /// A row lock.
    V2,
    /// A version column.
    V3,
    /// A token bucket in front.
    V4,
    /// Gates that know the buyer.
    V5,
    /// Redis, a message queue, and any number of instances.
    V6,
}

/// Every version, in the order of the chapters.
pub const VERSIONS: [Version; 6] = [Version::V1, Version::V2, Version::V3, Version::V4, Version::V5, Version::V6];

impl Version {
    /// The name of its crate and folder.
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

    /// The names of its variants, as its own `--variant` takes them.
    pub fn variants(self) -> Vec<String> {
        match self {
            Version::V1 => names::<v1_naive::Variant>(),
            Version::V2 => names::<v2_pessimistic::Variant>(),
            Version::V3 => names::<v3_optimistic::Variant>(),
            Version::V4 | Version::V5 | Version::V6 => Vec::new(),
        }
    }

    /// Whether a sale's first link only leads to the one to buy at, which is the buyer's own.
    pub fn hides_the_address(self) -> bool {
        self >= Version::V5
    }

    /// Whether buyers log in, and carry a session that could be forged.
    pub fn has_sessions(self) -> bool {
        self == Version::V6
    }

    /// Whether it needs Redis and a queue beside the database, and the database to be PostgreSQL.
    pub fn needs_stores(self) -> bool {
        self == Version::V6
    }

    /// Whether it counts requests by client, and so has to be told that we are a proxy: our buyers all come from here.
    pub fn counts_clients(self) -> bool {
        self >= Version::V4
    }

    /// Arguments that make its limits so wide that nobody meets them.
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

    /// Runs it, with the arguments that its own program takes.
    pub async fn serve(self, args: &[String]) -> ExitCode {
        let args = || std::iter::once(self.name()).chain(args.iter().map(String::as_str));
        match self {
            Version::V1 => {
                let config: v1_naive::Config = shop::parse_from(args());
                shop::run(&config.shop, v1_naive::app(&config)).await
            }
            Version::V2 => {
                let config: v2_pessimistic::Config = shop::parse_from(args());
                shop::run(&config.shop, v2_pessimistic::app(&config)).await
            }
            Version::V3 => {
                let config: v3_optimistic::Config = shop::parse_from(args());
                shop::run(&config.shop, v3_optimistic::app(&config)).await
            }
            Version::V4 => {
                let config: v4_ratelimit::Config = shop::parse_from(args());
                shop::run(&config.shop, v4_ratelimit::app(&config)).await
            }
            Version::V5 => {
                let config: v5_hidden_api::Config = shop::parse_from(args());
                shop::run(&config.shop, v5_hidden_api::app(&config)).await
            }
            Version::V6 => v6_production::main(&shop::parse_from(args())).await,
        }
    }
}

fn names<V: ValueEnum>() -> Vec<String> {
    V::value_variants().iter().filter_map(V::to_possible_value).map(|value| value.get_name().to_owned()).collect()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Version {
    type Err = String;

    /// Takes `v1` as well as `v1-naive`.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = |version: &Version| version.name() == text || version.name().split('-').next() == Some(text);
        VERSIONS.into_iter().find(known).ok_or_else(|| {
            let names: Vec<_> = VERSIONS.iter().map(|version| version.name()).collect();
            format!("the versions are {}", names.join(", "))
        })
    }
}
