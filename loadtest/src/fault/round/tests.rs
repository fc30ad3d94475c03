use super::*;
use crate::version::Version;

#[test]
fn each_step_has_buyers_and_half_of_the_stock_is_left_for_the_fault() {
    let come = |buyers, stock| {
        let plan = Plan { buyers, stock, ..Plan::stampede(Version::V6, None) };
        let Come { first, before, meanwhile, .. } = Come::of(&plan, None);
        [first, before, meanwhile]
    };
    assert_eq!(come(4000, 1000), [375, 500, 750]);
    assert_eq!(come(400, 100), [37, 50, 75]);
    assert_eq!(come(400, 1000), [75, 100, 200], "a small crowd");
    assert_eq!(come(4, 4), [1, 1, 2], "the smallest crowd");
}
