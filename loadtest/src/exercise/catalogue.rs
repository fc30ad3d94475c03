//! Every exercise. Its texts are part of the program, so that they always belong to its checks.

use super::{
    Check, Exercise,
    Kind::{self, Bar, Mend},
    goal::{DEADLOCK, Goal, ONE_ORDER, TWO_OF_24},
};
use crate::{
    near::near,
    version::Version::{self, V1, V2, V3, V4, V5, V6},
};

/// The text of a file of an exercise. A macro, because a file is embedded by a literal name.
macro_rules! text {
    ($name:literal, $file:literal) => {
        include_str!(concat!("../../exercises/", $name, "/", $file))
    };
}

/// An exercise with a source file, its wrong fixes, the other files of its crate, and its dependencies.
macro_rules! program {
    ($name:literal, $chapter:expr, $kind:expr, [$($wrong:literal),+], [$($file:literal),*], [$($needs:literal),*]) => {
        Exercise {
            name: $name,
            chapter: $chapter,
            kind: $kind,
            task: text!($name, "task.md"),
            hints: text!($name, "hints.md"),
            start: text!($name, "start.rs"),
            solution: text!($name, "solution.rs"),
            wrong: &[$(text!($name, $wrong)),+],
            check: Check::Program {
                files: &[
                    ("check.rs", text!($name, "check.rs")),
                    $(($file, include_str!(concat!("../../exercises/", $file)))),*
                ],
                dependencies: &[$($needs),*],
            },
        }
    };
}

/// An exercise with a schedule.
macro_rules! schedule {
    ($name:literal, $goal:expr) => {
        schedule(
            $name,
            $goal,
            [
                text!($name, "task.md"),
                text!($name, "hints.md"),
                text!($name, "start.txt"),
                text!($name, "solution.txt"),
            ],
            &[text!($name, "wrong-1.txt")],
        )
    };
}

const fn schedule(
    name: &'static str,
    goal: Goal,
    [task, hints, start, solution]: [&'static str; 4],
    wrong: &'static [&'static str],
) -> Exercise {
    let (chapter, kind) = (goal.version, Kind::Schedule);
    Exercise { name, chapter, kind, task, hints, start, solution, wrong, check: Check::Schedule(goal) }
}

/// All exercises, in the order of the chapters.
pub static EXERCISES: [Exercise; 18] = [
    program!("audit", V1, Mend, ["wrong-1.rs", "wrong-2.rs"], [], []),
    program!("counter", V1, Mend, ["wrong-1.rs"], ["crowd.rs"], ["clap", "sqlx", "tempfile", "tokio", "v1-naive"]),
    schedule!("one-order", ONE_ORDER),
    program!("lock-order", V2, Mend, ["wrong-1.rs"], [], []),
    program!(
        "two-instances",
        V2,
        Mend,
        ["wrong-1.rs"],
        ["crowd.rs"],
        ["clap", "sqlx", "tempfile", "tokio", "v1-naive"]
    ),
    schedule!("deadlock", DEADLOCK),
    program!("jitter", V3, Bar, ["wrong-1.rs", "wrong-2.rs"], [], []),
    program!(
        "conditional",
        V3,
        Bar,
        ["wrong-1.rs", "wrong-2.rs"],
        ["crowd.rs"],
        ["clap", "sqlx", "tempfile", "tokio", "tracing", "v1-naive", "v3-optimistic"]
    ),
    schedule!("two-of-24", TWO_OF_24),
    program!("greedy-client", V4, Mend, ["wrong-1.rs"], [], []),
    program!("forged-address", V4, Mend, ["wrong-1.rs"], [], []),
    program!("window-edge", V4, Bar, ["wrong-1.rs", "wrong-2.rs"], [], []),
    program!("frequency-cap", V5, Mend, ["wrong-1.rs", "wrong-2.rs", "wrong-3.rs"], ["redis.rs"], []),
    program!(
        "one-each",
        V5,
        Mend,
        ["wrong-1.rs", "wrong-2.rs"],
        ["crowd.rs"],
        ["clap", "sqlx", "tempfile", "tokio", "v1-naive"]
    ),
    program!("signed-path", V5, Mend, ["wrong-1.rs", "wrong-2.rs", "wrong-3.rs"], [], ["hex", "hmac", "md-5"]),
    program!("reserve", V6, Mend, ["wrong-1.rs", "wrong-2.rs"], ["redis.rs"], []),
    program!("outbox", V6, Mend, ["wrong-1.rs", "wrong-2.rs"], [], []),
    program!("ack", V6, Mend, ["wrong-1.rs", "wrong-2.rs"], [], []),
];

/// The exercise of this name.
///
/// # Errors
/// There is none. The message names those that are like it.
pub fn named(name: &str) -> Result<&'static Exercise, String> {
    let found = EXERCISES.iter().find(|exercise| exercise.name == name);
    found.ok_or_else(|| match near(name, EXERCISES.iter().map(|exercise| exercise.name)).as_slice() {
        [] => format!("there is no exercise {name}; `cargo loadtest exercise` lists them"),
        near => format!("there is no exercise {name}; there is {}", near.join(", ")),
    })
}

/// The exercises of a chapter.
pub fn of(chapter: Version) -> impl Iterator<Item = &'static Exercise> {
    EXERCISES.iter().filter(move |exercise| exercise.chapter == chapter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::VERSIONS;

    #[test]
    fn each_chapter_has_three_and_each_has_its_texts() {
        for chapter in VERSIONS {
            assert_eq!(of(chapter).count(), 3, "{chapter}");
        }
        for exercise in &EXERCISES {
            let name = exercise.name;
            assert!(exercise.task.starts_with("# ") && exercise.asks().ends_with('.'), "{name}");
            assert_eq!(exercise.hints().len(), 3, "{name}");
            assert!(!exercise.wrong.is_empty() && exercise.start != exercise.solution, "{name}");
            assert!(exercise.wrong.iter().all(|wrong| wrong.contains("Wrong: ")), "{name}");
            assert_eq!(EXERCISES.iter().filter(|other| other.name == name).count(), 1, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_leads_to_those_that_are_like_it() {
        assert_eq!(named("outbox").map(|exercise| exercise.name), Ok("outbox"));
        let refused = |name| named(name).map(|exercise| exercise.name).unwrap_err();
        assert_eq!(refused("conter"), "there is no exercise conter; there is counter");
        assert_eq!(refused("order"), "there is no exercise order; there is one-order, lock-order");
        assert!(refused("xyzzy").ends_with("`cargo loadtest exercise` lists them"));
        assert!(refused("").ends_with("lists them"));
    }
}
