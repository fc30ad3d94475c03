//! The report: one HTML file that makes sense without the terminal's output. No network, light and dark mode, charts as inline
//! SVG.

/// Capacities.
pub mod capacity;
/// Extra runs of chapters 5 and 6: two instances, and a restart.
mod instances;
/// All interleavings of a version, and one of them as a picture.
pub mod interleavings;
/// The runs.
pub mod runs;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::svg;
use crate::record::file::File;

/// A page with this title, followed by how its figures were measured.
fn page<F>(file: &File<F>, title: &str, body: &Markup, about: &str) -> String {
    let machine = &file.machine;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Oversold: " (title.to_lowercase()) }
                link rel="icon" href="data:,";
                style { (PreEscaped(svg::STYLE)) (PreEscaped(include_str!("page/page.css"))) }
            }
            body { main {
                h1 { (title) }
                (body)
                footer {
                    h2 { "How it was measured" }
                    dl {
                        dt { "Machine" }
                        dd {
                            (machine.model) ", " (machine.cores) " processors, " (machine.memory_gib) " GiB, " (machine.system)
                            "; buyers, shop and database share it"
                        }
                        dt { "Commit" } dd { code { (file.commit.as_deref().unwrap_or("unknown")) } }
                        dt { "Command" } dd { code { (file.command) } }
                    }
                    p { (about) }
                }
            } }
        }
    };
    page.into_string()
}

/// Text in which backticks mark code.
pub(super) fn words(text: &str) -> Markup {
    html! {
        @for (n, part) in text.split('`').enumerate() {
            @if n % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
