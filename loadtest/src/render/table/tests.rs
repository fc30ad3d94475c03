use super::*;

/// A broken row and a broken cell, whose texts contain Markdown's and HTML's special characters.
fn table() -> Table {
    let columns =
        [left("who", 6), right("`sold`", 5), left("here", 4).not_in_markdown(), left("note", 7), left("more", 0)];
    let note = Cell::from("a|b<c&d").marked(Mark::Bad).with("2 > 1").with("sure");
    let rows = [
        Row::new(["v1".into(), unwanted(1234), "yes".into(), "–".into(), "m".into()]),
        Row {
            mark: Mark::Good,
            notes: vec!["a note".into()],
            link: Some("#v2".into()),
            ..Row::new(["v2".into(), unwanted(0), "no".into(), note, "n".into()])
        },
    ];
    Table::new(columns, rows)
}

#[test]
fn the_terminal_has_fixed_columns_and_notes() {
    let (table, text) = (table(), table().terminal(usize::MAX));
    let expected = [
        "who     sold here note",
        "v1     1,234 yes  –",
        "v2         0 no   a|b<c&d",
        "                  2 > 1",
        "                  sure",
        "  a note",
    ];
    assert_eq!(lines(&text), expected);
    assert!(text.ends_with(&table.lines(usize::MAX)), "rows can be printed one by one");
    let red = AnsiColor::Red.on_default();
    assert!(text.contains(&format!("{red}1,234{red:#}")) && text.matches(&format!("{red}")).count() == 1, "{text}");
}

/// The lines of a text without its styles, and without the spaces at their ends.
fn lines(text: &str) -> Vec<String> {
    anstream::adapter::strip_str(text).to_string().lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn rows_that_come_one_by_one_continue_on_further_lines() {
    let (table, room) = (table(), 17);
    assert_eq!(lines(&table.heads(room)), ["who     sold", "  here note"]);
    let rows =
        ["v1     1,234", "  yes  –", "v2         0", "  no   a|b<c&d", "       2 > 1", "       sure", "  a note"];
    assert_eq!(lines(&table.lines(room)), rows);
}

#[test]
fn a_whole_table_is_cut_into_blocks_with_its_keys() {
    let columns = [left("who", 9), left("what", 9), right("one", 9), right("two", 9), left("why", 30)];
    let row = |who: &str, why: &str| Row {
        notes: vec!["a note that is longer than the terminal".into()],
        ..Row::new([who.into(), "rate".into(), "1,000".into(), "2".into(), why.into()])
    };
    let table = Table::new(columns, [row("v1", "–"), row("v2", "a text that is too long for it")]).with_keys(2);
    let expected = [
        "who what   one two",
        "v1  rate 1,000   2",
        "v2  rate 1,000   2",
        "",
        "who what why",
        "v1  rate –",
        "  a note that is longer",
        "  than the terminal",
        "v2  rate a text that is",
        "         too long for it",
        "  a note that is longer",
        "  than the terminal",
    ];
    assert_eq!(lines(&table.terminal(25)), expected);
    assert_eq!(lines(&table.terminal(70)).len(), 5, "all columns fit");
}

#[test]
fn markdown_escapes_special_characters() {
    let expected = "| who | `sold` | note | more |\n\
                    |---|--:|---|---|\n\
                    | v1 | **1,234** | – | m |\n\
                    | v2 | 0 | **a\\|b&lt;c&amp;d**: 2 > 1: sure | n |\n";
    assert_eq!(table().markdown(), expected);
    let no_head =
        Table::new([left("", 1), left("b", 1)], [Row::new(["".into(), Cell::from("*").marked(Mark::Invalid)])]);
    assert_eq!(no_head.markdown(), "| | b |\n|---|---|\n| | *** |\n");
}

#[test]
fn html_escapes_special_characters() {
    let html = table().html().into_string();
    assert!(html.contains("<th data-words>who</th><th><code>sold</code></th>"), "{html}");
    let rows: Vec<_> = html.split("<tr").skip(2).map(|row| row.split("</tr>").next().unwrap()).collect();
    let first = r#"><th scope="row">v1</th><td class="bad">1,234</td><td data-words>–</td><td data-words>m</td>"#;
    let second = r##" class="good"><th scope="row"><a href="#v2">v2</a></th><td>0</td>"##;
    let note = r#"<td class="bad" data-words>a|b&lt;c&amp;d: 2 &gt; 1: sure</td><td data-words>n</td>"#;
    assert_eq!(rows, [first.to_owned(), format!("{second}{note}")]);
}
