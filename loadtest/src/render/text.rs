//! Numbers as people read them.

use indicatif::HumanCount;

/// A number with separators: `12,345`.
pub fn thousands(n: i64) -> String {
    format!("{}{}", if n < 0 { "-" } else { "" }, HumanCount(n.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_grouped() {
        let written = [0, 999, 1000, 1_234_567, -12_345].map(thousands);
        assert_eq!(written, ["0", "999", "1,000", "1,234,567", "-12,345"]);
    }
}
