use anyhow::bail;
use loadtest::{
    lab::{open_files, servers::Server},
    museum::{
        self,
        exhibit::{Exhibit, Form},
        play::Seen,
    },
    render::{self, table::Table},
};

use super::{
    database::{Database, in_lab},
    exit::Exit,
    print::{note, print, result, room, say},
    progress::spinner,
};

/// Connections that are open at the same time, with a margin.
const SOCKETS: usize = 1000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The exhibit to play; without a name, all are listed
    #[arg(value_name = "NAME", value_parser = museum::named)]
    exhibit: Option<&'static Exhibit>,

    /// Play the fix under the same attack, and check that it holds
    #[arg(long, requires = "exhibit")]
    fixed: bool,

    /// Print the list as Markdown, for the book
    #[arg(long, conflicts_with = "exhibit")]
    markdown: bool,

    /// Play the fix as if it were the exhibit: a test of this command
    #[arg(long, hide = true, requires = "exhibit", conflicts_with = "fixed")]
    mutant: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let Some(exhibit) = args.exhibit else {
        list(args.markdown)?;
        return Ok(Exit::AsPromised);
    };
    if let Some(why) = exhibit.missing() {
        bail!("{} cannot be played: {why}", exhibit.name);
    }
    open_files::allow(SOCKETS)?;
    let announced = if args.fixed { Form::Fixed } else { Form::Wrong };
    introduce(exhibit, announced);
    let form = if args.mutant { Form::Fixed } else { announced };
    in_lab(&Database { database: Some(exhibit.database().into()) }, async |lab| {
        let progress = spinner(&format!("{}: {}", exhibit.name, exhibit.attack));
        let seen = exhibit.play(lab, form).await;
        progress.finish_and_clear();
        Ok(conclude(exhibit, announced, &seen?))
    })
    .await
}

fn list(as_markdown: bool) -> anyhow::Result<()> {
    if as_markdown {
        let tables = [render::museum::table(), render::museum::sources()];
        return Ok(result(Table::all(&tables, Table::markdown))?);
    }
    print(render::museum::table().terminal(room()));
    say("\n`cargo loadtest museum NAME` plays one: it breaks, and the audit catches it. With --fixed it holds.");
    Ok(())
}

/// Says what is played. The fixed form begins with its fix, and the other one ends with it.
fn introduce(exhibit: &Exhibit, announced: Form) {
    say(format_args!("{}: {}", exhibit.name, exhibit.wrong));
    say(format_args!("code: {}", exhibit.code));
    say(format_args!("seen: {}", render::museum::seen(exhibit)));
    if announced == Form::Fixed {
        say(format_args!("played with the fix: {}", exhibit.fix));
    }
    if exhibit.has_lanes() && !Server::Postgres.is_installed() {
        note("There are no lanes: PostgreSQL is not installed; `make services` installs it.");
    }
}

/// Says what the audit has found, and whether that was announced.
fn conclude(exhibit: &Exhibit, announced: Form, seen: &Seen) -> Exit {
    let is_as_announced = match announced {
        Form::Wrong => seen.broke(exhibit.finding),
        Form::Fixed => seen.holds(),
    };
    let broke = exhibit.finding.says().map_or(String::new(), |says| format!(": {says}"));
    say(match (announced, is_as_announced) {
        (Form::Wrong, true) => format!("caught: {}{broke}", exhibit.attack),
        (Form::Wrong, false) => format!("NOT CAUGHT: {}; announced: {}", exhibit.attack, exhibit.finding.word()),
        (Form::Fixed, true) => format!("the fix holds: {}", exhibit.attack),
        (Form::Fixed, false) => format!("THE FIX BREAKS: {}; found: {}", exhibit.attack, seen.catch()),
    });
    say(format_args!("audit: {}", seen.line));
    if let Some(picture) = &seen.picture {
        print(format_args!("\n{picture}\n\n"));
    }
    if announced == Form::Wrong {
        say(format_args!("fix: {}", exhibit.fix));
    }
    if is_as_announced { Exit::AsPromised } else { Exit::PromiseBroken }
}
