//! Numbers as people read them.

/// `12,345`.
pub fn thousands(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    let sign = if n < 0 { "-" } else { "" };
    sign.to_owned() + &groups.collect::<Vec<_>>().join(",")
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
