//! What becomes of an integration in an environment, in words: its state, the line that causes it, and what would change it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sower_controllers::seeding::retention;
use sower_core::compare::Change;
use sower_core::plan::{Cause, Conflict, ConflictType, KeptWhy, Verb};
use sower_core::promotion::{Waiting, Why};
use sower_crds::PRUNE;
use sower_store::Removal;

use super::evidence::{self, Evidence, Removed};
use crate::output::document::Fields;
use crate::output::time;
use crate::session::Member;
use crate::standing::is_ours;
use crate::trouble::sentence;

/// Most differences that are listed.
const LISTED: usize = 50;

/// What frees an id that somebody else's row holds.
const FREE: &str = "adopt it (sower adopt), or let whoever wrote that row delete or rename it";

/// The commands among the remedies that act on an environment: they are led back to where this one was asked.
const LED: [&str; 4] = ["sower seed ", "sower rollback ", "sower rollout ", "sower promote "];

/// What becomes of an integration in one environment.
#[derive(Debug, Default)]
pub struct Verdict {
    environment: String,
    state: &'static str,
    version: Option<String>,
    /// Number and time of the seeding that wrote it.
    since: Option<(i64, Timestamp)>,
    detail: String,
    /// `environments/production.yaml:12`.
    place: Option<String>,
    notes: Vec<Note>,
    /// What carries it there, settles or mends it.
    remedy: Option<(&'static str, String)>,
    /// The command that settles a conflict this once.
    once: Option<String>,
    /// What of it waits for another environment.
    waiting: Option<Waiting>,
}

/// A line below, and what differs.
#[derive(Debug)]
struct Note {
    text: String,
    kind: Option<ConflictType>,
    changes: Vec<(String, String)>,
    clashes: Vec<String>,
}

impl Note {
    fn plain(text: String) -> Self {
        Self { text, kind: None, changes: Vec::new(), clashes: Vec::new() }
    }

    fn unmarked(&self) -> &str {
        self.text.strip_prefix(['~', '-', '!', '=']).unwrap_or(&self.text).trim_start()
    }
}

impl Verdict {
    /// Judges the evidence.
    #[must_use]
    pub fn of(member: &Member, evidence: &Evidence, id: &str) -> Self {
        let mut verdict = Self { environment: member.name().to_owned(), ..Self::default() };
        match &evidence.carried {
            Some(carried) if !is_ours(&carried.listed) => {
                verdict.state = "foreign";
                verdict.version = Some(carried.listed.version.clone());
                verdict.detail = "Sower did not write this row, and leaves it as it is".to_owned();
                if !evidence.offers.is_empty() {
                    verdict.remedy = Some(("To carry it there", format!("{FREE}, and seed again")));
                }
            }
            Some(carried) => {
                verdict.state = "carried";
                verdict.version = Some(carried.listed.version.clone());
                verdict.since = evidence::since(carried);
                verdict.next_step(member, evidence);
            }
            None => verdict.absent(member, evidence, id),
        }
        let frozen = evidence.frozen.as_ref().filter(|_| evidence.operation.is_some());
        if let Some(frozen) = frozen {
            verdict.notes.push(Note::plain(format!("= {} is {frozen}: a seeding waits", member.name())));
        }
        // Where the sources are not read, what comes is not known.
        let comes = evidence.operation.is_some() || evidence.waiting.is_some() || evidence.reading.is_none();
        let told = |unmet: &str| frozen.is_some() && unmet.starts_with("Frozen ");
        if let Some(unmet) = evidence.unmet.as_ref().filter(|unmet| comes && !told(unmet)) {
            verdict.notes.push(Note::plain(format!("= {} {}", member.name(), sentence(unmet))));
        }
        for (conflict, changes) in &evidence.conflicts {
            verdict.conflict(member, evidence, conflict, changes);
        }
        verdict
    }

