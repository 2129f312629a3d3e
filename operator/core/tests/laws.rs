//! What holds for every catalog, every environment and every database.

mod offer;

use std::collections::BTreeSet;

use offer::{answered, apply, needs, plan, row, selection, source, spec, summary, valid};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Value, json};
use sower_core::catalog::{Found, Lifecycle, SourceCatalog, Stability};
use sower_core::gate::{Gate, allowed, gate};
use sower_core::plan::{Plan, State, Verb};

const IDS: [&str; 7] = ["a", "a-1", "b", "beta-x", "c", "d", "e"];
const VERSIONS: [&str; 5] = ["1.0.0", "1.0.0+b", "1.1.0", "2.0.0-rc.1", "2.0.0"];
const PATTERNS: [&str; 9] = ["*", "a", "a*", "b", "beta-*", "{c,d}", "?", "[a-c]", "e"];
const RANGES: [&str; 6] = ["", "@*", "@^1", "@>=2.0.0-rc.0", "@1.0 - 1.1", "@~1.0 || 2.x"];

fn manifest() -> impl Strategy<Value = sower_core::catalog::Summary> {
    let dependency = (select(&IDS[..]), select(&RANGES[..])).prop_map(|(id, range)| format!("{id}{range}"));
    (
        select(&IDS[..]),
        select(&VERSIONS[..]),
        select(&["x", "y"][..]),
        vec(dependency, 0..3),
        prop_oneof![6 => Just(Lifecycle::Published), 1 => Just(Lifecycle::Draft), 1 => Just(Lifecycle::Deprecated)],
        prop_oneof![6 => Just(Stability::Stable), 1 => Just(Stability::Beta), 1 => Just(Stability::Experimental)],
        prop_oneof![6 => Just(vec![]), 1 => Just(vec!["production".to_owned()]), 1 => Just(vec!["other".to_owned()])],
        prop::bool::weighted(0.1),
    )
        .prop_map(|(id, version, text, dependencies, lifecycle, stability, environment, never)| {
            let dependencies: Vec<&str> = dependencies.iter().map(String::as_str).collect();
            let mut summary = needs(summary(id, version, text), &dependencies);
            (summary.lifecycle, summary.stability, summary.environment) = (lifecycle, stability, environment);
            summary.annotations.prune_disabled = never;
            summary
        })
}

fn document(source: &'static str) -> impl Strategy<Value = Found> {
    prop_oneof![
        8 => manifest().prop_map(move |summary| valid(source, summary)),
        1 => select(&IDS[..]).prop_map(move |id| offer::invalid(source, Some(id))),
        1 => Just(offer::invalid(source, None)),
    ]
}

/// A source as the loader hands it over: an id stands in it once.
fn one_source(name: &'static str) -> impl Strategy<Value = SourceCatalog> {
    (vec(document(name), 0..7), 0..2i32, prop::bool::weighted(0.9)).prop_map(
        move |(mut found, priority, complete)| {
            let mut seen = BTreeSet::new();
            found.retain(|found| seen.insert(found.id.clone()));
            SourceCatalog { priority, complete, ..source(name, found) }
        },
    )
}

fn sources() -> impl Strategy<Value = Vec<SourceCatalog>> {
    (one_source("x"), one_source("y"), any::<bool>())
        .prop_map(|(x, y, both)| if both { vec![x, y] } else { vec![x] })
}

fn fields() -> impl Strategy<Value = Value> {
    let resolution = || select(&["skip", "override", "merge"][..]);
    (
        prop::option::of(subsequence(PATTERNS.to_vec(), 1..=PATTERNS.len())),
        vec(select(&PATTERNS[1..]), 0..2),
        select(&["full", "incremental", "selective"][..]),
        (any::<bool>(), any::<bool>(), prop::bool::weighted(0.8)),
        (resolution(), resolution(), resolution()),
        prop_oneof![(0..=100u32).prop_map(|p| json!(format!("{p}%"))), (0..5u32).prop_map(|n| json!(n))],
    )
        .prop_map(|(allowed, blocked, strategy, (beta, experimental, prune), (version, dependency, duplicate), limit)| {
            let mut fields = json!({
                "blockedIntegrations": blocked, "seedingStrategy": strategy, "prune": prune, "pruneLimit": limit,
                "featureFlags": { "betaFeatures": beta, "experimentalFeatures": experimental },
                "conflicts": { "version": version, "dependency": dependency, "duplicate": duplicate },
            });
            if let Some(allowed) = allowed {
                fields["allowedIntegrations"] = json!(allowed);
            }
            fields
        })
}

