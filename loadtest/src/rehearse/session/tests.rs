use super::*;
use crate::rehearse::{
    cards,
    deck::Deck,
    markdown::Block,
    summary,
    view::{Ask, Clock},
};

mod marks;

const NOON: u64 = 1_700_000_000;
const DAY: u64 = 86_400;

/// A reader whose clock stands still unless a test moves it.
struct Reader {
    session: Session,
    now: Now,
}

impl Reader {
    fn of(numbers: &[u8]) -> Reader {
        let now = Now { unix: NOON, running: Duration::from_secs(9) };
        let cards: Vec<_> = numbers.iter().map(|number| cards::numbered(*number).unwrap()).collect();
        Reader { session: Session::of(empty(), &cards, now), now }
    }

    fn interview() -> Reader {
        let now = Now { unix: NOON, running: Duration::ZERO };
        let drawn = [9, 4].map(|number| {
            let card = cards::numbered(number).unwrap();
            Recall { card, step: &card.follow_ups[1] }
        });
        Reader { session: Session::interview(empty(), cards::numbered(0).unwrap(), drawn.into(), now), now }
    }

    /// Presses each key; `\n` is Enter. Returns what the last one did.
    fn press(&mut self, keys: &str) -> Effect {
        let key = |c| if c == '\n' { Key::Enter } else { Key::Char(c) };
        keys.chars().map(|c| self.session.press(key(c), self.now)).last().unwrap()
    }

    fn view(&self) -> View {
        self.session.view(self.now).expect("a card")
    }

    fn cue(&self) -> String {
        let view = self.view();
        let Block::Text(cue) = &view.cue[0] else { panic!("{view:?}") };
        cue.clone()
    }

    /// Talks, skips the prediction, and reveals and marks each step.
    fn rehearse(&mut self, marks: &str) {
        self.press("\n");
        if matches!(self.view().ask, Ask::Predict { .. }) {
            self.press("\n");
        }
        self.mark(marks);
    }

    fn mark(&mut self, marks: &str) {
        for mark in marks.chars() {
            assert!(matches!(self.view().ask, Ask::GoOn("reveal")), "{:?}", self.view());
            self.press(&format!("\n{mark}"));
        }
    }
}

fn empty() -> Deck {
    let folder = tempfile::tempdir().unwrap();
    Deck::read(&folder.path().join("deck.json")).unwrap()
}

#[test]
fn a_card_is_talked_about_then_predicted_then_compared_step_by_step() {
    let mut reader = Reader::of(&[1]);
    let card = cards::numbered(1).unwrap();
    assert_eq!(reader.cue(), card.prompt);
    reader.press("\n");
    assert_eq!(reader.cue(), format!("Predict. {}", card.predict.as_ref().unwrap().ask));
    reader.press("\n");
    for step in card.outline.iter().chain(&card.follow_ups) {
        assert!(reader.cue().ends_with(&step.cue), "{}", reader.cue());
        assert!(reader.view().answer.is_empty(), "nothing is shown before");
        reader.press("\n");
        assert_eq!(reader.view().answer, step.answer);
        assert_eq!(reader.view().ask, Ask::Mark { unclear: false });
        reader.press("y");
    }
    let view = reader.view();
    assert_eq!(
        view.cue[0],
        Block::Text("You talked for 0:00 of 5:00. You had 7 of 7. This card comes again in a day.".into())
    );
    assert!(view.answer.ends_with(&card.prove));
    assert!(matches!(reader.press("\n"), Effect::Over));
}

#[test]
fn what_was_missed_comes_again_in_the_same_session_and_nothing_else() {
    let mut reader = Reader::of(&[2, 3]);
    reader.rehearse("ynyyyny");
    assert!(
        reader.view().cue[0]
            == Block::Text(
                "You talked for 0:00 of 5:00. You had 5 of 7. What you missed comes again in this session.".into()
            )
    );
    assert!(reader.session.deck.is_due(2, NOON), "and another day, if the session ends here");
    reader.press("\n");
    assert_eq!(reader.view().heading, "3: compare-and-swap", "after the other cards");
    reader.rehearse("yyyyyyy");
    reader.press("\n");
    assert_eq!(
        (reader.view().heading.as_str(), reader.cue().as_str()),
        ("Again, 2: the row lock", "Compare: The drawing")
    );
    assert_eq!((reader.view().clock, reader.view().progress.as_str()), (None, "card 3 of 3 · step 1 of 2"));
    reader.mark("yn");
    reader.press("\n");
    assert_eq!(reader.view().progress, "card 4 of 4 · step 1 of 1", "and again, until nothing is missed");
    reader.mark("y");
    assert_eq!(reader.session.deck.days_until(2, NOON), 1);
    assert!(matches!(reader.press("\n"), Effect::Over));
    assert_eq!(reader.session.counts(), (2, 1));
}

#[test]
fn the_clock_runs_while_the_reader_talks() {
    let mut reader = Reader::of(&[8, 0]);
    let clock = |reader: &Reader| reader.view().clock.unwrap();
    assert_eq!(clock(&reader), Clock { spent: Duration::ZERO, limit: Duration::from_secs(300) });
    reader.now.running += Duration::from_secs(299);
    assert!(!clock(&reader).is_over());
    reader.now.running += Duration::from_secs(8);
    assert!(clock(&reader).is_over());
    reader.press("\n");
    reader.now.running += Duration::from_secs(1000);
    assert_eq!(reader.view().clock, None);
    reader.press("\n");
    reader.mark("yyyyyyy");
    let result = reader.cue();
    assert!(result.starts_with("You talked for 5:07 of 5:00."), "{result}");
    reader.press("\n");
    assert_eq!(clock(&reader), Clock { spent: Duration::ZERO, limit: Duration::from_secs(45 * 60) }, "the next card");
}