    /// What the next seeding does with what is carried, where that is not nothing.
    fn next_step(&mut self, member: &Member, evidence: &Evidence) {
        let name = member.name();
        let operation = evidence.operation.as_ref();
        match operation.map(|operation| (operation.verb, operation)) {
            Some((Verb::Update | Verb::Create, operation)) => {
                let to = operation.to.as_ref().map(|to| to.version.as_str()).unwrap_or_default();
                let does = match (operation.staged, &evidence.ends) {
                    (_, Some(ended)) if evidence.gives_up => format!("ends the rollout of {ended}"),
                    (true, Some(ended)) => format!("begins its rollout, and ends that of {ended}"),
                    (true, None) => "begins its rollout".to_owned(),
                    (false, Some(ended)) => format!("takes it, and ends the rollout of {ended}"),
                    (false, None) => "takes it".to_owned(),
                };
                self.notes.push(Note::plain(format!("~ git has {to}: the next seeding {does}")));
                // Where it waits for another environment, that would be refused.
                if evidence.unmet.is_none() {
                    self.remedy = Some(("To take it now", format!("sower seed -e {name}")));
                }
            }
            Some((Verb::Move, _)) => {
                self.notes.push(Note::plain("~ git has it elsewhere: the next seeding notes where".into()))
            }
            Some((Verb::Remove, _)) => {
                let why = match &evidence.excluded {
                    Some(excluded) => {
                        format!("{} ({})", excluded.why.message(), place_of(member, &excluded.cause))
                    }
                    None => "gone from the sources".to_owned(),
                };
                let ends = evidence.ends.as_ref().map(|ended| format!(", and ends the rollout of {ended}"));
                let ends = ends.unwrap_or_default();
                self.notes.push(Note::plain(format!("- {why}: the next seeding deletes it{ends}")));
            }
            None => {}
        }
        if let Some(kept) = &evidence.kept {
            self.kept(member, evidence, kept.why);
        }
        if let Some(rollout) = evidence.rollout.as_ref().filter(|rollout| !rollout.state.is_over()) {
            self.notes.push(Note::plain(format!("~ {}", rollout.line())));
            self.remedy =
                Some(("To see it", format!("sower rollout status {} -e {name}", rollout.integration)));
        }
        if let Some(waiting) = &evidence.waiting {
            let told = self.waits(member, waiting);
            self.notes.push(Note::plain(format!("= {told}")));
        }
    }

    /// What waits for what, and how long; and how it is let in all the same.
    fn waits(&mut self, member: &Member, waiting: &Waiting) -> String {
        let Waiting { integration, version, from, why } = waiting;
        let now = jiff::Timestamp::now();
        self.waiting = Some(waiting.clone());
        if matches!(why, Why::Soaking { .. } | Why::Executions { .. } | Why::SuccessRate { .. }) {
            let command = format!("sower promote {integration} --from {from} --to {}", member.name());
            self.remedy = Some(("To let it in now", command));
        }
        let what = version.as_deref().map_or_else(|| "its deletion".to_owned(), str::to_owned);
        format!("{what} {}", waiting.told(Some(now)))
    }

    fn kept(&mut self, member: &Member, evidence: &Evidence, why: KeptWhy) {
        let note = match why {
            KeptWhy::Invalid => {
                let place = evidence.first_error().map(|p| format!(": {} {}", p.location(), p.code));
                self.mend(evidence);
                let what = match &evidence.unread {
                    Some(_) => "its file cannot be read",
                    None => "its manifest is invalid",
                };
                format!("! {what}, so the rows stay{}", place.unwrap_or_default())
            }
            KeptWhy::ForeignRow => "! a row that Sower did not write holds its id".to_owned(),
            KeptWhy::Understated => {
                "! its version does not say that it breaks its users (policy.semver: deny)".to_owned()
            }
            KeptWhy::NotPruned => "= gone from the sources; prune is off, so it stays".to_owned(),
            KeptWhy::PruneDisabled => self.prune_disabled(member, evidence),
            KeptWhy::SourceKeepsAll => {
                "= gone from the sources, which may not be whole, so it stays".to_owned()
            }
            KeptWhy::Orphaned => {
                let place = member.place_of("/spec/allowedIntegrations");
                format!("= no longer named by allowedIntegrations ({place}), so nothing touches it")
            }
            KeptWhy::Quarantined => {
                self.take_back(member, evidence);
                format!("= {}, so it stays as it is until something newer arrives", rolled_back(evidence))
            }
            KeptWhy::AwaitsRollout => {
                "= it needs a version that not all have yet: it waits for that rollout".to_owned()
            }
            KeptWhy::NotNamed | KeptWhy::NotPromoted => return,
        };
        self.notes.push(Note::plain(note));
    }

