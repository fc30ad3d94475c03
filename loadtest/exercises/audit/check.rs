//! Sales whose faults are known. There is nothing to change here.

use super::exercise::{
    Answer::{self, No, None, Yes},
    Findings, Sale, audit,
};

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    let right = Findings::default();
    let sale = |stock, sold, orders: &[u32], told: &[(u32, Answer)]| Sale {
        stock,
        sold,
        orders: orders.into(),
        told: told.into(),
    };
    let everybody: Vec<u32> = (1..=1000).collect();
    let all_yes: Vec<_> = everybody.iter().map(|buyer| (*buyer, Yes)).collect();
    let cases = [
        ("chapter 1's stampede", sale(100, 29, &everybody, &all_yes), Findings { oversold: 900, ..right }),
        ("an honest sale", sale(2, 2, &[1, 2], &[(1, Yes), (2, Yes), (3, No)]), right),
        ("a sale with few buyers", sale(5, 1, &[1], &[(1, Yes)]), right),
        (
            "a unit left and a buyer refused",
            sale(3, 2, &[1, 2], &[(1, Yes), (2, Yes), (3, No)]),
            Findings { undersold: 1, ..right },
        ),
        ("a counter that ran ahead", sale(2, 2, &[1], &[(1, Yes), (2, No)]), Findings { undersold: 1, ..right }),
        ("an answer that never came, with an order", sale(2, 2, &[1, 2], &[(1, Yes), (2, None)]), right),
        ("an answer that never came, without an order", sale(2, 1, &[1], &[(1, Yes), (2, None)]), right),
        (
            "an order stored for another buyer",
            sale(2, 2, &[1, 3], &[(1, Yes), (2, Yes), (3, No)]),
            Findings { lost: 1, phantom: 1, ..right },
        ),
        (
            "an oversell that was not told",
            sale(1, 1, &[1, 2], &[(1, Yes), (2, None)]),
            Findings { oversold: 1, ..right },
        ),
        (
            "an order that was not told, and a unit left",
            sale(3, 2, &[1, 2], &[(1, Yes), (2, None), (3, No)]),
            Findings { undersold: 1, ..right },
        ),
        (
            "nine units left and one buyer refused",
            sale(10, 1, &[1], &[(1, Yes), (2, No)]),
            Findings { undersold: 1, ..right },
        ),
        ("a yes without an order", sale(1, 1, &[], &[(1, Yes)]), Findings { lost: 1, ..right }),
    ];
    for (name, sale, expected) in &cases {
        let found = audit(sale);
        if found != *expected {
            return Err(format!("{name}: the audit finds {}, and it is {}", words(found), words(*expected)));
        }
    }
    Ok(format!("{} sales audited, each fault found, and nothing else", cases.len()))
}

fn words(Findings { oversold, undersold, lost, phantom }: Findings) -> String {
    format!("oversold {oversold}, undersold {undersold}, lost {lost}, phantom {phantom}")
}
