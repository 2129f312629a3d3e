//! The `from:` line: where all of what a command reads is.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use sower_controllers::seeding::{Job, Origin, Reading};
use sower_source::{Checkout, Folder, Limits};

use super::{Member, Session};
use crate::settings::without_password;
use crate::{origin, reach};

impl Session {
    /// Prints where all of this is, once: `from: TARGET · SOURCE at REVISION · DATABASE`. What is not touched is left out.
    pub fn say_from(&self, source: Option<String>, database: bool) {
        if self.said.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut parts = match &self.cluster {
            Some(cluster) => cluster.described(),
            None if self.settings.file => vec!["files (sower.toml)".to_owned()],
            None => vec!["files".to_owned()],
        };
        parts.extend(source);
        if database {
            parts.extend(self.database_shown());
        }
        self.style.hint(&format!("from: {}", parts.join(" · ")));
    }

    /// The databases as people read them: of the only environment, or those of all.
    fn database_shown(&self) -> Option<String> {
        let noted = self.databases().clone();
        if !noted.is_empty() {
            return each_once(self.members.iter().filter_map(|member| noted.get(&key(member)).cloned()));
        }
        let [member] = self.members.as_slice() else {
            let general = Some(self.settings.database_shown.clone()).filter(|shown| !shown.is_empty());
            if self.cluster.is_some() || self.members.is_empty() {
                return general;
            }
            let own = |member: &Member| {
                let own = self.settings.database_of(member.name());
                if own == self.settings.database.value {
                    general.clone()
                } else {
                    own.as_deref().map(without_password)
                }
            };
            return each_once(self.members.iter().filter_map(own));
        };
        let own = self.settings.database_of(member.name());
        match own {
            Some(own) if own != self.settings.database.value.clone().unwrap_or_default() => {
                Some(without_password(&own.replace("{environment}", member.name())))
            }
            Some(_) => Some(self.settings.database_shown.replace("{environment}", member.name())),
            None => reach::mounted_database().filter(|_| self.cluster.is_some()),
        }
    }

    /// Notes what was read of an environment's sources, for the `from:` line; of a single one that line can be said now.
    pub(super) fn note_source(&self, member: &Member, reading: &Reading) {
        self.revisions().insert(key(member), reading.revision_short());
        if self.members.len() == 1 {
            self.say_source();
        }
    }

    /// Notes the database that a cluster's Secret names, without its password, for the `from:` line.
    pub(super) fn note_database(&self, member: &Member, shown: String) {
        self.databases().insert(key(member), shown);
    }

    fn databases(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), String>> {
        self.databases.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn revisions(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), String>> {
        self.revisions.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Prints where all of this is, for a command that reads sources: each of them, with what was read of it, or with
    /// what can be told without asking a server. An environment's own source is left out where it is at the revision of
    /// the general one: the same was read there.
    pub fn say_source(&self) {
        if self.said.load(Ordering::Relaxed) {
            return;
        }
        let revision = |member: &Member| {
            let read = self.revisions().get(&key(member)).cloned();
            read.or_else(|| revision_here(&self.job(member).ok()?)).filter(|revision| !revision.is_empty())
        };
        let read: Vec<(&Member, Option<String>)> =
            self.members.iter().map(|member| (member, revision(member))).collect();
        let general = |(member, _): &&(&Member, Option<String>)| self.is_general(member);
        let known: Vec<&String> = read.iter().filter(general).filter_map(|(_, at)| at.as_ref()).collect();
        let named = read.iter().filter(|one| {
            self.members.len() == 1 || general(one) || one.1.as_ref().is_none_or(|at| !known.contains(&at))
        });
        let place = |(member, at): &(&Member, Option<String>)| {
            let described = origin::described(&self.settings, Some((member.name(), &member.loaded.spec)));
            at.as_ref().map_or(described.clone(), |at| format!("{described} at {at}"))
        };
        let sources = match (&self.cluster, self.members.is_empty()) {
            (Some(_), _) => None,
            (None, true) => Some(origin::described(&self.settings, None)),
            (None, false) => each_once(named.map(place)),
        };
        self.say_from(sources, true);
    }

    /// The `from:` line is not kept waiting where the only environment cannot be read.
    pub fn cannot_read(&self) {
        if self.members.len() == 1 {
            self.say_source();
        }
    }
}

fn key(member: &Member) -> (String, String) {
    (member.namespace().to_owned(), member.name().to_owned())
}

/// Each of several texts once, in their order.
fn each_once(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut once: Vec<String> = Vec::new();
    for text in texts {
        if !once.contains(&text) {
            once.push(text);
        }
    }
    (!once.is_empty()).then(|| once.join(", "))
}

/// The revision of a job's only source, where it lies on this disk.
fn revision_here(job: &Job) -> Option<String> {
    let [source] = job.sources.as_slice() else { return None };
    let revision = match &source.origin {
        Origin::Checkout { dir, reference } => Checkout::discover(dir).ok()?.resolve(reference).ok()?,
        Origin::Folder(dir) => {
            Folder::new(dir, Limits::default()).ok()?.scan(&source.path).ok()?.revision().clone()
        }
        Origin::Git(_) | Origin::Listing(_) | Origin::Glance(_) => return None,
    };
    Some(revision.to_string())
}
