//! Is every gate of chapter 5 needed? Without any one of them, an attack that it keeps out gets through.

use std::time::Duration;

use crate::support::{lab, serve};
use loadtest::{
    gates::{
        self,
        Gate::{self, Frequency, OneOrder, Path, RateLimit, Window},
    },
    record::Calibration,
    scenario::{Played, Scenario, Stage, early_bird, flood, forger, plan::Plan, scalper},
    version::Version::V5,
};

/// The scenario, played with chapter 5 without these gates.
async fn without(missing: &[Gate], scenario: Scenario) -> Played {
    let lab = lab("sqlite").await;
    let database = lab.fresh_database().await.unwrap();
    let mut args = vec!["v5", "--database-url", database.url.as_str(), "--trusted-proxies", "127.0.0.1"];
    args.extend(scenario.shop_args(V5));
    if scenario == Scenario::Flood {
        args.extend(["--pool-size", "1"]);
    }
    let config: v5_hidden_api::Config = clap::Parser::try_parse_from(args).unwrap();
    let shop = serve(gates::chapter_5(missing, &config).await.unwrap()).await;
    let pool = database.connect().await.unwrap();
    let plan = Plan { buyers: 200, ..Plan::new(V5, None, scenario) };
    let (shops, database) = (&[shop], &database.url);
    let stage =
        Stage { shops, pool: &pool, database, stores: None, plan: &plan, sale: 1001, progress: Default::default() };
    let played = match scenario {
        Scenario::Scalper => scalper::play(&stage).await,
        Scenario::EarlyBird => early_bird::play(&stage).await,
        Scenario::Forger => forger::play(&stage).await,
        _ => flood::play(&stage, Calibration { rounds: vec![2000.0], attempts: 1 }, Duration::from_secs(2)).await,
    };
    played.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_gates_the_attacks_fail() {
    for scenario in [Scenario::Scalper, Scenario::EarlyBird, Scenario::Forger] {
        let played = without(&[], scenario).await;
        let honest = played.honest.unwrap();
        assert!(played.measure.as_ref().unwrap().holds, "{scenario}: {:?}", played.measure);
        assert!(honest.asked > 0 && honest.served == honest.asked, "{scenario}: {honest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_window_scripts_buy_before_the_opening() {
    let measure = without(&[Window], Scenario::EarlyBird).await.measure.unwrap();
    assert!(!measure.holds && measure.value > 0.0, "{measure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_path_forgers_get_in() {
    let measure = without(&[Path], Scenario::Forger).await.measure.unwrap();
    assert!(!measure.holds && measure.value >= 50.0, "{measure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_frequency_cap_a_scalpers_tries_reach_the_database() {
    let measure = without(&[Frequency], Scenario::Scalper).await.measure.unwrap();
    assert!(!measure.holds, "{measure:?}");
    assert_eq!(measure.value, 1.0, "one unit only, by the last gate");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_index_a_scalper_has_several() {
    let measure = without(&[OneOrder], Scenario::Scalper).await.measure.unwrap();
    assert!(!measure.holds && measure.value > 1.0, "{measure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_rate_limit_a_flood_reaches_the_database() {
    for (missing, expects) in [(&[][..], true), (&[RateLimit], false)] {
        let played = without(missing, Scenario::Flood).await;
        let is_limited = played.history.iter().any(|told| told.answer.kind() == "rate-limited");
        assert_eq!(is_limited, expects, "without {missing:?}");
        assert!(expects || !played.measure.unwrap().holds, "the honest buyers wait behind the flood");
    }
}
