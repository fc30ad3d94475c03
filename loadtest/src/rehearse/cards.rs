//! The cards of the book. They are part of the program, so that it needs no checkout to run.

use std::sync::LazyLock;

use anyhow::{Context, anyhow};

use super::card::Card;

/// The number of the card for the whole interview.
pub const MASTER: u8 = 0;

/// The book's files, in the order of their numbers.
const FILES: [&str; 18] = [
    include_str!("../../../docs/src/whiteboard/0-master.md"),
    include_str!("../../../docs/src/whiteboard/1-naive.md"),
    include_str!("../../../docs/src/whiteboard/2-pessimistic.md"),
    include_str!("../../../docs/src/whiteboard/3-optimistic.md"),
    include_str!("../../../docs/src/whiteboard/4-ratelimit.md"),
    include_str!("../../../docs/src/whiteboard/5-hidden-api.md"),
    include_str!("../../../docs/src/whiteboard/6-production.md"),
    include_str!("../../../docs/src/whiteboard/7-coordination.md"),
    include_str!("../../../docs/src/whiteboard/8-deduct.md"),
    include_str!("../../../docs/src/whiteboard/9-hot-key.md"),
    include_str!("../../../docs/src/whiteboard/10-cache.md"),
    include_str!("../../../docs/src/whiteboard/11-failover.md"),
    include_str!("../../../docs/src/whiteboard/12-payment.md"),
    include_str!("../../../docs/src/whiteboard/13-exactly-once.md"),
    include_str!("../../../docs/src/whiteboard/14-capacity.md"),
    include_str!("../../../docs/src/whiteboard/15-fairness.md"),
    include_str!("../../../docs/src/whiteboard/16-order-time.md"),
    include_str!("../../../docs/src/whiteboard/17-ways.md"),
];

static CARDS: LazyLock<Result<Vec<Card>, String>> = LazyLock::new(|| {
    let parse = |text: &&str| Card::parse(text).map_err(|why| format!("a card cannot be read: {why:#}"));
    FILES.iter().map(parse).collect()
});

/// All cards, in the order of their numbers.
///
/// # Errors
/// A card lacks one of its parts. A test reads every card, so this is a mistake in the book's files.
pub fn all() -> anyhow::Result<&'static [Card]> {
    CARDS.as_deref().map_err(|why| anyhow!("{why}"))
}

/// The card of this number.
///
/// # Errors
/// There is none.
pub fn numbered(number: u8) -> anyhow::Result<&'static Card> {
    let cards = all()?;
    let last = cards.len() - 1;
    let card = cards.iter().find(|card| card.number == number);
    card.with_context(|| format!("there is no card {number}: the cards are 0 to {last}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::rehearse::markdown::Block;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/whiteboard");

    #[test]
    fn no_card_of_the_book_is_missing_and_each_has_its_number() {
        let files = fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap());
        let mut book: Vec<(u8, String)> = files
            .filter_map(|file| {
                let number = file.file_name().to_str()?.split_once('-')?.0.parse().ok()?;
                Some((number, fs::read_to_string(file.path()).unwrap()))
            })
            .collect();
        book.sort();
        assert_eq!(book.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..=17).collect::<Vec<_>>());
        assert_eq!(book.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), FILES);
        assert_eq!(all().unwrap().iter().map(|card| card.number).collect::<Vec<_>>(), (0..=17).collect::<Vec<_>>());
    }

    #[test]
    fn each_card_has_a_prompt_an_outline_answers_and_a_drawing() {
        for card in all().unwrap() {
            assert!(card.prompt.ends_with(['?', '.']), "{}: {}", card.number, card.prompt);
            let (steps, follow_ups) = if card.number == MASTER { (9, 0) } else { (4, 3) };
            assert_eq!((card.outline.len(), card.follow_ups.len()), (steps, follow_ups), "card {}", card.number);
            let drawing = card.outline.iter().find(|step| step.cue.starts_with("The drawing")).unwrap();
            let lines = drawing.answer.iter().find_map(|block| match block {
                Block::Verbatim(lines) => Some(lines.len()),
                Block::Text(_) | Block::Item(_) => None,
            });
            assert!(lines > Some(3), "card {}", card.number);
        }
    }

    /// What is left of the markup would be read aloud.
    #[test]
    fn no_markup_is_left_in_the_text() {
        for card in all().unwrap() {
            let steps = card.outline.iter().chain(&card.follow_ups);
            let texts = steps.flat_map(|step| {
                let of_answer = step.answer.iter().filter_map(|block| match block {
                    Block::Text(text) | Block::Item(text) => Some(text),
                    Block::Verbatim(_) => None,
                });
                of_answer.chain([&step.cue])
            });
            for text in texts {
                let left = ["**", "](", "<code>", "</", "`", "&lt;"].into_iter().find(|mark| text.contains(mark));
                assert_eq!(left, None, "card {}: {text}", card.number);
            }
        }
    }
}
