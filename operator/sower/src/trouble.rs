//! Why a seeding ended before anything was written: what happened, then what to type.

use sower_controllers::reason::Reason;
use sower_controllers::seeding::SeedingError;
use sower_core::report::{Failure as Entry, Outcome, Report};
use sower_store::StoreError;

use crate::failure::{Exit, Failure};
use crate::settings::{Settings, quoted};

/// How it is said that nothing came of something.
pub const NOTHING_WRITTEN: &str = "Nothing was written.";

/// How SQLite says that it may not write.
const READ_ONLY: &str = "readonly database";

/// What tells what is set, and whether it answers.
const DOCTOR: &str = "sower doctor";

/// A failure with the reason that programs read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// A reason of Ready.
    pub code: String,
    /// What is said.
    pub failure: Failure,
}

/// The record of an environment for which nothing was to be done.
#[must_use]
pub fn nothing_to_do(environment: &str) -> Report {
    let report = Trouble::of(Reason::Seeded, Failure::failed("")).report(environment, 0);
    Report { status: Outcome::Unchanged, errors: Vec::new(), ..report }
}

impl Trouble {
    /// The words were off, or this machine is.
    #[must_use]
    pub fn of(reason: Reason, failure: Failure) -> Self {
        let code = failure.code.unwrap_or(reason.as_str());
        Self { code: code.to_owned(), failure: Failure { code: Some(code), ..failure } }
    }

    /// A seeding or a plan of files ended early.
    #[must_use]
    pub fn new(error: &SeedingError, environment: &str) -> Self {
        Self::of(error.reason, failure(error, environment))
    }

    /// A step of a rollout, or a read, failed beside what is done: what was written stays.
    #[must_use]
    pub fn beside(error: &SeedingError, environment: &str) -> Self {
        let mut trouble = Self::new(error, environment);
        let message = &mut trouble.failure.message;
        *message = message.trim_end_matches(NOTHING_WRITTEN).trim_end().to_owned();
        trouble
    }

    /// The database could not be opened.
    #[must_use]
    pub fn database(error: StoreError, environment: &str) -> Self {
        let hint = error.hint();
        let mut trouble = Self::new(&SeedingError::from(error), environment);
        if let Some(hint) = hint.filter(|_| !trouble.failure.message.contains(READ_ONLY)) {
            trouble.failure.next.insert(0, ("mend it".to_owned(), hint.to_owned()));
        }
        trouble
    }

    /// Leads the next commands back to what this one was given: the doctor to the database where that is asked next, and
    /// to the source where that is.
    #[must_use]
    pub fn asked_of(mut self, settings: &Settings) -> Self {
        let source = self.code == Reason::FetchFailed.as_str();
        for (_, command) in &mut self.failure.next {
            match command.as_str() {
                DOCTOR if source => command.push_str(&settings.given),
                DOCTOR => command.push_str(&settings.database_flag()),
                again if again.starts_with("sower seed ") || again.starts_with("sower status") => {
                    command.push_str(&settings.given);
                }
                _ => {}
            }
        }
        self
    }

    /// Names the Secret whose credentials a server rejected.
    #[must_use]
    pub fn showing(mut self, secret: Option<Shown>) -> Self {
        let rejected = self.code == Reason::AuthenticationFailed.as_str();
        if let Some(Shown { name, renew }) = secret.filter(|_| rejected) {
            let Failure { message, next, .. } = &mut self.failure;
            *message = message.replacen(". Nothing", &format!(" (secret {name}). Nothing"), 1);
            *next = vec![("renew them".to_owned(), renew)];
        }
        self
    }

    /// The environment says not to seed it.
    #[must_use]
    pub fn suspended(environment: &str, place: &str) -> Self {
        let failure = Failure::refused(format!(
            "{environment} is suspended (spec.suspend in {place}). Nothing was written."
        ))
        .next("go on", "take `suspend: true` out there, then seed again");
        Self::of(Reason::Suspended, failure)
    }

    /// Another environment is not as this one wants it; `unwritten` says what came of it all the same, in a sentence.
    #[must_use]
    pub fn waits(environment: &str, why: &str, unwritten: &str) -> Self {
        let failure = Failure::refused(format!("{environment}: {why}. {unwritten}"))
            .next("how they stand", "sower status");
        Self::of(Reason::DependencyNotReady, failure)
    }

