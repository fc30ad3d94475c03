use std::{
    env, fs,
    io::{IsTerminal, stdin},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::{Context, ensure};
use loadtest::{
    record::file::check_writable,
    rehearse::{
        card::Card,
        cards::{self, MASTER},
        deck::Deck,
        session::{Session, in_days},
        sitting::Recall,
        summary,
    },
    render::rehearse::{fits, list},
};
use tokio::task::spawn_blocking;

use self::reader::{Clocks, Reader};
use super::{
    ending::Interrupts,
    exit::Exit,
    print::{note, print, room, say},
    progress::{Plain, Shows},
    terminal,
};

mod plain;
mod played;
mod reader;
mod screen;

/// What `--help` says about a session.
const SESSION: &str = "A card: talk for five minutes, predict what a real run shows, then reveal one step after the other and mark it. What you \
                       missed comes again in the same session, and the card after 1, 3, 7 and 21 days. q ends, and so does Ctrl-C; \
                       the deck is saved at each mark, and a card that you leave continues there, if you return within half a day.";

/// Follow-ups in an interview.
const DRAWN: usize = 2;

#[derive(clap::Args)]
#[command(after_help = SESSION)]
pub(crate) struct Args {
    /// List the cards, and when each is due
    #[arg(long, conflicts_with_all = ["card", "mock"])]
    list: bool,

    /// Rehearse this card, whether or not it is due
    #[arg(long, value_name = "N", conflicts_with = "mock")]
    card: Option<u8>,

    /// An interview of 45 minutes: card 0, and two follow-ups drawn from the other cards
    #[arg(long)]
    mock: bool,

    /// Write the summary of the interview to this file, instead of printing it
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// The file that remembers when each card is due [default: oversold/deck.json in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "FILE")]
    deck: Option<PathBuf>,

    #[command(flatten)]
    plain: Plain,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    ensure!(args.mock || args.summary.is_none(), "--summary is that of an interview: add --mock");
    let path = args.deck.map_or_else(|| Deck::default_path(|name| env::var_os(name).map(PathBuf::from)), Ok)?;
    let (cards, clocks, mut deck) = (cards::all()?, Clocks::start(), Deck::read(&path)?);
    let unix = clocks.now().unix;
    if deck.settle(unix) {
        note("The clock was set back since the last rehearsal. Each card keeps its interval, counted from now.");
    }
    let shows = args.plain.shows();
    if args.list {
        print(list(cards, &deck, unix).terminal(room()));
        return Ok(Exit::AsPromised);
    }
    let session = match args.card {
        Some(number) => Session::of(deck, &[cards::numbered(number)?], clocks.now()),
        None if args.mock => Session::interview(deck, cards::numbered(MASTER)?, drawn(cards), clocks.now()),
        None => match deck.due(cards, unix) {
            due if due.is_empty() => {
                say(format_args!("No card is due. {} `--card N` rehearses any card.", outlook(&deck, cards, unix)));
                return Ok(Exit::AsPromised);
            }
            due => Session::of(deck, &due, clocks.now()),
        },
    };
    args.summary.iter().try_for_each(|file| check_writable(file))?;
    Deck::check_writable(&path)?;
    let has_screen = shows == Shows::Screen && stdin().is_terminal();
    let (session, interrupted) = rehearse(Reader::new(session, path.clone(), clocks), has_screen).await?;
    if let Some(interrupted) = interrupted {
        note(format_args!("ended; what you have done is kept in {}", path.display()));
        return Ok(interrupted);
    }
    conclude(&session, cards, clocks.now().unix, args.summary)?;
    Ok(Exit::AsPromised)
}

/// Rehearses until the reader has enough, or a signal comes.
async fn rehearse(reader: Reader, has_screen: bool) -> anyhow::Result<(Session, Option<Exit>)> {
    let mut interrupts = Interrupts::listen()?;
    let stop = Arc::new(AtomicBool::new(false));
    let is_stopped = stop.clone();
    let has_screen = has_screen && terminal::take(fits);
    let mut rehearsal = spawn_blocking(move || match has_screen {
        true => screen::rehearse(reader, &is_stopped),
        false => plain::rehearse(reader, &is_stopped),
    });
    tokio::select! {
        done = &mut rehearsal => Ok((done??, None)),
        interrupted = interrupts.next() => {
            stop.store(true, Relaxed);
            Ok((rehearsal.await??, Some(interrupted)))
        }
    }
}

/// Follow-ups of two cards.
fn drawn(cards: &'static [Card]) -> Vec<Recall> {
    let with_any = cards.iter().filter(|card| !card.follow_ups.is_empty());
    let drawn = fastrand::choose_multiple(with_any, DRAWN).into_iter();
    drawn.filter_map(|card| Some(Recall { card, step: fastrand::choice(&card.follow_ups)? })).collect()
}

/// What was done, what is next, and the summary of an interview.
fn conclude(session: &Session, cards: &[Card], unix: u64, summary: Option<PathBuf>) -> anyhow::Result<()> {
    if let Some(interview) = session.of_interview().filter(|interview| !interview.marks.is_empty()) {
        let page = summary::page(interview, unix);
        match summary {
            None => print(format_args!("{page}\n")),
            Some(file) => {
                fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
                say(format_args!("summary: {}", file.display()));
            }
        }
    }
    let done = match session.counts() {
        (0, _) => "No card is done.".into(),
        (1, 0) => "One card is done, and nothing was missed.".into(),
        (1, _) => "One card is done, and something was missed.".into(),
        (all, 0) => format!("{all} cards are done, and nothing was missed."),
        (all, missed) => format!("{all} cards are done; in {missed} of them something was missed."),
    };
    say(format_args!("{done} {}", outlook(&session.deck, cards, unix)));
    Ok(())
}

/// What is due, or when something is.
fn outlook(deck: &Deck, cards: &[Card], unix: u64) -> String {
    let next = cards.iter().min_by_key(|card| (deck.of(card.number).due, card.number));
    match (deck.due(cards, unix).len(), next) {
        (0, Some(next)) => {
            let days = in_days(deck.days_until(next.number, unix));
            format!("The next one is card {}, {days}.", next.number)
        }
        (1, _) => "One card is due.".into(),
        (due, _) => format!("{due} cards are due."),
    }
}
