//! A card at two sizes.

use std::time::Duration;

use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::rehearse::cards;

fn view(answer: Vec<Block>, ask: Ask) -> View {
    View {
        heading: "9: hot key and stock buckets".into(),
        progress: "card 1 of 3 · step 3 of 8".into(),
        clock: None,
        cue: vec![Block::Text("Compare: The drawing".into())],
        answer,
        ask,
    }
}

fn drawn(width: u16, height: u16, view: &View, scroll: &mut Scroll) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, scroll)).unwrap();
    let cells = terminal.backend().buffer().content();
    let lines = cells.chunks(width.into()).map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
    lines.map(|line| line.trim_end().to_owned()).collect()
}

const START: Scroll = Scroll { down: None, right: 0 };

fn drawing(card: u8) -> View {
    let card = cards::numbered(card).unwrap();
    view(card.outline[1].answer.clone(), Ask::Mark { unclear: false })
}

#[test]
fn a_usual_terminal_shows_a_whole_drawing() {
    let (mut scroll, view) = (START, drawing(1));
    let text = drawn(80, 24, &view, &mut scroll);
    assert_eq!(text[0], "9: hot key and stock buckets");
    assert_eq!(text[1], "card 1 of 3 · step 3 of 8");
    assert_eq!(text[3], "Compare: The drawing");
    let Block::Verbatim(lines) = &view.answer[0] else { panic!() };
    assert_eq!(text[5..5 + lines.len()], lines[..]);
    assert_eq!(text[23], "y: had it · n: missed it · q: end");
    assert_eq!((scroll, text[22].as_str()), (Scroll { down: Some(0), right: 0 }, ""));
}

#[test]
fn a_narrow_one_moves_the_drawing_and_keeps_the_keys() {
    let (mut scroll, view) = (START, drawing(9));
    let text = drawn(40, 20, &view, &mut scroll);
    let Block::Verbatim(lines) = &view.answer[0] else { panic!() };
    let part = |from: usize| lines[0].chars().skip(from).take(40).collect::<String>().trim_end().to_owned();
    assert_eq!(text[5], part(0));
    assert!(text[18].contains("←→ the drawing is wider"), "{text:?}");
    assert_eq!(text[19], "y: had it · n: missed it · q: end");
    scroll.right = 20;
    assert_eq!(drawn(40, 20, &view, &mut scroll)[5], part(20));
    scroll.right = 1000;
    drawn(40, 20, &view, &mut scroll);
    assert!(scroll.right < 80, "no further than its end: {scroll:?}");
}

#[test]
fn a_long_answer_begins_at_its_first_line_and_can_be_scrolled() {
    let items = (1..=30).map(|n| Block::Item(format!("item {n}"))).collect();
    let (mut scroll, view) = (START, view(items, Ask::Mark { unclear: false }));
    let text = drawn(40, 12, &view, &mut scroll);
    assert_eq!((text[3].as_str(), scroll.down), ("- item 1", Some(2)));
    assert_eq!(text[10], "↑  ↓ more");
    scroll.down = Some(1000);
    let text = drawn(40, 12, &view, &mut scroll);
    assert_eq!((text[9].as_str(), text[10].as_str()), ("- item 30", "↑"));
}

#[test]
fn every_card_fits_40_columns() {
    for card in cards::all().unwrap() {
        for step in card.outline.iter().chain(&card.follow_ups) {
            let cue = vec![Block::Text(format!("Compare: {}", step.cue)), Block::Text(card.prompt.clone())];
            let written = [&cue, &step.answer].into_iter().flat_map(|blocks| lines(blocks, 40));
            let text = written.filter_map(|line| match line {
                Written::Text(line) => Some(line),
                Written::Drawing(_) => None,
            });
            let too_wide: Vec<_> = text.filter(|line| line.chars().count() > 40 && line.trim().contains(' ')).collect();
            assert!(too_wide.is_empty(), "card {}: {too_wide:?}", card.number);
        }
    }
}

#[test]
fn the_clock_stands_at_the_right_and_a_prediction_is_typed() {
    let clock = Clock { spent: Duration::from_secs(67), limit: Duration::from_secs(300) };
    let ask = Ask::Predict { typed: "12".into(), refused: Some("not a number, such as 120") };
    let view = View { clock: Some(clock), ..view(Vec::new(), ask) };
    let mut scroll = START;
    let text = drawn(40, 12, &view, &mut scroll);
    assert!(text[0].starts_with("9: hot key") && text[0].ends_with("  1:07 / 5:00"), "{text:?}");
    assert_eq!(text[10..], ["Your prediction: 12▏", "This is not a number, such as 120."]);
    assert_eq!(drawn(39, 12, &view, &mut scroll)[0], "Too small: 40 × 12 are needed. q ends.");
}

#[test]
fn a_wide_command_can_be_copied_and_what_is_said_about_it_stands_above() {
    let short = "cargo loadtest run v1";
    assert_eq!(verbatim(short, 40), [short]);
    let long = "cargo loadtest replay v1 docs/schedules/lost-update.txt    # the drawing, step by step";
    let lines = ["# the drawing, step by step", "cargo loadtest replay v1 \\", "  docs/schedules/lost-update.txt"];
    assert_eq!(verbatim(long, 40), lines);
    let drawing = "  A   ".repeat(20);
    assert_eq!(verbatim(&drawing, 40), [drawing]);
}
