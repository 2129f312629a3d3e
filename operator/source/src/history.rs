//! Who changed what, as far as the history was fetched.

use std::collections::{HashSet, VecDeque};
use std::fs;

use git2::{Commit, ObjectType, Oid, Repository};

use crate::objects::{self, look_up};
use crate::{FetchError, GitTree};

/// Commits looked at for one answer, parents included; beyond it the answer is "not known".
const MAX_STEPS: usize = 20_000;

/// Bytes of a commit beyond which nobody looks for its parents.
const LARGEST: usize = 1 << 20;

/// A commit, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// 40 hex.
    pub id: String,
    /// The author's name.
    pub author: String,
    /// When it was authored, in seconds since 1970.
    pub time: i64,
    /// When it was committed, in seconds since 1970: a rebase or a merge makes that later than the authoring.
    pub committed: i64,
    /// The first line of its message.
    pub subject: String,
}

impl CommitInfo {
    /// The first seven digits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.id.get(..7).unwrap_or(&self.id)
    }

    fn of(commit: &Commit<'_>) -> Self {
        let author = commit.author();
        Self {
            id: commit.id().to_string(),
            author: clean(author.name_bytes(), 100),
            time: author.when().seconds(),
            committed: commit.time().seconds(),
            subject: clean(commit.message_bytes().split(|b| *b == b'\n').next().unwrap_or_default(), 200),
        }
    }
}

/// Foreign bytes as one line of text that cannot steer a terminal.
fn clean(bytes: &[u8], longest: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| !c.is_control()).take(longest).collect::<String>().trim().to_owned()
}

impl GitTree {
    /// The tree's own commit.
    #[must_use]
    pub fn head(&self) -> Option<CommitInfo> {
        self.commit_info(&self.commit())
    }

    /// Any commit of the history that was fetched.
    #[must_use]
    pub fn commit_info(&self, commit: &str) -> Option<CommitInfo> {
        let repository = self.lock();
        let commit = objects::commit(&repository, Oid::from_str(commit).ok()?).ok()??;
        Some(CommitInfo::of(&commit))
    }

    /// The last commits that touched `path`, a file or a folder, newest first and at most `limit`. Where the fetched
    /// history ends before one is found, fewer: then the author is not known.
    #[must_use]
    pub fn log(&self, path: &str, limit: usize) -> Vec<CommitInfo> {
        let repository = self.lock();
        let path = self.in_repository(path);
        let shallow = boundary(&repository);
        let mut found = Vec::new();
        let mut next = objects::commit(&repository, self.commit_oid()).ok().flatten();
        let mut steps = 0;
        while let Some(commit) = next.take() {
            // One commit may name as many parents as it likes.
            steps += 1 + commit.parent_count();
            if steps > MAX_STEPS || found.len() >= limit || shallow.contains(&commit.id()) {
                break;
            }
            // Beyond a commit that cannot be read nothing is known.
            let Ok(here) = look_up(&repository, commit.tree_id(), &path) else { break };
            let Ok(parents) = parents(&repository, &commit, &path) else { break };
            // A parent that has the same is where it came from.
            if let Some((same, _)) = parents.iter().find(|(_, there)| *there == here) {
                next = Some(same.clone());
                continue;
            }
            if here.is_some() || !parents.is_empty() {
                found.push(CommitInfo::of(&commit));
            }
            next = parents.into_iter().next().map(|(parent, _)| parent);
        }
        found
    }
}

impl GitTree {
    /// Whether the history of this tree's commit holds that commit. What was fetched of it earlier counts: a mirror that
    /// was deepened to 50 commits again still knows the way to those before. Beyond what is known the answer is no.
    #[must_use]
    pub fn descends_from(&self, commit: &str) -> bool {
        let Ok(wanted) = Oid::from_str(commit) else { return false };
        let repository = self.lock();
        let Ok(odb) = repository.odb() else { return false };
        let mut seen = HashSet::from([self.commit_oid()]);
        let mut next = VecDeque::from([self.commit_oid()]);
        while let Some(id) = next.pop_front() {
            if id == wanted {
                return true;
            }
            // As it was written: a commit at the edge of a shallow history is read as one without parents.
            let readable =
                odb.read_header(id).is_ok_and(|(size, kind)| kind == ObjectType::Commit && size <= LARGEST);
            let Some(object) = odb.read(id).ok().filter(|_| readable) else { continue };
            for parent in written_parents(object.data()) {
                if seen.len() < MAX_STEPS && seen.insert(parent) {
                    next.push_back(parent);
                }
            }
        }
        false
    }
}

/// The parents that a commit names in its own bytes.
fn written_parents(commit: &[u8]) -> impl Iterator<Item = Oid> {
    let lines = commit.split(|byte| *byte == b'\n').skip(1);
    let parents = lines.map_while(|line| line.strip_prefix(b"parent "));
    parents.filter_map(|hex| Oid::from_str(std::str::from_utf8(hex).ok()?).ok())
}

/// The parents that are here, each with what it has at `path`.
fn parents<'r>(
    repository: &'r Repository,
    commit: &Commit<'_>,
    path: &str,
) -> Result<Vec<(Commit<'r>, At)>, FetchError> {
    let mut parents = Vec::new();
    for id in commit.parent_ids() {
        if let Some(parent) = objects::commit(repository, id)? {
            let there = look_up(repository, parent.tree_id(), path)?;
            parents.push((parent, there));
        }
    }
    Ok(parents)
}

/// What lies at a path.
type At = Option<(Oid, ObjectType)>;

/// The commits whose parents were not fetched.
fn boundary(repository: &Repository) -> Vec<Oid> {
    let Ok(text) = fs::read_to_string(repository.commondir().join("shallow")) else { return Vec::new() };
    text.lines().filter_map(|line| Oid::from_str(line).ok()).collect()
}
