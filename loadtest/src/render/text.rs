//! Numbers as people read them.

use std::time::Duration;

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

/// The share that `part` is of `whole`: `12 %`, `0.04 %`. A small share is never rounded to 0, nor a large one to 100.
pub fn percent(part: f64, whole: f64) -> String {
    let percent = if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
    // Two digits that count, of the share or of what is missing to the whole.
    let near = percent.min(100.0 - percent);
    let decimals = if near <= 0.0 { 0 } else { (1.0 - near.log10().floor()).clamp(0.0, 9.0) as usize };
    let text = format!("{percent:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// A time in minutes and seconds: `4:07`.
pub fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// The text in lines of at most `room` characters, broken between words. A longer word has a line of its own.
pub fn wrapped(text: &str, room: usize) -> Vec<String> {
    if text.chars().count() <= room {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line = word.to_owned(),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words() {
        assert_eq!(wrapped("as  it is", 9), ["as  it is"]);
        assert_eq!(wrapped("µs of a long sentence", 7), ["µs of a", "long", "sentence"]);
        assert_eq!(wrapped("", 0), [""]);
    }

    #[test]
    fn a_time_has_two_digits_of_seconds() {
        assert_eq!([7, 65, 3600].map(|seconds| minutes(Duration::from_secs(seconds))), ["0:07", "1:05", "60:00"]);
    }

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

    #[test]
    fn a_small_share_is_not_0_and_a_large_one_is_not_everything() {
        let written =
            [(0.0, 5.0), (4.0, 10_000.0), (1.0, 1e6), (1.0, 7.0), (1.0, 3.0), (9_999.0, 10_000.0), (5.0, 5.0)];
        let written = written.map(|(part, whole)| percent(part, whole));
        assert_eq!(written, ["0 %", "0.04 %", "0.0001 %", "14 %", "33 %", "99.99 %", "100 %"]);
        assert_eq!(percent(1.0, 0.0), "0 %");
    }
}
