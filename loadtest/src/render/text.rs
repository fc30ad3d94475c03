//! Numbers as people read them.

use indicatif::HumanCount;

/// A number with separators: `12,345`.
pub fn thousands(n: i64) -> String {
    format!("{}{}", if n < 0 { "-" } else { "" }, HumanCount(n.unsigned_abs()))
}

/// With four significant digits, and all digits before the point: `12,345`, `123.4`, `0.003000`. Only 0 is shown as `0`.
pub fn significant(n: f64) -> String {
    let digits_before_point = if n == 0.0 { 4 } else { (n.abs().log10().floor() as i32).saturating_add(1) };
    match usize::try_from(4 - digits_before_point) {
        Ok(decimals @ 1..) => format!("{n:.decimals$}"),
        Ok(0) | Err(_) => thousands(n.round() as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::{significant, thousands};

    #[test]
    fn thousands_are_grouped() {
        let written = [0, 999, 1000, 1_234_567, -12_345].map(thousands);
        assert_eq!(written, ["0", "999", "1,000", "1,234,567", "-12,345"]);
    }

    #[test]
    fn small_numbers_are_not_rounded_to_0() {
        let written = [0.0, 0.000_012_3, 0.003, 1.0, 12.34, 123.4, 1234.5, 12_345.6].map(significant);
        assert_eq!(written, ["0", "0.00001230", "0.003000", "1.000", "12.34", "123.4", "1,235", "12,346"]);
    }
}
