//! Catalogs, specs and databases as tests write them.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;

use semver::Version;
use serde_json::{Value, json};
use sower_core::catalog::{
    Annotations, Dependency, Found, Lifecycle, Lines, Place, SourceCatalog, Stability, Summary,
};
use sower_core::diff::{Wish, diff};
use sower_core::hash::spec_digest;
use sower_core::merges::{Made, Merges, Unmerged};
use sower_core::plan::{Content, Current, Plan, State, Verb, Wanted};
use sower_core::problem::{Code, Problem, Severity};
use sower_core::resolution::Resolutions;
use sower_core::resolve::{questions, resolve, to_merge, to_unite};
use sower_core::select::{Selection, select};
use sower_core::snapshot::Revision;
use sower_crds::environment::EnvironmentSpec;

/// An environment's spec from its JSON.
pub fn spec(fields: Value) -> EnvironmentSpec {
    serde_json::from_value(fields).expect("a spec")
}

/// A spec in which all three types are resolved alike.
pub fn resolved_by(resolution: &str) -> EnvironmentSpec {
    spec(json!({ "conflicts": { "version": resolution, "dependency": resolution, "duplicate": resolution } }))
}

pub fn platform() -> Version {
    Version::new(0, 1, 0)
}

/// A valid manifest; its content is told apart by `text`.
pub fn summary(id: &str, version: &str, text: &str) -> Summary {
    Summary {
        id: id.into(),
        name: id.into(),
        version: version.into(),
        checksum: format!("v1:{id}/{version}/{text}"),
        stability: Stability::Stable,
        lifecycle: Lifecycle::Published,
        replaced_by: None,
        environment: Vec::new(),
        min_platform_version: None,
        dependencies: Vec::new(),
        actions: 1,
        triggers: 1,
        connections: 0,
        events: 0,
        lines: Lines::of([("version", 6), ("environment", 9), ("lifecycle", 8)]),
        annotations: Annotations::default(),
    }
}

/// The same with dependencies, written `id` or `id@range`.
pub fn needs(mut summary: Summary, dependencies: &[&str]) -> Summary {
    summary.dependencies = dependencies
        .iter()
        .map(|written| {
            let (id, range) =
                written.split_once('@').map_or((*written, None), |(id, range)| (id, Some(range)));
            Dependency { id: id.into(), range: range.map(Into::into), line: 12 }
        })
        .collect();
    summary
}

pub fn place(source: &str, id: &str) -> Place {
    Place { source: source.into(), path: format!("integrations/{id}/integration.yaml"), document: 0 }
}

pub fn valid(source: &str, summary: Summary) -> Found {
    Found {
        place: place(source, &summary.id),
        blob: "b".into(),
        id: Some(summary.id.clone()),
        summary: Some(summary),
        problems: Vec::new(),
        references: Vec::new(),
        manifest: None,
    }
}

/// A refused document; without an id it is one whose id cannot be read.
pub fn invalid(source: &str, id: Option<&str>) -> Found {
    let place = place(source, id.unwrap_or("unreadable"));
    let problem = Problem {
        code: Code::BadVersion,
        severity: Severity::Error,
        file: place.path.clone(),
        line: 6,
        column: 12,
        length: 4,
        pointer: "/version".into(),
        message: "`v2.1` is not a semantic version".into(),
        expected: "expected MAJOR.MINOR.PATCH".into(),
        hint: None,
        integration: id.map(Into::into),
    };
    Found {
        place,
        blob: "b".into(),
        id: id.map(Into::into),
        summary: None,
        problems: vec![problem],
        references: Vec::new(),
        manifest: None,
    }
}

pub fn source(name: &str, found: Vec<Found>) -> SourceCatalog {
    let revision =
        Revision { label: "main".into(), digest: format!("sha1:{}", "3f2c1a9d4b".repeat(4)), dirty: false };
    SourceCatalog {
        name: name.into(),
        revision,
        priority: 0,
        found,
        complete: true,
        watched: false,
        mute: std::collections::BTreeSet::new(),
    }
}

/// One source `default` of valid manifests.
pub fn catalog(summaries: Vec<Summary>) -> Vec<SourceCatalog> {
    vec![source("default", summaries.into_iter().map(|s| valid("default", s)).collect())]
}

/// A row as the seeding of `summary` from `source` leaves it.
pub fn row(source: &str, summary: &Summary) -> Current {
    Current {
        id: summary.id.clone(),
        content: Content { version: summary.version.clone(), checksum: summary.checksum.clone() },
        source: source.into(),
        path: place(source, &summary.id).path,
        removed: false,
        prune_disabled: summary.annotations.prune_disabled,
    }
}

/// A database that holds these of the source `default`.
pub fn database(summaries: &[Summary]) -> State {
    let rows = summaries.iter().map(|s| (s.id.clone(), row("default", s))).collect();
    State { base: 7, rows, ..State::default() }
}

pub fn selection(spec: &EnvironmentSpec, sources: &[SourceCatalog]) -> Selection {
    select("production", spec, &platform(), sources)
}

/// Selection, resolution and diff in one.
pub fn plan(spec: &EnvironmentSpec, sources: &[SourceCatalog], state: &State) -> Plan {
    plan_only(spec, sources, state, None)
}

