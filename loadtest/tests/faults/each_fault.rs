//! Each fault of the grid, in the middle of a sale: it costs time and nothing else.

use clap::ValueEnum;
use loadtest::{
    buyer::progress::Progress,
    fault::{self, Fault},
    lab::Lab,
    record::faults::{REPEATS, Verdict},
    scenario::plan::Plan,
    version::Version,
};

use crate::support::{loadtest, production::own};

/// The faults of the grid, one after the other. They are split into three tests, because one would take as long as all others together.
async fn a_third_of_all_faults_costs_time_and_nothing_else(third: usize) {
    let mut services = own();
    let lab = Lab::on(loadtest(), &services).await.unwrap();
    let plan = Plan { buyers: 1000, stock: 400, instances: 2, connections: 50, ..Plan::stampede(Version::V6, None) };
    for &fault in Fault::value_variants().iter().skip(third).step_by(3) {
        let mut repeats = 0;
        let round = loop {
            let doors = async |shops| shops;
            let round = fault::round(&lab, &mut services, fault, &plan, Progress::default(), doors).await.unwrap();
            // As the command does: a busy machine can make a strike late.
            if round.verdict != Verdict::Invalid || repeats == REPEATS {
                break round;
            }
            eprintln!("{fault}: {:?}; once more", round.why_invalid());
            repeats += 1;
        };
        assert_eq!(round.verdict, Verdict::Clean, "{fault}: {round:?}");
        // Buyers get at most a 503 with Retry-After. `unknown` means no answer, or a 503 that does not say what happened.
        let known = ["bought", "sold-out", "overloaded", "unknown", "failed"];
        assert!(round.outcomes.keys().all(|kind| known.contains(&kind.as_str())), "{fault}: {:?}", round.outcomes);
        let strike = &round.strike;
        let (in_place, mended) = (strike.in_place_ms.unwrap(), strike.mended_ms.unwrap());
        assert!(strike.struck_ms > 0.0 && in_place <= mended, "{fault}: {strike:?}");
        assert!((1..=200).contains(&strike.sold), "{fault}: {strike:?}");
        let (confirmed, once_up) = (strike.confirmed_ms.unwrap(), strike.confirmed_after_mended_ms.unwrap());
        assert!(confirmed > in_place && (once_up == 0.0 || once_up < confirmed), "{fault}: {strike:?}");
        assert!((once_up - (confirmed - mended).max(0.0)).abs() < 1.0, "{fault}: {strike:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and faketime: make test"]
async fn the_first_third_of_all_faults_costs_time_and_nothing_else() {
    a_third_of_all_faults_costs_time_and_nothing_else(0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and faketime: make test"]
async fn the_second_third_of_all_faults_costs_time_and_nothing_else() {
    a_third_of_all_faults_costs_time_and_nothing_else(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and faketime: make test"]
async fn the_last_third_of_all_faults_costs_time_and_nothing_else() {
    a_third_of_all_faults_costs_time_and_nothing_else(2).await;
}
