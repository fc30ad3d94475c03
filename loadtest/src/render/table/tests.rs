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
    let (table, text) = (table(), table().terminal());
    let plain = anstream::adapter::strip_str(&text).to_string();
    let lines: Vec<_> = plain.lines().map(str::trim_end).collect();
    let expected = [
        "who     sold here note",
        "v1     1,234 yes  –",
        "v2         0 no   a|b<c&d",
        "                  2 > 1",
        "                  sure",
        "  a note",
    ];
    assert_eq!(lines, expected);
    assert!(text.ends_with(&table.lines()), "rows can be printed one by one");
    let red = AnsiColor::Red.on_default();
    assert!(text.contains(&format!("{red}1,234{red:#}")) && text.matches(&format!("{red}")).count() == 1, "{text}");
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