    /// The record of a seeding that did not come about.
    #[must_use]
    pub fn report(&self, environment: &str, duration: u64) -> Report {
        let refused = self.failure.exit == Exit::Refused;
        Report {
            environment: environment.to_owned(),
            seeding: None,
            revision: None,
            status: if refused { Outcome::Refused } else { Outcome::Failed },
            integrations_processed: 0,
            created: 0,
            updated: 0,
            staged: 0,
            given_up: 0,
            deleted: 0,
            unchanged: 0,
            actions_created: 0,
            triggers_created: 0,
            connections_created: 0,
            orphaned: Vec::new(),
            prune_disabled: Vec::new(),
            quarantined: Vec::new(),
            waiting: Vec::new(),
            conflicts: Vec::new(),
            errors: vec![self.entry()],
            excluded: 0,
            invalid: 0,
            duration,
        }
    }

    /// As JSON lists it among the errors.
    #[must_use]
    pub fn entry(&self) -> Entry {
        let message = self.failure.message.clone();
        Entry { integration: None, code: self.code.clone(), location: None, message }
    }
}

/// A Secret whose credentials were shown to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What it is called, and where: `sower/partners-git`.
    pub name: String,
    /// What to do to renew them.
    pub renew: String,
}

fn failure(error: &SeedingError, environment: &str) -> Failure {
    let told = sentence(error.full());
    if told.contains(READ_ONLY) {
        return Failure::failed(format!("{told}. Nothing was written."))
            .next("mend it", "let this user write the database's file, and the folder in which it lies")
            .next("which it is", DOCTOR);
    }
    match error.reason {
        Reason::KeptElsewhere => kept(error.keeper.as_deref().unwrap_or_default(), environment),
        Reason::DatabaseUnavailable => {
            let written = if told.contains("while committing") {
                "Whether it was written is not known; the next seeding sees it."
            } else {
                "Nothing was written."
            };
            Failure::failed(format!("{told}. {written}")).next("check it", DOCTOR)
        }
        Reason::AuthenticationFailed => match error.full().strip_prefix("Credentials rejected by ") {
            Some(host) => Failure::failed(format!(
                "{host} rejected the credentials of {environment}. Nothing was pruned."
            ))
            .next("with https", "git credential approve, or whatever helper git uses for that host")
            .next("with ssh", "ssh-add"),
            None => unauthenticated(Failure::failed(format!("{told}. Nothing was pruned."))),
        },
        Reason::SourceNotFound if told.starts_with("git repository not found") => {
            Failure::failed(format!("{told}. Nothing was pruned."))
                .next("without git", "--source DIR takes the files as they lie there")
        }
        Reason::SourceNotFound if told.starts_with("folder not found in ") => Failure::failed(format!(
            "{}. Nothing was pruned.",
            told.replacen("folder not found in", "there is no folder", 1)
        ))
        .next("name one", "the source's `folder`, or --source DIR"),
        Reason::SourceNotFound => not_found(&told),
        Reason::FetchFailed => {
            Failure::failed(format!("{told}. Nothing was pruned.")).next("check it", DOCTOR)
        }
        Reason::SourceEmpty => Failure::failed(format!("{told}. Nothing was pruned.")).next(
            "",
            "its manifests are looked for below the source's `path`, `integrations` where no source is named",
        ),
        Reason::SchemaIncompatible => {
            Failure::failed(format!("{told}. Nothing was written.")).next("see more", DOCTOR)
        }
        // Another seeding was faster: what this one would have done is to be planned anew.
        Reason::SeedingFailed if OUTRUN.iter().any(|words| told.contains(words)) => {
            Failure::refused(format!("{told}. Nothing was written."))
                .next("again", format!("sower seed -e {environment}"))
        }
        _ => Failure::failed(format!("{told}. Nothing was written.")),
    }
}

/// How the store says that another seeding came between.
const OUTRUN: [&str; 3] =
    ["came first; this one stands on", "was moved on by another process", "began and closed this one"];

/// No credentials were rejected: there were none, or the server is not known to be the one that is meant.
fn unauthenticated(failure: Failure) -> Failure {
    if failure.message.contains("none were given") {
        failure.next("give some", "a Secret beside the environment, which the source's `secretRef` names")
    } else if failure.message.contains("known_hosts") {
        failure.next("once you know it", "its line of `ssh-keyscan` in ~/.ssh/known_hosts, or in the Secret")
    } else {
        failure
    }
}

