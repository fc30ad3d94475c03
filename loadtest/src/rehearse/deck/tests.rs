use super::*;
use crate::rehearse::cards;

const NOON: u64 = 1_700_000_000;

fn empty() -> Deck {
    Deck { schema: SCHEMA, ..Deck::default() }
}

#[test]
fn a_card_comes_again_after_1_3_7_and_21_days() {
    let (mut deck, mut now, mut waited) = (empty(), NOON, Vec::new());
    for _ in 0..6 {
        deck.had(3, now);
        assert!(!deck.is_due(3, now));
        waited.push(deck.days_until(3, now));
        now = deck.of(3).due;
        assert!(deck.is_due(3, now) && !deck.is_due(3, now - 1));
    }
    assert_eq!(waited, [1, 3, 7, 21, 21, 21]);
    assert_eq!(deck.of(3).due - NOON, (1 + 3 + 7 + 21 + 21 + 21) * DAY - 6 * EARLY);
}

#[test]
fn a_card_that_was_missed_is_due_at_once_and_begins_again() {
    let mut deck = empty();
    deck.had(3, NOON);
    deck.had(3, NOON + DAY);
    assert_eq!(deck.days_until(3, NOON + DAY), 3);
    deck.missed(3, vec!["The trap".into()], NOON + 2 * DAY);
    assert!(deck.is_due(3, NOON + 2 * DAY));
    assert_eq!(deck.of(3).missed, ["The trap"]);
    deck.had(3, NOON + 2 * DAY);
    assert_eq!(deck.days_until(3, NOON + 2 * DAY), 1);
    assert!(deck.of(3).missed.is_empty());
}

/// Otherwise four evenings of practice would put a card three weeks away.
#[test]
fn a_card_that_is_not_due_keeps_its_interval() {
    let mut deck = empty();
    for minutes in 0..5 {
        deck.had(3, NOON + 60 * minutes);
    }
    assert_eq!((deck.of(3).level, deck.days_until(3, NOON)), (1, 1));
}

#[test]
fn overdue_cards_come_first_then_new_ones_and_the_whole_interview_last() {
    let (mut deck, cards) = (empty(), cards::all().unwrap());
    let numbers = |deck: &Deck, now| deck.due(cards, now).iter().map(|card| card.number).collect::<Vec<_>>();
    assert_eq!(numbers(&deck, NOON), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 0]);
    deck.had(9, NOON);
    deck.missed(4, Vec::new(), NOON - 5);
    deck.missed(0, Vec::new(), NOON - 9);
    assert_eq!(numbers(&deck, NOON)[..4], [0, 4, 1, 2]);
    assert!(!numbers(&deck, NOON).contains(&9));
    assert_eq!(numbers(&deck, NOON + DAY)[..3], [0, 4, 9]);
}

#[test]
fn a_clock_that_was_set_back_keeps_the_intervals() {
    let mut deck = empty();
    deck.had(3, NOON);
    let (before, year_ago) = (deck.of(3), NOON - 365 * DAY);
    assert!(deck.settle(year_ago));
    let after = deck.of(3);
    assert_eq!((after.rehearsed, after.due - year_ago, after.level), (year_ago, before.due - NOON, 1));
    assert!(!deck.settle(year_ago), "once");
    assert!(!deck.settle(year_ago - 60), "a minute is not worth a line");
}

#[test]
fn what_was_saved_is_read_again_and_two_programs_keep_what_both_have_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deck.json");
    let (mut one, mut other) = (Deck::read(&path).unwrap(), Deck::read(&path).unwrap());
    one.had(1, NOON);
    one.save(&path).unwrap();
    other.missed(2, vec!["The drawing".into()], NOON);
    other.save(&path).unwrap();
    let read = Deck::read(&path).unwrap();
    assert_eq!((read.of(1), read.of(2)), (one.of(1), other.of(2)));
    assert!(read.is_new(3));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn the_folder_is_the_users_and_an_environment_without_one_is_an_error() {
    let of = |data: &str, home: &str| {
        let found = |name: &str| Some(PathBuf::from(if name == "HOME" { home } else { data }));
        Deck::default_path(found).map(|path| path.display().to_string()).ok()
    };
    assert_eq!(of("/data", "/home/me").unwrap(), "/data/oversold/deck.json");
    assert_eq!(of("", "/home/me").unwrap(), "/home/me/.local/share/oversold/deck.json");
    assert_eq!(of("relative", "/home/me").unwrap(), "/home/me/.local/share/oversold/deck.json");
    assert_eq!(of("", ""), None);
    assert!(Deck::default_path(|_| None).unwrap_err().to_string().contains("--deck"));
}
