use super::*;

fn under(version: Version, variant: Option<Variant>, scenario: Scenario, instances: usize) -> Promise {
    promise(Conditions {
        version,
        variant,
        scenario,
        instances,
        database: Database::Postgres,
        contended: true,
        crowded: true,
    })
}

#[test]
fn a_version_that_suddenly_holds_is_as_wrong_as_one_that_breaks() {
    let held = Audit { orders: 100, sold: 100, ..Audit::default() };
    let oversold = Audit { orders: 101, sold: 100, oversold: 1, not_conserved: 1, ..Audit::default() };
    let undersold = Audit { orders: 99, sold: 99, undersold: 1, ..Audit::default() };
    for (promise, kept_by) in [
        (Holds, [true, false, false]),
        (Oversells, [false, true, false]),
        (Undersells, [false, false, true]),
        (Deadlocks, [false, false, false]),
        (Starves, [false, false, false]),
        (Breaks, [false, false, false]),
        (MayBreak, [true, true, true]),
    ] {
        assert_eq!(
            [&held, &oversold, &undersold].map(|audit| promise.kept(&Evidence::of(audit))),
            kept_by,
            "{promise:?}"
        );
    }
    let deadlocked = |audit| Evidence { deadlocks: 1, ..Evidence::of(audit) };
    assert!(Deadlocks.kept(&deadlocked(&undersold)) && !Deadlocks.kept(&deadlocked(&oversold)));
}

#[test]
fn the_figure_of_the_scenario_decides() {
    let sound = Audit::default();
    let [fine, bad] = [0, 3].map(|units| Measure::none_of("units", units));
    for (promise, fine_keeps, bad_keeps) in
        [(Holds, true, false), (Breaks, false, true), (Starves, false, true), (MayBreak, true, true)]
    {
        let keeps = |measure| promise.kept(&Evidence { measure: Some(measure), ..Evidence::of(&sound) });
        assert_eq!((keeps(&fine), keeps(&bad)), (fine_keeps, bad_keeps), "{promise:?}");
    }
}

#[test]
fn holding_means_no_finding_at_all() {
    let clean = Audit::default();
    for broken in [
        Audit { double_bought: 1, ..clean.clone() },
        Audit { lost_promises: 1, ..clean.clone() },
        Audit { phantom_orders: 1, ..clean.clone() },
        Audit { not_conserved: 1, ..clean.clone() },
        Audit { undersold: 1, ..clean.clone() },
    ] {
        assert!(!Holds.kept(&Evidence::of(&broken)), "{broken:?}");
    }
    assert!(Holds.kept(&Evidence::of(&Audit { unknown: 1, ..clean.clone() })));
    let late = HonestBuyers { asked: 3, served: 3, late: 1 };
    assert!(!Holds.kept(&Evidence { honest: Some(&late), ..Evidence::of(&clean) }), "after forty seconds");
}

#[test]
fn variants_have_promises_of_their_own() {
    let stampede = |version, variant, instances| under(version, Some(variant), Scenario::Stampede, instances);
    assert_eq!(stampede(Version::V1, Variant::Transaction, 1), Oversells);
    assert_eq!(stampede(Version::V2, Variant::ProcessLock, 1), Holds);
    assert_eq!(stampede(Version::V2, Variant::ProcessLock, 2), Oversells);
    assert_eq!(stampede(Version::V2, Variant::InsertFirst, 1), Deadlocks);
    assert_eq!(stampede(Version::V3, Variant::NoRetry, 1), Undersells);
    assert_eq!(stampede(Version::V3, Variant::Conditional, 1), Holds);
}

#[test]
fn a_limit_by_address_breaks_for_an_office_that_is_large_enough() {
    for (version, contended, expected) in [
        (Version::V4, true, Breaks),
        (Version::V5, true, Breaks),
        (Version::V4, false, MayBreak),
        (Version::V3, false, Holds),
    ] {
        let run = Conditions {
            version,
            variant: None,
            scenario: Scenario::Office,
            instances: 1,
            database: Database::Sqlite,
            crowded: true,
            contended,
        };
        assert_eq!(promise(run), expected, "{run:?}");
    }
}

#[test]
fn two_instances_are_a_column_of_their_own() {
    assert_eq!(under(Version::V5, None, Scenario::Stampede, 1), Holds);
    assert_eq!(under(Version::V5, None, Scenario::Stampede, 2), Breaks);
    assert_eq!(under(Version::V2, None, Scenario::Stampede, 2), Holds);
}