/// A repository that is not there, or holds no such branch, tag or commit: git itself tells which there are.
fn not_found(told: &str) -> Failure {
    let failure = Failure::failed(format!("{told}. Nothing was pruned."));
    match told.split_once(" not found in ") {
        Some(("repository", place)) => failure
            .next("is it there?", format!("git ls-remote {}", quoted(place)))
            .next("a private one", "the source's `secretRef` names a Secret with its credentials"),
        Some((_, place)) => failure.next("which there are", format!("git ls-remote {}", quoted(place))),
        None => failure,
    }
}

fn kept(keeper: &str, environment: &str) -> Failure {
    let mut parts = keeper.splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(cluster), Some(namespace), Some(name)) => Failure::refused(format!(
            "{environment} in this database is kept by cluster {cluster} ({namespace}/{name}). Nothing was written."
        ))
        .next("ask that operator", format!("sower seed -e {name} --context {cluster} -n {namespace}"))
        .next("take it over", "suspend it there, then add --take-over"),
        _ => Failure::refused(format!("{environment} in this database is kept by {keeper}. Nothing was written."))
            .next("take it over", "stop that one, then add --take-over"),
    }
}

/// A message of a condition as the rest of a sentence: without its capital, where that is no name's.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
    .trim_end_matches('.')
    .to_owned()
}

#[cfg(test)]
mod tests {
    use sower_controllers::seeding::Kind;

    use super::*;

    #[test]
    fn another_keeper_is_named_with_the_way_to_ask_it() {
        let mut error = SeedingError::new(Reason::KeptElsewhere, Kind::Stalled, "kept");
        error.keeper = Some("prod-eu/sower/production".into());
        assert_eq!(
            Trouble::new(&error, "production").failure.text(),
            "refused: production in this database is kept by cluster prod-eu (sower/production). Nothing was written.\n  \
             ask that operator:  sower seed -e production --context prod-eu -n sower\n  \
             take it over:       suspend it there, then add --take-over\n"
        );
    }

    #[test]
    fn every_failure_says_what_to_type_next() {
        let source = Reason::SourceNotFound;
        for (reason, told, next) in [
            (source, "Branch `feat` not found in https://h/a b.git", "git ls-remote 'https://h/a b.git'"),
            (source, "Repository not found in https://h/a.git", "git ls-remote https://h/a.git"),
            (source, "Folder not found in /srv/a", "the source's `folder`, or --source DIR"),
            (Reason::FetchFailed, "127.0.0.1 does not answer: refused", "sower doctor"),
            (Reason::SeedingFailed, "seeding 2 of dev came first; this one stands on 1", "sower seed -e dev"),
            (
                Reason::SeedingFailed,
                "claiming the environment: attempt to write a readonly database (8)",
                "let this user write the database's file, and the folder in which it lies",
            ),
        ] {
            let trouble = Trouble::new(&SeedingError::new(reason, Kind::Stalled, told), "dev");
            assert_eq!(
                trouble.failure.next.first().map(|(_, command)| command.as_str()),
                Some(next),
                "{told}"
            );
        }
    }

    #[test]
    fn a_rejected_secret_is_named() {
        let text = "Credentials rejected by git.acme.example";
        let trouble =
            Trouble::new(&SeedingError::new(Reason::AuthenticationFailed, Kind::Stalled, text), "qa");
        let secret = Shown { name: "sower/git".into(), renew: "kubectl".into() };
        assert_eq!(
            trouble.showing(Some(secret)).failure.text(),
            "error: git.acme.example rejected the credentials of qa (secret sower/git). Nothing was pruned.\n  \
             renew them:  kubectl\n"
        );
    }

    #[test]
    fn a_message_goes_on_after_the_word_error() {
        for (text, expected) in [
            ("Branch `x` not found in /srv/a", "branch `x` not found in /srv/a"),
            ("Git.acme.example does not answer: x.", "git.acme.example does not answer: x"),
            ("TLS: no", "TLS: no"),
            ("", ""),
        ] {
            assert_eq!(sentence(text), expected);
        }
    }
}