    /// How to let go what its annotation keeps: without it, once more, and then away.
    fn prune_disabled(&mut self, member: &Member, evidence: &Evidence) -> String {
        let carried = evidence.carried.as_ref();
        let path = carried.and_then(|carried| carried.path.clone()).unwrap_or_default();
        let remedy = match &evidence.excluded {
            Some(_) => format!("take the annotation {PRUNE} off {path}"),
            None => format!(
                "put {path} back without the annotation {PRUNE}, seed {}, and delete it again",
                member.name()
            ),
        };
        self.remedy = Some(("To let it go", remedy));
        format!("= gone from the sources; {PRUNE} is disabled, so it stays")
    }

    /// Why it is not there.
    fn absent(&mut self, member: &Member, evidence: &Evidence, id: &str) {
        if let Some(excluded) = &evidence.excluded {
            self.state = "excluded";
            self.detail = excluded.why.message();
            self.place = Some(place_of(member, &excluded.cause));
            self.remedy = Some(("To carry it there", format!("{}.", excluded.why.remedy(id, member.name()))));
        } else if evidence.kept.as_ref().is_some_and(|kept| kept.why == KeptWhy::ForeignRow) {
            self.state = "refused";
            self.detail = "a row that Sower did not write holds its id, or that of a part of it".to_owned();
            self.remedy = Some(("To carry it there", format!("{FREE}, and seed again")));
        } else if evidence.kept.as_ref().is_some_and(|kept| kept.why == KeptWhy::Quarantined) {
            self.state = "quarantined";
            self.detail = format!("{}, and stays out until something newer arrives", rolled_back(evidence));
            self.take_back(member, evidence);
        } else if let Some(waiting) = evidence.waiting.as_ref().filter(|_| evidence.operation.is_none()) {
            self.state = "waiting";
            self.detail = self.waits(member, waiting);
        } else if evidence.kept.as_ref().is_some_and(|kept| kept.why == KeptWhy::AwaitsRollout) {
            self.state = "held";
            self.detail =
                "it needs a version that not all have yet, and comes when that rollout completes".to_owned();
        } else if let Some(problem) = evidence.first_error().filter(|_| evidence.summary().is_none()) {
            self.state = "refused";
            self.detail = format!("{}: {}", problem.code, problem.message);
            self.place = Some(problem.location());
            self.mend(evidence);
        } else if evidence.operation.is_some() {
            self.state = "not yet";
            self.version = evidence.summary().map(|summary| summary.version.clone());
            self.detail = format!("the next seeding brings {}", self.version.clone().unwrap_or_default());
            if evidence.unmet.is_none() {
                self.remedy = Some(("To carry it there", format!("sower seed -e {}", member.name())));
            }
        } else if !evidence.conflicts.is_empty() {
            self.state = "held";
            self.detail = "a conflict keeps it out".to_owned();
        } else if let Some(Removed { row, by }) = &evidence.removed {
            self.state = "removed";
            self.version = Some(row.content.version.clone());
            self.detail = removed(member, by.as_ref());
        } else if evidence.unseen {
            self.state = "unknown";
            let status = member.resource.as_ref().and_then(|resource| resource.status.as_ref());
            let ready = status.and_then(|status| status.conditions.iter().find(|c| c.type_ == "Ready"));
            let why = ready.map_or("no operator has looked at it yet", |ready| ready.message.as_str());
            self.detail = format!("its sources were not read yet: {why}");
        } else {
            self.state = "absent";
            self.detail = "no source of this environment offers it".to_owned();
        }
    }

    fn take_back(&mut self, member: &Member, evidence: &Evidence) {
        if let Some(rollout) = &evidence.rollout {
            let command = format!("sower rollout retry {} -e {}", rollout.integration, member.name());
            self.remedy = Some(("To try it again", command));
        } else if let Some(open) = &evidence.quarantined {
            let command = format!("sower rollback {} -e {} --undo", open.integration, member.name());
            self.remedy = Some(("To take that back", command));
        }
    }

    fn mend(&mut self, evidence: &Evidence) {
        if let Some(problem) = evidence.first_error() {
            self.remedy = Some(("To mend it", format!("sower rule {}", problem.code)));
        }
    }

