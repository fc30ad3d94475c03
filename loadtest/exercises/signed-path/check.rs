//! Two instances, two buyers, and paths that were changed. There is nothing to change here.

use super::exercise::Paths;

const SECRET: &[u8; 64] = &[7; 64];
const NOW: u64 = 1_800_000_000_000;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    let (here, there) = (Paths::new(SECRET), Paths::new(SECRET));
    let path = here.issue(NOW, 1, 23);
    if !path.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') || path.len() > 100 {
        return Err(format!("{path:?} is no path: letters, digits and `-`, at most 100"));
    }
    let cases = [
        (true, here.is_valid(NOW + 1, 1, 23, &path), "at the instance that issued it"),
        (true, there.is_valid(NOW + 1, 1, 23, &path), "at another instance, or after a restart"),
        (true, there.is_valid(NOW + 59_999, 1, 23, &path), "at the end of its time"),
        (false, there.is_valid(NOW + 60_000, 1, 23, &path), "after its time"),
        (false, there.is_valid(NOW + 1, 1, 24, &path), "for another buyer"),
        (false, there.is_valid(NOW + 1, 2, 23, &path), "at another sale"),
        (false, there.is_valid(NOW + 1, 12, 3, &path), "for buyer 3 of sale 12"),
        (false, Paths::new(&[8; 64]).is_valid(NOW + 1, 1, 23, &path), "with another secret"),
    ];
    for (expected, found, about) in cases {
        if found != expected {
            let (found, expected) = (word(found), word(expected));
            return Err(format!("a path of buyer 23 of sale 1 is {found} {about}; it has to be {expected}"));
        }
    }
    for wrong in ["", "-", "0-0", "ü", "99999999999999999999-00"] {
        if there.is_valid(NOW, 1, 23, wrong) {
            return Err(format!("{wrong:?} is valid"));
        }
    }
    for at in 0..path.len() {
        let mut changed = path.clone().into_bytes();
        // Another digit that is a hex digit as well, and later if it belongs to a time.
        changed[at] = if changed[at] == b'9' { b'8' } else { b'9' };
        let changed = String::from_utf8_lossy(&changed).into_owned();
        if there.is_valid(NOW + 1, 1, 23, &changed) || there.is_valid(NOW + 70_000, 1, 23, &changed) {
            return Err(format!("{changed} is valid, and it was changed from {path} by the buyer"));
        }
    }
    // A digit moves from the buyer to the time behind it.
    for later in [format!("3{path}"), path.replacen('-', "-3", 1)] {
        if there.is_valid(NOW + 1, 1, 2, &later) {
            return Err(format!("{later} is valid for buyer 2, and was made from a path of buyer 23"));
        }
    }
    Ok("valid at every instance, for one buyer, one sale and a minute".into())
}

fn word(is_valid: bool) -> &'static str {
    if is_valid { "valid" } else { "wrong" }
}
