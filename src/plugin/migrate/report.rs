//! What `migrate` prints.

use std::fmt::Write as _;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use futures::{StreamExt as _, stream};

use super::cluster::AT_ONCE;
use super::maester::{Move, SecretFate};
use super::plan::{Item, Verdict, server_of};
use crate::admin::bounded::printable;
use crate::plugin::NOT_READY;
use crate::plugin::objects::put;

/// The plan for people.
pub(super) fn text(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        let (word, colour, first, notes): (_, _, _, &[String]) = match &item.verdict {
            Verdict::Move(planned) => ("move", AnsiColor::Green, destination(planned), &planned.notes),
            Verdict::Continue(_) => ("go on", AnsiColor::Green, "It has begun to move.".to_owned(), &[]),
            Verdict::Skip(why) => ("skip", AnsiColor::Yellow, why.clone(), &[]),
        };
        let style = Style::new().fg_color(Some(colour.into()));
        let _ = writeln!(text, "{style}{word:<5}{style:#}  {}", printable(&item.key()));
        for sentence in [&first].into_iter().chain(notes) {
            let _ = writeln!(text, "       {}", printable(sentence));
        }
    }
    let skipped = skipped(items);
    let _ = match (items.len() - skipped, skipped) {
        (0, 0) => writeln!(text, "There is nothing to move."),
        (moving, 0) => writeln!(text, "{moving} to move. Nothing was changed; --apply moves them."),
        (moving, skipped) => writeln!(
            text,
            "{moving} to move, {skipped} skipped. Nothing was changed; --apply moves them."
        ),
    };
    text
}

/// Number of resources that cannot move.
pub(super) fn skipped(items: &[Item]) -> usize {
    let is_skipped = |item: &&Item| matches!(item.verdict, Verdict::Skip(_));
    items.iter().filter(is_skipped).count()
}

/// Where a resource moves to, with its Secret.
fn destination(planned: &Move) -> String {
    let server = format!(
        "Its client is on AuthorizationServer `{}`.",
        server_of(&planned.manifest)
    );
    match planned.secret {
        SecretFate::TakenOver => format!("{server} The operator takes the Secret over as it is."),
        SecretFate::Released | SecretFate::Untouched => server, // a note says more
    }
}

/// The exit code if this many were left.
pub(super) fn code(left: usize) -> ExitCode {
    match left {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_READY),
    }
}

/// Does something with each resource, some at a time, and prints what became of each. `done`: what is said of a success.
pub(super) async fn tell(
    each: impl Iterator<Item = impl Future<Output = (String, Result<()>)>>,
    done: &str,
) -> Result<ExitCode> {
    let (mut moved, mut left) = (0, 0);
    let mut ended = stream::iter(each).buffer_unordered(AT_ONCE);
    while let Some((key, result)) = ended.next().await {
        let said = match result {
            Ok(()) => {
                moved += 1;
                done.to_owned()
            }
            Err(why) => {
                left += 1;
                format!("not {done}. {why:#}")
            }
        };
        put(&format!("{}: {}\n", printable(&key), printable(&said)))?;
    }
    put(&format!("{moved} {done}, {left} left.\n"))?;
    Ok(code(left))
}
