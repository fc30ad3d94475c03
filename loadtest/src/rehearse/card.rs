//! A whiteboard card, read from the book's own file. `.ci/cards` checks the same shape.

use anyhow::{Context, bail, ensure};

use super::{
    cards::MASTER,
    markdown::{Block, blocks, plain},
    predict::Predict,
};

/// The parts of a card that the reader recalls, as their headings begin.
const OUTLINE: [&str; 4] = ["The first two minutes", "The drawing", "Three numbers", "The trap"];
/// Those of the card for the whole interview.
const OUTLINE_OF_MASTER: [&str; 9] = [
    "Clarify",
    "Estimate",
    "API",
    "Data model and order states",
    "The drawing in five strokes",
    "Deep dives",
    "Failure",
    "What you would measure",
    "The trap",
];

/// A card.
#[derive(Debug)]
pub struct Card {
    /// Its number, which stands in its heading.
    pub number: u8,
    /// Its title.
    pub title: String,
    /// The prompt, as an interviewer says it.
    pub prompt: String,
    /// The outline of the answer, step by step.
    pub outline: Vec<Step>,
    /// Three follow-ups; none of the card for the whole interview.
    pub follow_ups: Vec<Step>,
    /// The commands that prove the card, and what is told.
    pub prove: Vec<Block>,
    /// A prediction about a real run; `None` if the card has none.
    pub predict: Option<Predict>,
}

/// Something to recall.
#[derive(Debug)]
pub struct Step {
    /// What is asked: the heading of the part, or the follow-up.
    pub cue: String,
    /// What was to be said.
    pub answer: Vec<Block>,
}

impl Card {
    /// The minutes to talk.
    pub fn minutes(&self) -> u64 {
        if self.number == MASTER { 45 } else { 5 }
    }

    /// Reads a card.
    ///
    /// # Errors
    /// A part is missing, is empty, or is one that no card has.
    pub fn parse(text: &str) -> anyhow::Result<Card> {
        let heading = text.lines().find_map(|line| line.strip_prefix("# ")?.split_once(": "));
        let (number, title) = heading.context("no heading `# N: title`")?;
        let number = number.parse().with_context(|| format!("{number} is no number of a card"))?;
        parse(number, title, text).with_context(|| format!("card {number}"))
    }
}

fn parse(number: u8, title: &str, text: &str) -> anyhow::Result<Card> {
    let (text, comments) = without_comments(text);
    let prompt = text.lines().find_map(|line| line.strip_prefix("> **")?.strip_suffix("**"));
    let mut parts = parts(&text);
    let mut take = |name: &str| {
        let at = parts.iter().position(|part| part.heading.starts_with(name));
        let part = at.map(|at| parts.remove(at)).filter(|part| !part.body.trim().is_empty());
        part.with_context(|| format!("no part \"{name}\""))
    };

    let names = if number == MASTER { &OUTLINE_OF_MASTER[..] } else { &OUTLINE };
    let outline = names.iter().map(|name| {
        let part = take(name)?;
        Ok(Step { cue: part.heading, answer: blocks(&part.body) })
    });
    let outline = outline.collect::<anyhow::Result<Vec<_>>>()?;
    let follow_ups = if number == MASTER { Vec::new() } else { follow_ups(&take("Follow-ups")?.body) };
    let prove = take("Prove it")?.body;
    if let Some(part) = parts.first() {
        bail!("no card has a part \"{}\"", part.heading);
    }

    let is_verbatim = |block: &Block| matches!(block, Block::Verbatim(_));
    let drawing = outline.iter().find(|step| step.cue.starts_with("The drawing"));
    ensure!(drawing.is_some_and(|step| step.answer.iter().any(is_verbatim)), "no drawing");
    if number != MASTER {
        ensure!(follow_ups.len() == 3, "{} follow-ups with answers, not three", follow_ups.len());
        let numbers = outline.iter().filter(|step| step.cue == "Three numbers").flat_map(|step| &step.answer);
        let numbers = numbers.filter(|block| matches!(block, Block::Item(_))).count();
        ensure!(numbers == 3, "{numbers} numbers, not three");
    }
    let is_told = prove.to_lowercase().contains("**told**");
    let prove = blocks(&prove);
    ensure!(is_told || prove.iter().any(is_verbatim), "neither a command nor a \"told\" in \"Prove it\"");
    let predict = comments.iter().find_map(|comment| comment.trim_start().strip_prefix("predict"));
    Ok(Card {
        number,
        title: plain(title),
        prompt: plain(prompt.context("no prompt (> **…**)")?),
        outline,
        follow_ups,
        prove,
        predict: predict.map(Predict::parse).transpose()?,
    })
}

