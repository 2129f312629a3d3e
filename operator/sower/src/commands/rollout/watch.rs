//! `--watch`: rollouts until they are over. On a terminal they are drawn anew each time, else each change is a line.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sower_core::rollout::{Rollout, State};

use super::drawn::headline;
use super::status::{Last, each, of};
use crate::failure::Failure;
use crate::session::{Member, Session};

/// How often the database is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// How many times in a row it may not answer.
const PATIENCE: u32 = 120;
/// Clears the screen.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// What is worth a line, once it is another: the rollout, its state, step, share and reason.
type Turn = (String, State, u32, u32, String);

fn turn(rollout: &Rollout) -> Turn {
    let Rollout { id, state, step, weight, .. } = rollout;
    (id.clone(), *state, *step, *weight, rollout.reason().to_owned())
}

/// The rollouts at their end; none: somebody did not want to wait for it. Where a newer version takes the place of one, it
/// goes on with that.
///
/// # Errors
/// Where a database does not answer for minutes.
pub async fn watch<'a>(
    session: &'a Session,
    mut all: Vec<(&'a Member, Last)>,
    for_people: bool,
) -> Result<Option<Vec<(&'a Member, Last)>>, Failure> {
    let style = &session.style;
    let mut told: Vec<Turn> = Vec::new();
    let mut failed = 0;
    loop {
        let turns: Vec<Turn> = all.iter().map(|(_, last)| turn(&last.rollout)).collect();
        if for_people && style.terminal {
            style.raw(&format!("{CLEAR}{}", each(session, &all, Timestamp::now())));
        } else if for_people {
            for ((member, Last { rollout, .. }), turn) in all.iter().zip(&turns) {
                if !told.contains(turn) {
                    style.raw(&line(session, member, rollout, Timestamp::now()));
                }
            }
        }
        told = turns;
        if all.iter().all(|(_, last)| last.rollout.state.is_over()) {
            return Ok(Some(all));
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = session.cancel.cancelled() => return Ok(None),
        }
        match again(session, &all).await {
            Ok(now) => (all, failed) = (now, 0),
            Err(failure) if failed == PATIENCE => return Err(failure),
            Err(failure) => {
                if failed == 0 {
                    style.note(&format!("warning: {} Asking again.", failure.message));
                }
                failed += 1;
            }
        }
    }
}

async fn again<'a>(
    session: &'a Session,
    all: &[(&'a Member, Last)],
) -> Result<Vec<(&'a Member, Last)>, Failure> {
    let mut now = Vec::new();
    for (member, before) in all {
        let found = of(session, member, Some(&before.rollout.integration)).await?;
        // One whose environment is gone stays as it was seen last.
        now.push((*member, found.into_iter().next().unwrap_or_else(|| before.clone())));
    }
    Ok(now)
}

/// `14:12:03   stripe 1.0.0 -> 1.1.0   Progressing, …`, with the environment where several were asked.
fn line(session: &Session, member: &Member, rollout: &Rollout, now: Timestamp) -> String {
    let at = now.to_zoned(TimeZone::UTC).strftime("%H:%M:%S");
    match session.named {
        true => format!("{at}   {}\n", headline(rollout, now)),
        false => format!("{at}   {}   {}\n", member.name(), headline(rollout, now)),
    }
}
