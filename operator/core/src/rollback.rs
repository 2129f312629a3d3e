//! What makes an earlier state of an environment, or an earlier content of one integration, current again.
//!
//! The state comes from the database's own history, never from git. What is left behind is kept out from then on, as is
//! what git was known to offer in its place: see [`crate::quarantine`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::hash::plan_hash;
use crate::plan::{Content, Kept, KeptWhy, Operation, Plan, State, Verb};
use crate::quarantine::ABSENCE;
use crate::resolve::standing;
use crate::rollout::Rollout;
use crate::snapshot::Revision;

/// Fewest hex digits that name a commit or a content.
const FEWEST_DIGITS: usize = 4;
/// The word for taking a rollback back.
pub const UNDO: &str = "undo";

/// What is asked for: `57`, `main@3f2c1a9`, `slack=1.0.0`, `undo` or `slack=undo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// One integration; absent: the environment.
    pub integration: Option<String>,
    /// To what; absent: the last rollback is taken back.
    pub to: Option<String>,
}

impl Request {
    /// Reads what the annotation holds. What comes after the first word is no part of it: so the same can be asked twice.
    ///
    /// # Errors
    /// What is wrong with it, in half a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let word = text.split_whitespace().next().ok_or("it is empty")?;
        // A revision of several sources has names and `=`, too; no version of an integration has an `@`.
        let (integration, to) = match word.split_once('=') {
            Some((id, to)) if !to.contains('@') => (Some(id.to_owned()), to),
            _ => (None, word),
        };
        if integration.as_deref() == Some("") || to.is_empty() {
            return Err(format!("`{word}` names nothing: write ID=VERSION, a seeding or a revision"));
        }
        Ok(Self { integration, to: (to != UNDO).then(|| to.to_owned()) })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = self.to.as_deref().unwrap_or(UNDO);
        match &self.integration {
            Some(id) => write!(f, "{id}={to}"),
            None => f.write_str(to),
        }
    }
}

/// What a target of a rollback names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `57`, or `production-57`.
    Seeding(i64),
    /// Anything else: a revision, or of one integration a version or the beginning of a checksum.
    Named(String),
}

impl Target {
    /// Reads one, of this environment. A number is a seeding's; one of seven digits or more, with no such seeding in sight,
    /// is the beginning of a commit.
    #[must_use]
    pub fn of(environment: &str, text: &str, last: i64) -> Self {
        let own = text.strip_prefix(environment).and_then(|rest| rest.strip_prefix('-')).unwrap_or(text);
        match own.parse::<i64>() {
            Ok(number) if number > 0 && (number <= last || own.len() < 7) => Self::Seeding(number),
            _ => Self::Named(text.to_owned()),
        }
    }
}

/// A revision as people name it: `main@3f2c1a9`, a commit's first digits, or the long form; of several sources each after
/// the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRevision {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    source: Option<String>,
    label: Option<String>,
    digits: String,
    dirty: bool,
}

impl NamedRevision {
    /// Reads one; none where it cannot be a revision.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Option<Vec<Part>> = text.split(',').map(Part::parse).collect();
        parts.map(|parts| Self { parts })
    }

    /// Its first digits: whatever stands at it holds them.
    #[must_use]
    pub fn digits(&self) -> &str {
        self.parts.first().map_or("", |part| &part.digits)
    }

    /// Whether sources stand at it.
    #[must_use]
    pub fn is_at(&self, revisions: &BTreeMap<String, Revision>) -> bool {
        let found = |part: &Part| revisions.iter().any(|(source, revision)| part.is(source, revision));
        self.parts.iter().all(found)
    }
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        let (source, rest) = match text.split_once('=') {
            Some((source, rest)) => (Some(source.to_owned()), rest),
            None => (None, text),
        };
        let (rest, dirty) = match rest.strip_suffix("-dirty") {
            Some(clean) => (clean, true),
            None => (rest, false),
        };
        let (label, digits) = match rest.rsplit_once('@') {
            Some((label, digits)) => (Some(label.to_owned()), digits),
            None => (None, rest),
        };
        let digits = digits.rsplit(':').next().unwrap_or_default().to_ascii_lowercase();
        let fine = digits.len() >= FEWEST_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
        fine.then_some(Self { source, label, digits, dirty })
    }

    fn is(&self, source: &str, revision: &Revision) -> bool {
        let hex = revision.digest.rsplit(':').next().unwrap_or_default();
        hex.starts_with(&self.digits)
            && self.source.as_deref().is_none_or(|named| named == source)
            && self.label.as_deref().is_none_or(|label| label == revision.label)
            && (self.label.is_none() || self.dirty == revision.dirty)
    }
}