#[test]
fn a_prediction_is_made_before_anything_is_shown_and_laid_beside_the_run() {
    let mut reader = Reader::of(&[1]);
    let why = &cards::numbered(1).unwrap().predict.as_ref().unwrap().why;
    assert!(matches!(reader.press("\nmany\n"), Effect::None));
    let refused = Some("not a number, such as 120");
    assert_eq!(reader.view().ask, Ask::Predict { typed: "many".into(), refused }, "the text is kept");
    for left in ["man", "ma", "m", ""] {
        reader.session.press(Key::Backspace, reader.now);
        assert_eq!(reader.view().ask, Ask::Predict { typed: left.into(), refused: None });
    }
    assert!(matches!(reader.press("12"), Effect::None));
    reader.session.press(Key::Backspace, reader.now);
    let Effect::Play(predict) = reader.press("00\n") else { panic!("no run") };
    assert_eq!(predict.command[..2], ["run", "v1"]);
    assert_eq!(reader.view().ask, Ask::Wait);
    reader.press("\n\nyn ");
    assert_eq!(reader.view().ask, Ask::Wait, "keys do not leave a run");
    reader.session.played(Ok(Figure::Number(2000.0)));
    let lines = vec!["you said          100".into(), "it was          2,000".into()];
    let off = Block::Text("Off by a factor of 20.".into());
    assert_eq!(reader.view().answer, [Block::Verbatim(lines), off, Block::Text(format!("Why: {why}"))]);
    reader.press("\n");
    assert_eq!(reader.cue(), "Compare: The first two minutes");
    reader.session.played(Err("too late".into()));
    assert_eq!(reader.cue(), "Compare: The first two minutes", "a run that ends later changes nothing");
}

#[test]
fn a_run_that_cannot_be_played_says_so_in_one_line_and_the_card_continues() {
    let mut reader = Reader::of(&[1]);
    reader.press("\n5\n");
    reader.session.played(Err("Redis is not installed".into()));
    assert_eq!(reader.view().answer[0], Block::Text("Not played: Redis is not installed".into()));
    reader.press("\n");
    assert_eq!(reader.cue(), "Compare: The first two minutes");
}

#[test]
fn keys_without_a_meaning_change_nothing_and_q_ends_everywhere() {
    // At the prompt, the prediction, its run, its result, a cue, an answer, and the end.
    let before = ["", "\n", "\n7\n", "\n7\n", "\n\n", "\n\n\n", "\n\n\ny\ny\ny\ny\ny\ny\ny"];
    for (n, keys) in before.into_iter().enumerate() {
        let mut reader = Reader::of(&[1]);
        if !keys.is_empty() {
            reader.press(keys);
        }
        if n == 3 {
            reader.session.played(Ok(Figure::Number(7.0)));
        }
        let view = reader.view();
        let is_typing = matches!(view.ask, Ask::Predict { .. } | Ask::Mark { .. });
        for key in [Key::Char('x'), Key::Char('é'), Key::Backspace].into_iter().filter(|_| !is_typing) {
            assert!(matches!(reader.session.press(key, reader.now), Effect::None));
            assert_eq!(reader.view(), view, "{key:?} after {keys:?}");
        }
        assert!(matches!(reader.press("q"), Effect::Over), "{keys:?}");
    }
}

#[test]
fn an_interview_asks_follow_ups_of_others_under_the_clock_and_repeats_nothing() {
    let mut reader = Reader::interview();
    assert_eq!(reader.view().clock.unwrap().limit, Duration::from_secs(2700));
    reader.press("\n");
    assert!(reader.cue().starts_with("The interviewer asks: ") && reader.view().clock.is_some());
    reader.now.running += Duration::from_secs(2400);
    reader.mark("ny");
    assert_eq!((reader.view().clock, reader.cue().as_str()), (None, "Compare: Clarify (5 minutes)"));
    reader.mark("yyyynyyyy");
    assert_eq!((reader.session.deck.is_new(9), reader.session.deck.is_new(4)), (false, true));
    assert!(reader.session.deck.is_due(9, NOON) && reader.session.deck.is_due(0, NOON));
    let page = summary::page(reader.session.of_interview().unwrap(), NOON);
    for line in [
        "# An interview on 2023-11-14",
        "Talked: 40:00 of 45:00. Had: 9 of 11.",
        "- [ ] One bucket is empty, and the others are not. What does the buyer hear? (hot key and stock buckets)",
        "- [x] Clarify (5 minutes)",
        "- [ ] The drawing in five strokes (6 minutes)",
        "- `cargo loadtest rehearse --card 9`: hot key and stock buckets",
        "- `cargo loadtest rehearse --card 0`: the whole interview, in 45 minutes",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    assert!(page.lines().count() < 50, "one page: {page}");
    assert!(matches!(reader.press("\n"), Effect::Over));
}

#[test]
fn an_interview_that_is_left_early_has_a_summary_of_what_there_was() {
    let mut reader = Reader::interview();
    reader.press("\n\ny");
    assert!(matches!(reader.press("q"), Effect::Over));
    let page = summary::page(reader.session.of_interview().unwrap(), NOON);
    assert!(page.contains("Talked: not to the end of 45:00. Had: 1 of 1. Ended early."), "{page}");
}

#[test]
fn a_clock_that_is_set_back_in_a_session_breaks_nothing() {
    let mut reader = Reader::of(&[8]);
    reader.rehearse("nyyyyyy");
    reader.now = Now { unix: NOON - 30 * DAY, running: Duration::ZERO };
    reader.press("\n");
    reader.mark("y");
    assert_eq!(reader.session.deck.days_until(8, reader.now.unix), 1);
}
