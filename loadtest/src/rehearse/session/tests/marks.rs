//! Each mark is kept, and a card that was left continues there.

use super::*;

#[test]
fn each_mark_is_saved_at_once_and_a_card_is_done_with_its_last_step() {
    let mut reader = Reader::of(&[8]);
    reader.press("\n\n");
    assert!(matches!(reader.press("\ny"), Effect::Save), "one step of the card");
    assert_eq!(reader.session.deck.of(8).had, ["The first two minutes"]);
    assert!(matches!(reader.press("\nn"), Effect::Save));
    assert_eq!(reader.session.deck.of(8).missed, ["The drawing"]);
    assert_eq!(reader.session.deck.of(8).had, ["The first two minutes"]);
    let mut reader = Reader::of(&[8]);
    reader.rehearse("yyyyyy");
    assert!(reader.session.deck.is_due(8, NOON), "the last step is missing");
    assert!(matches!(reader.press("\ny"), Effect::Save));
    assert_eq!(reader.session.deck.days_until(8, NOON), 1);
    assert!(reader.session.deck.of(8).had.is_empty());
}

#[test]
fn a_card_that_was_left_continues_without_what_the_reader_had() {
    let left = |marks: &str, hours: u64| {
        let mut reader = Reader::of(&[8]);
        reader.rehearse(marks);
        let now = Now { unix: NOON + hours * 3600, running: Duration::ZERO };
        let card = cards::numbered(8).unwrap();
        Reader { session: Session::of(reader.session.deck, &[card], now), now }
    };
    let mut reader = left("yny", 1);
    assert_eq!(reader.view().heading, "The rest of 8: when to deduct");
    assert_eq!(reader.cue(), "Compare: The drawing", "what was missed is asked again");
    reader.mark("yyyyy");
    assert_eq!(reader.cue(), "You had 7 of 7. This card comes again in a day.");
    assert_eq!(reader.session.counts(), (1, 0), "also if the session ends here");
    assert_eq!(reader.session.deck.of(8).level, 1);
    assert!(matches!(reader.press("\n"), Effect::Over));
    assert_eq!(reader.session.counts(), (1, 0));

    let reader = left("yny", 12);
    assert_eq!(reader.cue(), cards::numbered(8).unwrap().prompt, "another day, the card is whole");
    let mut reader = left("yyyynyy", 1);
    assert_eq!(reader.view().progress, "card 1 of 1 · step 1 of 1", "only what was missed");
    reader.mark("n");
    assert!(reader.session.deck.is_due(8, NOON + 3600) && reader.session.deck.of(8).had.len() == 6);
    let reader = left("yyyyyyy", 1);
    assert_eq!(reader.view().heading, "8: when to deduct", "a card that is done is whole");
}

#[test]
fn a_key_that_is_neither_yes_nor_no_is_asked_for_again() {
    for key in ["\n", "x", " "] {
        let mut reader = Reader::of(&[1]);
        reader.press("\n\n\n");
        assert_eq!(reader.view().ask, Ask::Mark { unclear: false });
        assert!(matches!(reader.press(key), Effect::None));
        assert_eq!(reader.view().ask, Ask::Mark { unclear: true });
        reader.press("y\n");
        assert_eq!(reader.view().ask, Ask::Mark { unclear: false }, "the next step");
    }
}