    fn conflict(&mut self, member: &Member, evidence: &Evidence, conflict: &Conflict, changes: &[Change]) {
        let kind = conflict.kind;
        let word = kind.as_str();
        let text = format!(
            "! {word} conflict: {}; {} ({}: {})",
            conflict.message,
            conflict.done(),
            evidence.said_by(kind),
            conflict.resolution.as_str()
        );
        let changes = match kind {
            ConflictType::Version => changes.iter().map(|change| (change.path(), change.values())).collect(),
            ConflictType::Dependency | ConflictType::Duplicate => Vec::new(),
        };
        self.notes.push(Note { text, kind: Some(kind), changes, clashes: conflict.clashes.clone() });
        if !conflict.keeps() && evidence.carried.is_some() {
            return;
        }
        if kind == ConflictType::Version && conflict.keeps() {
            let (name, id) = (member.name(), &conflict.integration);
            self.once = Some(format!("sower seed -e {name} --only {id} --resolve version=override"));
        }
        let line = |field: &str| {
            let found = evidence.shown()?;
            let line = found.summary.as_ref()?.lines.get(field);
            Some(line.map_or(found.place.path.clone(), |line| format!("{}:{line}", found.place.path)))
        };
        let remedy = match kind {
            ConflictType::Version => line("version").map(|place| format!("a new version in {place}")),
            ConflictType::Dependency => {
                let at = evidence
                    .summary()
                    .and_then(|summary| summary.dependencies.first())
                    .map(|first| first.line);
                let path = evidence.shown().map(|found| found.place.path.clone()).unwrap_or_default();
                let place = at.map_or(path.clone(), |line| format!("{path}:{line}"));
                Some(format!("carry what it needs in {}, or change dependencies in {place}", member.name()))
            }
            ConflictType::Duplicate => {
                Some("offer it in one source alone, or give the sources priorities".to_owned())
            }
        };
        self.remedy = remedy.map(|remedy| ("To settle it", remedy)).or(self.remedy.take());
    }

