//! Names that are like a wrong one, for error messages.

use strsim::levenshtein;

/// The names that contain this text or are a part of it, that share a word with it, or that differ in two letters at most.
pub(crate) fn near<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let words: Vec<&str> = text.split('-').filter(|word| word.len() > 3).collect();
    let is_near = |name: &&str| {
        let is_part = text.len() > 2 && (name.contains(text) || text.contains(*name));
        is_part
            || name.split('-').any(|word| words.contains(&word))
            || levenshtein(name, text) <= 2_usize.min(name.len() / 2)
    };
    names.into_iter().filter(is_near).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_near_if_they_share_a_part_a_word_or_nearly_all_letters() {
        let names = ["ack", "one-order", "release-twice", "retry-sells-twice", "no-retry"];
        for (text, expected) in [
            ("relaese-twice", vec!["release-twice", "retry-sells-twice"]),
            ("order", vec!["one-order"]),
            ("acks", vec!["ack"]),
            ("no-rety", vec!["no-retry"]),
            ("cka", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(near(text, names), expected, "{text}");
        }
    }
}