pub fn plan_only(
    spec: &EnvironmentSpec,
    sources: &[SourceCatalog],
    state: &State,
    only: Option<&BTreeSet<String>>,
) -> Plan {
    let selection = selection(spec, sources);
    let settled = resolve(spec, sources, &selection, state, only);
    diff(&spec_digest(spec), &selection, settled, state, Wish { only, ..Wish::default() })
}

/// What a plan leaves in the database; history grows by every content that was there.
pub fn apply(plan: &Plan, state: &State, history: &mut BTreeSet<(String, String)>) -> State {
    let mut next = state.clone();
    for operation in &plan.operations {
        next.merged.remove(&operation.id);
        if operation.verb == Verb::Remove {
            // It stays for a while.
            if let Some(row) = next.rows.get_mut(&operation.id) {
                row.removed = true;
            }
            continue;
        }
        let content = operation.to.clone().expect("new content");
        let place = operation.place.clone().expect("a place");
        history.insert((operation.id.clone(), content.checksum.clone()));
        let stays = state.merged.get(&operation.id).filter(|_| Some(&content) == operation.from.as_ref());
        let merged = state.merges.merged(&operation.id, &content.checksum).map(|made| made.git.0.clone());
        next.merged.extend(merged.or(stays.cloned()).map(|git| (operation.id.clone(), git)));
        let (id, source, path) = (operation.id.clone(), place.source, place.path);
        let prune_disabled = operation.prune_disabled;
        let current = Current { id, content, source, path, removed: false, prune_disabled };
        next.rows.insert(operation.id.clone(), current);
    }
    next.base += 1;
    next
}

/// The state with the answers of the history, and with what merging comes to. Contents are told apart by their checksums
/// alone here: whether two of them clash is tossed by those.
pub fn answered(
    spec: &EnvironmentSpec,
    sources: &[SourceCatalog],
    state: &State,
    history: &BTreeSet<(String, String)>,
) -> State {
    let selection = selection(spec, sources);
    let mut state = State { merges: Merges::default(), ..state.clone() };
    for offers in to_unite(spec, &selection, None) {
        let sums: Vec<&str> = offers.iter().map(|offer| offer.summary.checksum.as_str()).collect();
        let parts: Vec<(&str, &str)> = offers[1..]
            .iter()
            .map(|offer| (offer.place.source.as_str(), offer.summary.version.as_str()))
            .collect();
        let version = sower_core::composite::version(&offers[0].summary.version, &parts);
        let union = made(&offers[0], &version, &format!("union/{}", sums.join("+")), &sums.concat());
        state.merges.unions.insert(offers[0].summary.id.clone(), union);
    }
    state.carried =
        questions(&selection, &state).into_iter().filter(|question| history.contains(question)).collect();
    let in_conflict: Vec<Wanted> =
        to_merge(spec, sources, &selection, &state, None).into_iter().cloned().collect();
    for wanted in &in_conflict {
        let here = state.rows[&wanted.summary.id].content.checksum.clone();
        let merged = format!("merged/{here}+{}", wanted.summary.checksum);
        let answer = made(wanted, &wanted.summary.version, &merged, &merged);
        state.merges.versions.insert(wanted.summary.id.clone(), answer);
    }
    for (id, checksum) in history {
        let version = checksum.strip_prefix(&format!("v1:{id}/")).and_then(|rest| rest.split_once('/'));
        let Some((version, text)) = version else { continue };
        let wanted = Wanted {
            summary: summary(id, version, text),
            place: place("default", id),
            revision: String::new(),
            resolve: Resolutions::default(),
        };
        let kept = made(&wanted, version, checksum, "").expect("made");
        state.merges.known.entry(id.clone()).or_default().push(kept);
    }
    state
}

fn made(like: &Wanted, version: &str, checksum: &str, toss: &str) -> Result<Made, Unmerged> {
    if toss.bytes().map(usize::from).sum::<usize>() % 4 == 1 {
        return Err(Unmerged::clash(vec!["/name".into()]));
    }
    let git = (like.summary.checksum.clone(), "".into());
    let summary = Summary { version: version.into(), checksum: checksum.into(), ..like.summary.clone() };
    let wanted = Wanted { summary, ..like.clone() };
    Ok(Made { wanted, manifest: "".into(), git, clashes: Vec::new(), seen: None })
}

/// `+ slack`, `~ stripe`, `> moved`, `- gone`.
pub fn operations(plan: &Plan) -> Vec<String> {
    let mark = |verb| match verb {
        Verb::Create => '+',
        Verb::Update => '~',
        Verb::Move => '>',
        Verb::Remove => '-',
    };
    plan.operations.iter().map(|o| format!("{} {}", mark(o.verb), o.id)).collect()
}

/// `wordpress version skip: git has 1.0.0 too, with other content`.
pub fn conflicts(plan: &Plan) -> Vec<String> {
    let line = |c: &sower_core::plan::Conflict| {
        format!("{} {} {}: {}", c.integration, c.kind.as_str(), c.resolution.as_str(), c.message)
    };
    plan.conflicts.iter().map(line).collect()
}

/// `slack Invalid`.
pub fn kept(plan: &Plan) -> Vec<String> {
    plan.kept.iter().map(|kept| format!("{} {:?}", kept.id, kept.why)).collect()
}

/// A time, with no freeze lifted.
pub fn moment() -> sower_core::gate::Moment {
    let now = "2026-11-21T14:00:00Z".parse().expect("a time");
    sower_core::gate::Moment { now, freeze_override: None }
}