    /// For programs.
    #[must_use]
    pub fn described(&self, id: &str, manifest: &Fields) -> Fields {
        let conflict = |note: &Note| {
            let change = |(path, values): &(String, String)| json!({ "path": path, "change": values });
            let changes: Vec<Value> = note.changes.iter().map(change).collect();
            Some(json!({
                "type": note.kind?.as_str(), "message": note.text.trim_start_matches("! "), "changes": changes,
                "clashes": note.clashes,
            }))
        };
        let notes = self.notes.iter().filter(|note| note.kind.is_none()).map(|note| note.text.as_str());
        Fields::default()
            .with("environment", &self.environment)
            .with("integration", id)
            .with("state", self.state)
            .with("version", &self.version)
            .with("seeding", self.since.map(|(number, _)| format!("{}-{number}", self.environment)))
            .with("seededAt", self.since.map(|(_, at)| at))
            .with("reason", Some(&self.detail).filter(|detail| !detail.is_empty()))
            .with("place", &self.place)
            .with("conflicts", self.notes.iter().filter_map(conflict).collect::<Vec<_>>())
            .with("notes", notes.collect::<Vec<_>>())
            .with("remedy", self.remedy.as_ref().map(|(_, remedy)| remedy.trim_end_matches('.')))
            .with("manifest", manifest)
            .with_some("waiting", self.waiting.as_ref())
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// [`Verdict::why`] for programs.
    #[must_use]
    pub fn brief(&self) -> Fields {
        let notes: Vec<&str> = self.notes.iter().map(Note::unmarked).collect();
        Fields::default()
            .with("environment", &self.environment)
            .with("state", self.state)
            .with("reason", Some(&self.detail).filter(|detail| !detail.is_empty()))
            .with("place", &self.place)
            .with("notes", notes)
            .with("remedy", self.remedy.as_ref().map(|(_, remedy)| remedy.trim_end_matches('.')))
    }

    /// What it is, and what keeps it from being what git has, each on a line without a mark; nothing of an integration
    /// that is carried as git has it.
    #[must_use]
    pub fn why(&self) -> Vec<String> {
        let place = self.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        let said = (!self.detail.is_empty()).then(|| format!("{}: {}{place}", self.state, self.detail));
        said.into_iter().chain(self.notes.iter().map(|note| note.unmarked().to_owned())).collect()
    }

    fn shown_state(&self) -> String {
        match (&self.version, self.state) {
            (Some(version), "carried" | "foreign" | "removed") => format!("{} {version}", self.state),
            _ => self.state.to_owned(),
        }
    }

    fn shown_detail(&self, now: Timestamp) -> String {
        match self.since {
            Some((number, at)) if self.detail.is_empty() => {
                format!("since seeding {number}, {}", time::ago(at, now))
            }
            _ => self.detail.clone(),
        }
    }
}

/// Since when it is out, and until when it is kept.
fn removed(member: &Member, by: Option<&Removal>) -> String {
    let seeding = by.and_then(|by| by.seeding);
    let since = seeding.map(|number| format!("since seeding {number}")).into_iter();
    let kept = match by {
        Some(Removal { foreign: true, .. }) => {
            Some("rows that Sower did not write hang on it still".to_owned())
        }
        Some(Removal { at, foreign: false, .. }) => {
            let until = at.checked_add(retention(&member.loaded.spec).removed).ok();
            until.map(|until| format!("kept until {}", until.strftime("%Y-%m-%d %H:%M UTC")))
        }
        None => None,
    };
    since.chain(kept).collect::<Vec<_>>().join(", ")
}

/// `rolled back by seeding 59 (rollback to 57 by AUTHOR)`.
fn rolled_back(evidence: &Evidence) -> String {
    match &evidence.quarantined {
        Some(open) => {
            let number = open.seeding.map_or_else(String::new, |number| format!(" by seeding {number}"));
            format!("rolled back{number} ({})", open.reason)
        }
        None => "rolled back".to_owned(),
    }
}

fn place_of(member: &Member, cause: &Cause) -> String {
    match cause {
        Cause::Manifest { path, line } => format!("{path}:{line}"),
        Cause::Environment { pointer } => member.place_of(pointer),
    }
}

/// One line for each environment, with what is to be said of it below. `names` is the width of the longest name there is.
#[must_use]
pub fn table<'a>(all: impl Iterator<Item = (&'a str, &'a Verdict)>, names: usize, now: Timestamp) -> String {
    let all: Vec<(&str, &Verdict)> = all.collect();
    let longest =
        |texts: &mut dyn Iterator<Item = String>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let states = longest(&mut all.iter().map(|(_, verdict)| verdict.shown_state()));
    let details = longest(
        &mut all
            .iter()
            .filter(|(_, verdict)| verdict.place.is_some())
            .map(|(_, verdict)| verdict.shown_detail(now)),
    );
    let mut text = String::new();
    for (name, verdict) in all {
        let mut line = format!("{name:names$}   {:states$}   ", verdict.shown_state());
        match &verdict.place {
            Some(place) => line.push_str(&format!("{:details$}     {place}", verdict.shown_detail(now))),
            None => line.push_str(&verdict.shown_detail(now)),
        }
        text.push_str(line.trim_end());
        text.push('\n');
        let indent = " ".repeat(names + 3);
        for note in &verdict.notes {
            text.push_str(&format!("{indent}{}\n", note.text));
            let paths = longest(&mut note.changes.iter().take(LISTED).map(|(path, _)| path.clone()));
            for (path, values) in note.changes.iter().take(LISTED) {
                text.push_str(format!("{indent}  {path:paths$}   {values}").trim_end());
                text.push('\n');
            }
            if note.changes.len() > LISTED {
                text.push_str(&format!(
                    "{indent}  and {} more: -o json lists all\n",
                    note.changes.len() - LISTED
                ));
            }
        }
    }
    text
}

/// What would change it: said once where it is the same for all, else by environment.
#[must_use]
pub fn remedies<'a>(all: impl Iterator<Item = (&'a str, &'a Verdict)>, flags: &str) -> String {
    let mut by_remedy: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let mut once = Vec::new();
    for (name, verdict) in all {
        once.extend(&verdict.once);
        if let Some((head, remedy)) = &verdict.remedy {
            by_remedy.entry((head, remedy)).or_default().push(name);
        }
    }
    let heads: Vec<&str> = by_remedy.keys().map(|(head, _)| *head).collect();
    let mut text = String::new();
    for ((head, remedy), names) in &by_remedy {
        let alone = heads.iter().filter(|other| *other == head).count() == 1;
        let which = if alone { String::new() } else { format!(" in {}", names.join(", ")) };
        let head = if alone { (*head).to_owned() } else { head.replace(" there", "") };
        let leads = LED.iter().any(|command| remedy.starts_with(command));
        let flags = if leads { flags } else { "" };
        text.push_str(&format!("{head}{which}: {remedy}{flags}\n"));
    }
    for command in once {
        text.push_str(&format!("      or once: {command}{flags}\n"));
    }
    text
}
