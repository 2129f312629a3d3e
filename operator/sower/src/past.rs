//! What an environment's own history tells of one integration, and how a seeding of it is named.

use std::str::FromStr;

use sower_core::snapshot::Revision;
use sower_store::{Store, StoreError, Turn, Version};

use crate::failure::Failure;
use crate::session::Session;

/// A seeding as it is typed: `production-57`, or `57` beside `-e`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedingName {
    /// The environment, where it is named.
    pub environment: Option<String>,
    /// Its number there.
    pub number: i64,
}

impl FromStr for SeedingName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (environment, number) = match text.rsplit_once('-') {
            Some((environment, number)) if !environment.is_empty() => (Some(environment.to_owned()), number),
            _ => (None, text),
        };
        match number.parse() {
            Ok(number) if number > 0 => Ok(Self { environment, number }),
            _ => Err("a seeding is called like production-57, or 57 beside -e".to_owned()),
        }
    }
}

/// The way of one integration through the seedings of an environment.
#[derive(Debug)]
pub struct Past {
    /// Number of the environment's last seeding.
    pub last: i64,
    /// What was there before the seeding of this number is forgotten; 0: nothing is.
    pub forgotten: i64,
    /// What each seeding did with it, oldest first.
    pub turns: Vec<Turn>,
    /// The contents that are kept.
    pub versions: Vec<Version>,
}

impl Past {
    /// Reads it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn read(store: &Store, environment: &str, id: &str) -> Result<Self, StoreError> {
        let row = store.environment(environment).await?;
        Ok(Self {
            last: row.as_ref().map_or(0, |row| row.seq),
            forgotten: row.map_or(0, |row| row.forgotten),
            turns: store.trail(environment, id).await?,
            versions: store.versions(environment, id).await?,
        })
    }

    /// No seeding ever touched it.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.turns.is_empty() && self.versions.is_empty()
    }

    /// What was done with it last, up to a seeding.
    #[must_use]
    pub fn at(&self, number: i64) -> Option<&Turn> {
        self.turns.iter().rev().find(|turn| turn.seq <= number)
    }

    /// The content that a turn left, if it is kept.
    #[must_use]
    pub fn kept(&self, turn: &Turn) -> Option<&Version> {
        let checksum = turn.checksum.as_deref()?;
        self.versions.iter().find(|kept| kept.checksum == checksum)
    }

    /// The kept content, where this very turn brought it first: only then does it say what was read then.
    #[must_use]
    pub fn brought(&self, turn: &Turn) -> Option<&Version> {
        let seeding = turn.seeding.as_ref()?;
        self.kept(turn).filter(|kept| kept.seeding == seeding.id)
    }

    /// The revision that a turn's content was read at: a rollback brings a content of an earlier one.
    #[must_use]
    pub fn revision(&self, turn: &Turn) -> Option<Revision> {
        if let Some(noted) = turn.came_from.as_ref().and_then(|from| from.revision.clone()) {
            return Some(noted);
        }
        let first = self.brought(turn).and_then(|kept| kept.revision.clone());
        let logged = || {
            let revisions = &turn.seeding.as_ref()?.revisions;
            let source = self.kept(turn).and_then(|kept| revisions.get(&kept.source));
            let only = revisions.values().next().filter(|_| revisions.len() == 1);
            source.or(only).cloned()
        };
        first.or_else(logged)
    }
}

/// The failure where an environment, or none of several, ever carried an integration.
#[must_use]
pub fn never_carried(session: &Session, id: &str) -> Failure {
    let names: Vec<&str> = session.members.iter().map(crate::session::Member::name).collect();
    let whom = match names.as_slice() {
        [] => "no environment".to_owned(),
        [one] => (*one).to_owned(),
        several => format!("none of {}", several.join(", ")),
    };
    let never = if names.len() == 1 { "never carried" } else { "ever carried" };
    Failure::failed(format!("{whom} {never} `{id}`"))
        .next("why", format!("sower explain {id}{}", session.flags()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeding_is_named_with_or_without_its_environment() {
        for (text, environment, number) in
            [("57", None, 57), ("production-57", Some("production"), 57), ("qa-2-3", Some("qa-2"), 3)]
        {
            let expected = SeedingName { environment: environment.map(str::to_owned), number };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "production", "-57", "0", "production-0", "5x", "production-"] {
            assert!(text.parse::<SeedingName>().is_err(), "{text}");
        }
    }
}
