//! The summary of an interview: one page of Markdown to keep.

use std::collections::BTreeMap;

use super::sitting::{Mark, Sitting};
use crate::render::text::minutes;

/// The page. `unix` is the time in seconds since 1970, of which it shows the date.
pub fn page(interview: &Sitting, unix: u64) -> String {
    let (card, marks) = (interview.card, &interview.marks);
    let had = marks.iter().filter(|mark| mark.had).count();
    let talked = interview.talked.map_or_else(|| "not to the end".into(), minutes);
    let is_own = |mark: &&Mark| mark.of.card.number == card.number;
    let (own, others): (Vec<_>, Vec<_>) = marks.iter().partition(is_own);
    let mut page = format!("# An interview on {}\n\n> {}\n\n", date(unix), card.prompt);
    page += &format!("Talked: {talked} of {}. Had: {had} of {}.", minutes(interview.limit()), marks.len());
    page += &if interview.is_done() { String::new() } else { " Ended early.".to_owned() };
    page += "\n\n## Follow-ups\n\n";
    for mark in others {
        page += &format!("{} ({})\n", line(mark), mark.of.card.title);
    }
    page += "\n## The outline\n\n";
    for mark in own {
        page += &format!("{}\n", line(mark));
    }
    let missed = marks.iter().filter(|mark| !mark.had);
    let again: BTreeMap<u8, &str> = missed.map(|mark| (mark.of.card.number, mark.of.card.title.as_str())).collect();
    if !again.is_empty() {
        page += "\n## Again\n\n";
    }
    for (number, title) in again {
        page += &format!("- `cargo loadtest rehearse --card {number}`: {title}\n");
    }
    page
}

fn line(mark: &Mark) -> String {
    format!("- [{}] {}", if mark.had { 'x' } else { ' ' }, mark.of.step.cue)
}

/// The date in the time zone UTC: `2026-11-27`. Years are counted from March, so that a leap day is the last day of one.
fn date(unix: u64) -> String {
    let days = unix / 86_400 + 719_468; // since 1 March of the year 0
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_right_at_the_ends_of_years_and_on_leap_days() {
        for (unix, is) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_704_067_199, "2023-12-31"),
            (1_704_067_200, "2024-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(unix), is);
        }
    }
}