fn state() -> impl Strategy<Value = State> {
    let owner = select(&["x", "y", "former"][..]);
    let rows = vec((manifest(), owner, prop::bool::weighted(0.1)), 0..7);
    (rows, btree_set(select(&IDS[..]), 0..2), 0..9i64).prop_map(|(rows, foreign, base)| {
        let foreign: BTreeSet<String> = foreign.into_iter().map(Into::into).collect();
        let rows = rows
            .into_iter()
            .filter(|(summary, ..)| !foreign.contains(&summary.id))
            .map(|(summary, owner, removed)| {
                let current = sower_core::plan::Current { removed, ..row(owner, &summary) };
                (summary.id, current)
            })
            .collect();
        State { base, rows, foreign, ..State::default() }
    })
}

/// A plan as a seeding makes it: what was carried is asked first.
fn planned(
    fields: &Value,
    sources: &[SourceCatalog],
    state: &State,
    history: &BTreeSet<(String, String)>,
) -> (Plan, State) {
    let spec = spec(fields.clone());
    let state = answered(&spec, sources, state, history);
    (plan(&spec, sources, &state), state)
}

fn ids(fields: &Value, sources: &[SourceCatalog]) -> BTreeSet<String> {
    selection(&spec(fields.clone()), sources).wanted.into_iter().map(|wanted| wanted.summary.id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_after_its_application_is_empty(
        fields in fields(), sources in sources(), later in sources(), state in state()
    ) {
        let mut history = BTreeSet::new();
        let mut now = state;
        for offered in [&sources, &later, &sources] {
            let (first, answered) = planned(&fields, offered, &now, &history);
            now = apply(&first, &answered, &mut history);
            let (second, _) = planned(&fields, offered, &now, &history);
            prop_assert!(second.is_empty(), "{:?}", second.operations);
            prop_assert_eq!(&second.kept, &first.kept);
            let marks = |plan: &Plan| plan.conflicts.iter().map(|c| c.fingerprint.clone()).collect::<BTreeSet<_>>();
            prop_assert!(marks(&second).is_subset(&marks(&first)), "a seeding makes no new conflict");
        }
    }

    #[test]
    fn what_is_written_under_skip_has_all_it_needs(
        fields in fields(), sources in sources(), state in state()
    ) {
        let mut fields = fields;
        fields["conflicts"]["dependency"] = json!("skip");
        let (plan, before) = planned(&fields, &sources, &state, &BTreeSet::new());
        let after = apply(&plan, &before, &mut BTreeSet::new());
        let offers = selection(&spec(fields), &sources).wanted;
        for operation in plan.operations.iter().filter(|o| o.verb != Verb::Remove) {
            let mut taken = offers.iter().filter(|w| Some(&w.place) == operation.place.as_ref());
            let taken = taken.find(|w| w.summary.id == operation.id).expect("an operation's manifest is wanted");
            for dependency in &taken.summary.dependencies {
                let there = after.rows.get(&dependency.id).filter(|current| !current.removed);
                let version = there.map(|c| nodejs_semver::Version::parse(&c.content.version).expect("a version"));
                let range = dependency.range.as_deref().unwrap_or("*");
                let any = dependency.range.is_none() || range == "*";
                let range = nodejs_semver::Range::parse(range).expect("a range");
                let met = match version {
                    Some(version) => dependency.range.is_none() || version.satisfies(&range),
                    None => any && after.foreign.contains(&dependency.id),
                };
                prop_assert!(met, "{} needs {:?}", operation.id, dependency);
            }
        }
    }

    #[test]
    fn an_integration_has_one_fate(fields in fields(), sources in sources(), state in state()) {
        let (plan, _) = planned(&fields, &sources, &state, &BTreeSet::new());
        let touched: Vec<&str> = plan.operations.iter().map(|o| o.id.as_str()).collect();
        let kept: Vec<&str> = plan.kept.iter().map(|k| k.id.as_str()).collect();
        prop_assert!(touched.is_sorted_by(|a, b| a < b) && kept.is_sorted_by(|a, b| a < b));
        prop_assert!(kept.iter().all(|id| !touched.contains(id)));
        prop_assert!(touched.iter().all(|id| !state.foreign.contains(*id)));
        let written = plan.operations.iter().filter(|o| o.verb != Verb::Remove).count();
        let held: BTreeSet<&str> = plan.conflicts.iter().map(|c| c.integration.as_str()).collect();
        prop_assert!(plan.processed >= written + plan.unchanged);
        prop_assert!(plan.processed <= written + plan.unchanged + held.len() + kept.len());
    }

    #[test]
    fn a_wider_list_lets_no_less_in(
        fields in fields(), sources in sources(), more in select(&PATTERNS[..])
    ) {
        let mut wider = fields.clone();
        if let Some(allowed) = wider["allowedIntegrations"].as_array_mut() {
            allowed.push(json!(more));
        }
        prop_assert!(ids(&fields, &sources).is_subset(&ids(&wider, &sources)));
        let mut narrower = fields.clone();
        narrower["blockedIntegrations"].as_array_mut().expect("a list").push(json!(more));
        prop_assert!(ids(&narrower, &sources).is_subset(&ids(&fields, &sources)));
        let mut flagged = fields.clone();
        flagged["featureFlags"] = json!({ "betaFeatures": true, "experimentalFeatures": true });
        prop_assert!(ids(&fields, &sources).is_subset(&ids(&flagged, &sources)));
    }

    #[test]
    fn every_manifest_is_wanted_or_has_a_reason(fields in fields(), sources in sources()) {
        let selection = selection(&spec(fields), &sources);
        let valid = sources.iter().flat_map(|s| &s.found).filter(|f| f.is_valid()).count();
        prop_assert_eq!(selection.wanted.len() + selection.excluded.len(), valid);
    }

    #[test]
    fn the_order_of_documents_does_not_matter(
        fields in fields(), sources in sources(), state in state(), swaps in vec((any::<Index>(), any::<Index>()), 4)
    ) {
        let mut shuffled = sources.clone();
        for SourceCatalog { found, .. } in shuffled.iter_mut().filter(|s| !s.found.is_empty()) {
            for (a, b) in &swaps {
                let (a, b) = (a.index(found.len()), b.index(found.len()));
                found.swap(a, b);
            }
        }
        let (plan, _) = planned(&fields, &sources, &state, &BTreeSet::new());
        prop_assert_eq!(plan, planned(&fields, &shuffled, &state, &BTreeSet::new()).0);
    }

    #[test]
    fn the_strategy_full_and_incremental_agree(fields in fields(), sources in sources(), state in state()) {
        let with = |strategy: &str| {
            let mut fields = fields.clone();
            fields["seedingStrategy"] = json!(strategy);
            let (plan, _) = planned(&fields, &sources, &state, &BTreeSet::new());
            (plan.operations, plan.conflicts, plan.kept, plan.excluded)
        };
        prop_assert_eq!(with("full"), with("incremental"));
    }

    #[test]
    fn no_more_than_the_limit_goes(fields in fields(), sources in sources(), state in state()) {
        let (plan, state) = planned(&fields, &sources, &state, &BTreeSet::new());
        let spec = spec(fields);
        let share = |owner: &str| {
            let total = state.rows.values().filter(|c| c.source == owner && !c.removed).count();
            let gone = plan.operations.iter().filter(|o| o.verb == Verb::Remove && o.source == owner).count();
            gone <= allowed(&spec, total)
        };
        let within = ["x", "y", "former"].into_iter().all(share);
        match gate(&plan, &spec, &sources, &state, offer::moment()) {
            Gate::Open => prop_assert!(within),
            Gate::Held(held) => {
                prop_assert!(!within);
                prop_assert!(held.message.chars().count() <= 100);
            }
        }
    }

    #[test]
    fn what_cannot_be_read_whole_loses_nothing(fields in fields(), sources in sources(), state in state()) {
        let (plan, _) = planned(&fields, &sources, &state, &BTreeSet::new());
        for source in sources.iter().filter(|source| source.keeps_all().is_some()) {
            prop_assert!(!plan.operations.iter().any(|o| o.verb == Verb::Remove && o.source == source.name));
            prop_assert!(!plan.operations.iter().any(|o| o.verb == Verb::Remove && o.source == "former"));
        }
    }

    #[test]
    fn what_its_annotation_keeps_stays(fields in fields(), sources in sources(), state in state()) {
        let (plan, _) = planned(&fields, &sources, &state, &BTreeSet::new());
        for operation in plan.operations.iter().filter(|o| o.verb == Verb::Remove) {
            let row = &state.rows[&operation.id];
            let mut found = sources.iter().flat_map(|source| &source.found);
            let here = found.find(|f| f.place.source == row.source && f.place.path == row.path && f.is_valid());
            let said = here.and_then(|found| found.summary.as_ref()).map(|s| s.annotations.prune_disabled);
            prop_assert!(!said.unwrap_or(row.prune_disabled), "{operation:?}");
        }
    }

    #[test]
    fn a_plan_only_of_some_ids_touches_no_other(
        fields in fields(), sources in sources(), state in state(), only in btree_set(select(&IDS[..]), 0..4)
    ) {
        let only: BTreeSet<String> = only.into_iter().map(Into::into).collect();
        let plan = offer::plan_only(&spec(fields), &sources, &state, Some(&only));
        prop_assert!(plan.operations.iter().all(|o| only.contains(&o.id)));
        prop_assert!(plan.conflicts.iter().all(|c| only.contains(&c.integration)));
    }
}
