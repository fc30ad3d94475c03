//! Every picture of README and book fits into its view box: no bar, line or text is cut off.

use std::{fs, path::Path, sync::LazyLock};

use regex::Regex;

/// An element with its attributes and its text.
static ELEMENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"<(rect|line|circle|text|path)\b([^>]*)>([^<]*)").unwrap());
static ATTRIBUTE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"\s([a-z0-9-]+)="([^"]*)""#).unwrap());
static COMMAND: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"([MLHVQC])([-\d., ]+)").unwrap());
/// The least width of a character, in units of the picture: letters of 13 px that are a good third as wide as high.
const CHARACTER: f64 = 5.0;

/// What lies outside of the view box of a picture.
fn outside(svg: &str) -> Vec<String> {
    // Markers have coordinates of their own.
    let drawn = Regex::new("(?s)<defs>.*?</defs>").unwrap().replace_all(svg, "").into_owned();
    let view = Regex::new(r#"viewBox="0 0 ([\d.]+) ([\d.]+)""#).unwrap();
    let view = view.captures(&drawn).expect("a view box");
    let [width, height] = [1, 2].map(|n| view[n].parse::<f64>().unwrap());
    let elements = ELEMENT.captures_iter(&drawn);
    let cut = elements.filter(|element| {
        let points = points(&element[1], &element[2], &element[3]);
        !points.iter().all(|(x, y)| (0.0..=width).contains(x) && (0.0..=height).contains(y))
    });
    cut.map(|element| element[0].to_owned()).collect()
}

/// Points that an element reaches: its corners.
fn points(name: &str, attributes: &str, text: &str) -> Vec<(f64, f64)> {
    let attribute = |name: &str| {
        let found = ATTRIBUTE.captures_iter(attributes).find(|found| &found[1] == name);
        found.map(|found| found[2].to_owned()).unwrap_or_default()
    };
    let n = |name: &str| attribute(name).parse::<f64>().unwrap_or_default();
    match name {
        "rect" => vec![(n("x"), n("y")), (n("x") + n("width"), n("y") + n("height"))],
        "line" => vec![(n("x1"), n("y1")), (n("x2"), n("y2"))],
        "circle" => vec![(n("cx") - n("r"), n("cy") - n("r")), (n("cx") + n("r"), n("cy") + n("r"))],
        "text" => {
            let class = attribute("class") + " " + &attribute("text-anchor");
            let wide = text.chars().count() as f64 * CHARACTER;
            let begins = if class.contains("end") {
                1.0
            } else if class.contains("middle") {
                0.5
            } else {
                0.0
            };
            vec![(n("x") - begins * wide, n("y")), (n("x") + (1.0 - begins) * wide, n("y"))]
        }
        _ => path(&attribute("d")),
    }
}

/// The points of a path, those that bend a curve included.
fn path(d: &str) -> Vec<(f64, f64)> {
    let (mut points, mut at) = (Vec::new(), (0.0, 0.0));
    for command in COMMAND.captures_iter(d) {
        let numbers = command[2].split([' ', ',']).filter(|number| !number.is_empty());
        let numbers: Vec<f64> = numbers.map(|number| number.parse().unwrap()).collect();
        match &command[1] {
            "H" => at.0 = numbers[numbers.len() - 1],
            "V" => at.1 = numbers[numbers.len() - 1],
            _ => {
                points.extend(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                at = *points.last().expect("a point");
            }
        }
        points.push(at);
    }
    points
}

#[test]
fn no_picture_is_cut_off() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pictures: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "svg")).collect();
    assert!(pictures.len() >= 10, "{pictures:?}");
    for picture in pictures {
        let svg = fs::read_to_string(&picture).unwrap();
        assert!(ELEMENT.find_iter(&svg).count() > 5, "{}", picture.display());
        assert_eq!(outside(&svg), [""; 0], "{}", picture.display());
    }
}

#[test]
fn a_picture_that_is_cut_off_is_noticed() {
    let svg = |element: &str| format!(r#"<svg viewBox="0 0 100 50">{element}</svg>"#);
    for whole in [
        r#"<rect x="0" y="10" width="100" height="40"></rect>"#,
        r#"<text class="end" x="99" y="49">ten letter</text>"#,
        r#"<path d="M0 0H100V50L10,20"/>"#,
        r#"<defs><marker><path d="M0 0H900"/></marker></defs>"#,
    ] {
        assert_eq!(outside(&svg(whole)), [""; 0], "{whole}");
    }
    for cut in [
        r#"<rect x="50" y="10" width="51" height="10"></rect>"#,
        r#"<rect x="50" y="10" width="10" height="41"></rect>"#,
        r#"<text x="60" y="10">ten letter</text>"#,
        r#"<text class="soft end" x="40" y="10">ten letter</text>"#,
        r#"<text x="80" y="10" text-anchor="middle">ten letter</text>"#,
        r#"<text x="0" y="51">a</text>"#,
        r#"<line x1="-1" y1="0" x2="9" y2="9"></line>"#,
        r#"<circle cx="98" cy="9" r="3"></circle>"#,
        r#"<path d="M0 0H101"/>"#,
        r#"<path d="M0 0L10 60"/>"#,
    ] {
        assert_eq!(outside(&svg(cut)).len(), 1, "{cut}");
    }
}