/// A content of one integration as people name it: its version, or the first digits of its checksum.
#[must_use]
pub fn names_content(named: &str, content: &Content) -> bool {
    let digits = named.strip_prefix("v1:").unwrap_or(named);
    let hex = content.checksum.rsplit(':').next().unwrap_or_default();
    content.version == named
        || digits.len() >= FEWEST_DIGITS
            && digits.bytes().all(|b| b.is_ascii_hexdigit())
            && hex.starts_with(&digits.to_ascii_lowercase())
}

/// What an environment held of an integration after a seeding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Then {
    /// Version and checksum.
    pub content: Content,
    /// Name of the source that owned its rows.
    pub source: String,
    /// Path it came from.
    pub path: String,
    /// The long form of the revision in its rows.
    pub revision: String,
}

/// What is kept out from now on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptOut {
    /// The integration.
    pub integration: String,
    /// The content, or [`ABSENCE`].
    pub checksum: String,
    /// Its version; none of an absence.
    pub version: Option<String>,
}

/// The way back.
#[derive(Debug, Clone, PartialEq)]
pub struct WayBack {
    /// What is to be done. What a row that Sower did not write stands in the way of is kept.
    pub plan: Plan,
    /// What is left behind, sorted.
    pub out: Vec<KeptOut>,
}

impl WayBack {
    /// What was being rolled out is left behind, too.
    pub fn keep_out(&mut self, rollouts: &[Rollout]) {
        let out = rollouts.iter().map(|rollout| KeptOut {
            integration: rollout.integration.clone(),
            checksum: rollout.to.checksum.clone(),
            version: Some(rollout.to.version.clone()),
        });
        self.out.extend(out);
        self.out.sort();
        self.out.dedup();
    }
}

/// The way from a state to what was `then`: of each integration its content, or none where it was not there. Others stay.
/// A content that is there already stays where it came from. `offered` are the contents that git was last known to have.
#[must_use]
pub fn way_back(
    environment: &str,
    spec_digest: &str,
    state: &State,
    then: &BTreeMap<String, Option<Then>>,
    offered: &BTreeMap<String, Vec<Content>>,
) -> WayBack {
    let (mut operations, mut kept, mut unchanged) = (Vec::new(), Vec::new(), 0);
    let mut out = BTreeSet::new();
    for (id, then) in then {
        let current = standing(state, id);
        let same = match (current, then) {
            (Some(current), Some(then)) => current.content.checksum == then.content.checksum,
            (None, None) => continue,
            _ => false,
        };
        if same {
            unchanged += 1;
            continue;
        }
        if then.is_some() && state.foreign.contains(id) {
            let version = current.map(|current| current.content.version.clone());
            kept.push(Kept { id: id.clone(), version, why: KeptWhy::ForeignRow });
            continue;
        }
        let left = current.map(|current| current.content.clone());
        let from_git = offered.get(id).into_iter().flatten().cloned();
        let contents: BTreeSet<Content> = left.iter().cloned().chain(from_git).collect();
        let wanted = then.as_ref().map(|then| then.content.checksum.as_str());
        out.extend(contents.into_iter().filter(|content| wanted != Some(&content.checksum)).map(|content| {
            let Content { version, checksum } = content;
            KeptOut { integration: id.clone(), checksum, version: Some(version) }
        }));
        if left.is_none() {
            out.insert(KeptOut { integration: id.clone(), checksum: ABSENCE.to_owned(), version: None });
        }
        let owner = current.map(|current| current.source.clone()).unwrap_or_default();
        let prune_disabled = state.rows.get(id).is_some_and(|row| row.prune_disabled);
        let operation = operation(id, left, then.as_ref(), owner);
        operations.push(Operation { prune_disabled: prune_disabled && then.is_some(), ..operation });
    }
    let processed = operations.len() + unchanged;
    let plan = Plan {
        environment: environment.to_owned(),
        hash: plan_hash(environment, spec_digest, state.base, &operations, &[]),
        base: state.base,
        scope: None,
        operations,
        put_back: BTreeSet::new(),
        unchanged,
        processed,
        conflicts: Vec::new(),
        excluded: Vec::new(),
        kept,
        lifted: Vec::new(),
        deprecated: Vec::new(),
    };
    WayBack { plan, out: out.into_iter().collect() }
}

fn operation(id: &str, from: Option<Content>, then: Option<&Then>, owner: String) -> Operation {
    let verb = match (&from, then) {
        (None, _) => Verb::Create,
        (Some(_), Some(_)) => Verb::Update,
        (Some(_), None) => Verb::Remove,
    };
    let place = then.map(|then| crate::catalog::Place {
        source: then.source.clone(),
        path: then.path.clone(),
        document: 0,
    });
    Operation {
        id: id.to_owned(),
        verb,
        from,
        to: then.map(|then| then.content.clone()),
        place,
        revision: then.map(|then| then.revision.clone()),
        source: then.map_or(owner, |then| then.source.clone()),
        revert: false,
        prune_disabled: false,
        staged: false,
    }
}