/// A part of a card: a heading and what follows it.
struct Part {
    heading: String,
    body: String,
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in text.lines().filter(|line| *line != "</div>") {
        match (line.strip_prefix("## "), parts.last_mut()) {
            (Some(heading), _) => parts.push(Part { heading: heading.into(), body: String::new() }),
            (None, Some(part)) => part.body += &format!("{line}\n"),
            (None, None) => {} // title and prompt stand before the first part
        }
    }
    parts
}

/// The questions in the folds, each with its answer.
fn follow_ups(text: &str) -> Vec<Step> {
    let folds = text.split("<details><summary>").skip(1);
    let step = |fold: &str| {
        let (question, rest) = fold.split_once("</summary>")?;
        let (answer, _) = rest.split_once("</details>")?;
        Some(Step { cue: plain(question), answer: blocks(answer) }).filter(|step| !step.answer.is_empty())
    };
    folds.filter_map(step).collect()
}

/// The text without its comments, and the comments.
fn without_comments(text: &str) -> (String, Vec<&str>) {
    let (mut left, mut comments, mut rest) = (String::new(), Vec::new(), text);
    while let Some((before, after)) = rest.split_once("<!--") {
        let (comment, after) = after.split_once("-->").unwrap_or((after, ""));
        left += before;
        comments.push(comment);
        rest = after;
    }
    (left + rest, comments)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "<div class=\"card\">\n\n# 7: a *title*\n\n> **Why?**\n\n## The first two minutes\n\nSay `this`.\n\n\
        ## The drawing\n\n```text\na ─▶ b\n```\n\n## Three numbers\n\n- 1\n- 2\n- 3\n\n## Follow-ups\n\n\
        <details><summary>One?</summary>\n\nYes.\n\n</details>\n<details><summary>Two?</summary>\n\nNo.\n\n</details>\n\
        <details><summary>Three?</summary>\n\nNever.\n\n</details>\n\n## The trap\n\nThis.\n\n## Prove it\n\n```sh\nmake demo\n```\n\n\
        <!-- predict\nask: How many?\nrun: cargo loadtest run v1\nread: /runs/0/orders\nwhy: Because.\n-->\n\n</div>\n";

    #[test]
    fn a_card_is_read_part_by_part() {
        let card = Card::parse(CARD).unwrap();
        assert_eq!((card.number, card.title.as_str(), card.prompt.as_str()), (7, "a title", "Why?"));
        let cues: Vec<_> = card.outline.iter().chain(&card.follow_ups).map(|step| step.cue.as_str()).collect();
        assert_eq!(cues, [&OUTLINE[..], &["One?", "Two?", "Three?"]].concat());
        assert_eq!(card.outline[0].answer, [Block::Text("Say this.".into())]);
        assert_eq!(card.prove, [Block::Verbatim(vec!["make demo".into()])]);
        assert_eq!(card.predict.unwrap().ask, "How many?");
    }

    /// Each mistake that `.ci/cards` refuses is an error here, too, and the error names the card.
    #[test]
    fn a_card_that_lacks_a_part_is_refused() {
        for (part, by, says) in [
            ("# 7: ", "# x: ", "x is no number"),
            ("> **Why?**", "", "no prompt"),
            ("## The trap", "## A trap", "no part \"The trap\""),
            ("Say `this`.", "", "no part \"The first two minutes\""),
            ("```text\na ─▶ b\n```", "a to b", "no drawing"),
            ("- 3\n", "", "2 numbers, not three"),
            ("Never.", "", "2 follow-ups with answers"),
            ("```sh\nmake demo\n```", "Believe it.", "neither a command nor a \"told\""),
            ("## Prove it", "## More\n\nText.\n\n## Prove it", "no card has a part \"More\""),
            ("read: ", "", "read"),
        ] {
            assert!(CARD.contains(part), "{part}");
            let error = format!("{:#}", Card::parse(&CARD.replace(part, by)).unwrap_err());
            assert!(error.contains(says) && (error.starts_with("card 7: ") || part == "# 7: "), "{error}");
        }
        let told = CARD.replace("```sh\nmake demo\n```", "**Told**, not built.");
        assert!(Card::parse(&told).is_ok());
    }
}
