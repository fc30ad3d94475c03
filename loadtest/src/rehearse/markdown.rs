//! The little Markdown that the cards use, as blocks for a terminal.

use std::sync::LazyLock;

use regex::Regex;

/// A block of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A paragraph, which is wrapped to the width of the terminal.
    Text(String),
    /// An item of a list, or a row of a table, which is wrapped, too.
    Item(String),
    /// A drawing or commands: lines that are shown as they are.
    Verbatim(Vec<String>),
}

/// Reads blocks. A row of a table becomes an item: the first cell, a colon, and the others.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let (mut blocks, mut lines, mut is_open) = (Vec::new(), markdown.lines(), false);
    while let Some(line) = lines.next() {
        let (was_open, item) = (std::mem::replace(&mut is_open, true), line.strip_prefix("- "));
        match blocks.last_mut() {
            _ if line.starts_with("```") => {
                let code = lines.by_ref().take_while(|line| !line.starts_with("```")).map(str::to_owned);
                blocks.push(Block::Verbatim(code.collect()));
                is_open = false;
            }
            _ if line.trim().is_empty() => is_open = false,
            _ if is_rule(line) => {
                blocks.pop(); // the heads of a table say nothing without its columns
            }
            _ if line.starts_with('|') => blocks.push(Block::Item(row(line))),
            Some(Block::Text(text) | Block::Item(text)) if was_open && item.is_none() => {
                *text += &format!(" {}", line.trim());
            }
            _ => blocks.push(item.map_or_else(|| Block::Text(line.into()), |item| Block::Item(item.into()))),
        }
    }
    for block in &mut blocks {
        if let Block::Text(text) | Block::Item(text) = block {
            *text = plain(text);
        }
    }
    blocks
}

/// Whether this is the line between the heads and the rows of a table.
fn is_rule(line: &str) -> bool {
    line.starts_with("|-") && line.chars().all(|c| "|-: ".contains(c))
}

fn row(line: &str) -> String {
    let cells = line.trim().trim_matches('|').split('|').map(str::trim);
    let (first, rest) = (cells.clone().next().unwrap_or_default(), cells.skip(1).collect::<Vec<_>>().join(", "));
    format!("{first}: {rest}")
}

/// A text without its marks: of a link the text is left, and of code what it says.
pub fn plain(text: &str) -> String {
    static MARKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let marks = [
            (r"!?\[([^\]]*)\]\([^)\s]*\)", "$1"),
            (r"\*\*([^*]+)\*\*", "$1"),
            (r"\*([^*\s][^*]*)\*", "$1"),
            (r"</?[a-z]+>", ""),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&amp;", "&"),
            ("`", ""),
        ];
        marks.into_iter().filter_map(|(mark, by)| Some((Regex::new(mark).ok()?, by))).collect()
    });
    MARKS.iter().fold(text.to_owned(), |text, (mark, by)| mark.replace_all(&text, *by).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_away_and_code_is_left() {
        let marked = "**Told**: *one* of [`aof.c`](https://x.org/a) says `set sold = sold + 1`, <code>a &lt; b</code>";
        assert_eq!(plain(marked), "Told: one of aof.c says set sold = sold + 1, a < b");
    }

    #[test]
    fn paragraphs_lists_drawings_and_tables_are_blocks() {
        let text = "One\nsentence.\n\n- first\n  item\n- second\n\n```text\n a ─▶ b\n\n c\n```\n\n| call | answer |\n|---|--:|\n| `GET` | 200 |\n";
        let expected = [
            Block::Text("One sentence.".into()),
            Block::Item("first item".into()),
            Block::Item("second".into()),
            Block::Verbatim(vec![" a ─▶ b".into(), String::new(), " c".into()]),
            Block::Item("GET: 200".into()),
        ];
        assert_eq!(blocks(text), expected);
    }
}
