//! What another environment lets in: what it shows is asked, core decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use semver::Version;
use sower_core::catalog::{Found, SourceCatalog, needs};
use sower_core::plan::{State, Wanted};
use sower_core::promotion::{
    Absent, Admission, Asked, Carried, Rules, Shown, There, Waiting, Why, absent, admit,
};
use sower_core::resolution::once;
use sower_core::resolve::winners;
use sower_core::rows;
use sower_core::select::{Selection, select};
use sower_core::snapshot::Revision;
use sower_core::usage::Observed;
use sower_store::{EnvironmentRow, Remembered, Store, StoreError};

use super::Planned;
use super::error::SeedingError;
use super::job::{Job, Upstream};
use super::noted;
use super::reading::Reading;

/// Integrations whose manifests are held at once.
const PIECE: usize = 200;

/// Notes in the state who is let in, and puts in the place of what the sources offer what is let in instead.
///
/// # Errors
/// Where the environment's own database does not answer. Where the other environment's does not, nothing is let in.
pub(super) async fn look(
    store: &Store,
    job: &Job,
    row: Option<&EnvironmentRow>,
    platform: &Version,
    reading: &mut Reading,
    selection: &mut Selection,
    state: &mut State,
) -> Result<(), SeedingError> {
    let Some(spec) = &job.spec.promotion else {
        // What was remembered is of no use any more.
        let ends = row.is_some_and(noted::promotes);
        state.admission = ends.then(|| Admission { ends, ..Admission::default() });
        return Ok(());
    };
    let rules = Rules::of(spec);
    let mut remembered = store.promotion(&job.environment).await?;
    let dropped = still_selected(job, platform, &mut remembered.offers);
    let offered = remembered.offers.values().flatten().map(|offer| &offer.place);
    reading.note_mute(offered.map(|place| (place.source.as_str(), place.path.as_str())));
    let catalogs = reading.lend();
    let heads: BTreeMap<String, _> = winners(&job.spec, &catalogs, selection, state)
        .into_iter()
        .map(|(id, w)| (id.to_owned(), w.clone()))
        .collect();
    let Absent { gone, withdrawn } = absent(&job.spec, &catalogs, selection, state, &remembered.offers);
    reading.give_back(catalogs);
    let seen = seen(job).await;
    let headless = remembered.offers.keys().filter(|id| !heads.contains_key(*id) && !withdrawn.contains(*id));
    let there = there(job, &rules, state, &heads, gone.iter().chain(headless)).await;
    let here = here(store, job, state, &heads, &remembered, &there).await?;
    let by_hand = by_hand(job, &heads, &remembered);
    // What somebody lets in now takes the place of what was let in before.
    let anew: BTreeSet<&str> = by_hand.iter().map(|(id, _)| id.as_str()).collect();
    let earlier = remembered.admitted.keys().filter(|(id, _)| !anew.contains(id.as_str()));
    let admitted: BTreeSet<(String, String)> = earlier.cloned().collect();
    let mut admission = {
        let heads = heads.iter().map(|(id, wanted)| (id.as_str(), wanted)).collect();
        let asked = Asked {
            rules: &rules,
            there: &there,
            heads: &heads,
            offers: &remembered.offers,
            here: &here,
            foreign: &state.foreign,
            gone: &gone,
            withdrawn: &withdrawn,
            quarantine: &state.quarantine,
            admitted: &admitted,
            by_hand: &by_hand,
            under_way: &remembered.under_way,
            now: job.moment().now,
        };
        Admission { seen, ..admit(asked) }
    };
    admission.stale.extend(dropped);
    for (wanted, bytes) in &mut admission.fresh {
        *bytes = state.merges.manifest(&wanted.summary.id, &wanted.summary.checksum).cloned();
    }
    for wanted in admission.let_in.values() {
        let pair = (wanted.summary.id.clone(), wanted.summary.checksum.clone());
        let by =
            remembered.admitted.get(&pair).or_else(|| by_hand.contains(&pair).then_some(&job.promote.by));
        if let Some(by) = by {
            admission.by_hand.insert(pair.0, by.clone());
        }
    }
    bring_back(store, job, &heads, &mut admission, selection, state).await?;
    once(selection, &job.resolve);
    state.admission = Some(admission);
    Ok(())
}

/// Keeps of what was offered earlier what the environment's filters let in still; the others (integration and checksum) go.
fn still_selected(
    job: &Job,
    platform: &Version,
    offers: &mut BTreeMap<String, Vec<Wanted>>,
) -> Vec<(String, String)> {
    let mut dropped = Vec::new();
    for offers in offers.values_mut() {
        offers.retain(|offer| {
            let passes = is_selected(job, platform, offer);
            if !passes {
                dropped.push((offer.summary.id.clone(), offer.summary.checksum.clone()));
            }
            passes
        });
    }
    offers.retain(|_, offers| !offers.is_empty());
    dropped
}

fn is_selected(job: &Job, platform: &Version, wanted: &Wanted) -> bool {
    // Nothing comes from a source that is no longer the environment's own.
    if !job.sources.iter().any(|source| source.name == wanted.place.source) {
        return false;
    }
    let found = Found {
        place: wanted.place.clone(),
        blob: String::new(),
        id: Some(wanted.summary.id.clone()),
        summary: Some(wanted.summary.clone()),
        problems: Vec::new(),
        references: Vec::new(),
        manifest: None,
    };
    let catalog = SourceCatalog {
        name: wanted.place.source.clone(),
        revision: Revision { label: String::new(), digest: String::new(), dirty: false },
        priority: 0,
        found: vec![found],
        complete: true,
        watched: false,
        mute: BTreeSet::new(),
    };
    !select(&job.environment, &job.spec, platform, &[catalog]).wanted.is_empty()
}

/// Number of the last seeding of the other environment, if it can be read.
pub(super) async fn seen(job: &Job) -> Option<i64> {
    let Some(Upstream::Open { environment, store }) = &job.upstream else { return None };
    store.environment(environment).await.ok().flatten().map(|row| row.seq)
}

/// What the other environment shows of what differs here, and of others beside.
async fn there<'a>(
    job: &Job,
    rules: &Rules,
    state: &State,
    heads: &'a BTreeMap<String, Wanted>,
    beside: impl Iterator<Item = &'a String>,
) -> There {
    let differs = |(id, wanted): &(&String, &Wanted)| {
        let here = state.rows.get(*id).filter(|row| !row.removed);
        here.is_none_or(|row| row.content.checksum != wanted.summary.checksum)
    };
    let differing = heads.iter().filter(differs).map(|(id, _)| id.as_str());
    let ids: Vec<&str> = differing.chain(beside.map(String::as_str)).collect();
    if ids.is_empty() {
        return There::Carries(BTreeMap::new());
    }
    let (environment, store) = match &job.upstream {
        Some(Upstream::Open { environment, store }) => (environment, store),
        Some(Upstream::Away(why)) => return There::Away(why.clone()),
        None => return There::Away("no environment is called so".to_owned()),
    };
    match shown(environment, store, rules, job.moment().now, &ids).await {
        Ok(shown) => There::Carries(shown),
        Err(error) => There::Away(told(&error)),
    }
}

/// A store's error as somebody else's trouble.
fn told(error: &StoreError) -> String {
    sower_core::sentence::cut(&error.to_string())
}

async fn shown(
    environment: &str,
    store: &Store,
    rules: &Rules,
    now: Timestamp,
    ids: &[&str],
) -> Result<BTreeMap<String, Shown>, StoreError> {
    let mut all = BTreeMap::new();
    for (id, (content, since)) in store.shown(environment, ids).await? {
        // What has not soaked yet is not asked how it is used.
        let soaked = since.checked_add(jiff::SignedDuration::try_from(rules.soak).unwrap_or_default());
        let asks = rules.asks_for_usage() && soaked.is_ok_and(|at| at <= now);
        let observed = match asks {
            true => {
                let mut by_version = store.usage_over(environment, &id, since).await?;
                by_version.remove(&content.version).unwrap_or_default()
            }
            false => Observed::default(),
        };
        all.insert(id, Shown { content, since, observed });
    }
    Ok(all)
}

/// What is carried here, and what it needs: of what stays as it is as git says it, of what may change as it was seeded.
async fn here(
    store: &Store,
    job: &Job,
    state: &State,
    heads: &BTreeMap<String, Wanted>,
    remembered: &Remembered,
    there: &There,
) -> Result<BTreeMap<String, Carried>, SeedingError> {
    let mut here = BTreeMap::new();
    let mut unknown = Vec::new();
    for row in state.rows.values().filter(|row| !row.removed) {
        let same = heads.get(&row.id).filter(|head| head.summary.checksum == row.content.checksum);
        if same.is_none() {
            unknown.push(row.id.as_str());
        }
        let needs = same.map(|head| head.summary.dependencies.clone()).unwrap_or_default();
        here.insert(row.id.clone(), Carried { content: row.content.clone(), needs });
    }
    // Where nothing comes, nothing has to be whole.
    let shown = |wanted: &Wanted| match there {
        There::Carries(shown) => shown
            .get(&wanted.summary.id)
            .is_some_and(|shown| shown.content.checksum == wanted.summary.checksum),
        There::Away(_) => false,
    };
    let mut candidates = heads.values().chain(remembered.offers.values().flatten());
    if remembered.admitted.is_empty() && !candidates.any(shown) {
        return Ok(here);
    }
    for piece in unknown.chunks(PIECE) {
        for (id, manifest) in store.manifests(&job.environment, piece).await? {
            if let Some(carried) = here.get_mut(&id) {
                carried.needs = needs(&manifest);
            }
        }
    }
    Ok(here)
}

/// What somebody lets in now.
fn by_hand(
    job: &Job,
    heads: &BTreeMap<String, Wanted>,
    remembered: &Remembered,
) -> BTreeSet<(String, String)> {
    let of = |id: &String| {
        let offers = remembered.offers.get(id).into_iter().flatten();
        heads.get(id).into_iter().chain(offers).map(|wanted| wanted.summary.checksum.clone()).collect()
    };
    let all = job.promote.ids.iter().flat_map(|id| {
        let checksums: Vec<String> = of(id);
        checksums.into_iter().map(|checksum| (id.clone(), checksum))
    });
    all.collect()
}

/// Puts what is let in in the place of what the sources offer now, with its bytes.
async fn bring_back(
    store: &Store,
    job: &Job,
    heads: &BTreeMap<String, Wanted>,
    admission: &mut Admission,
    selection: &mut Selection,
    state: &mut State,
) -> Result<(), SeedingError> {
    let is_head =
        |id: &str, checksum: &str| heads.get(id).is_some_and(|head| head.summary.checksum == checksum);
    let older = admission.let_in.iter().filter(|(id, wanted)| !is_head(id, &wanted.summary.checksum));
    let asked: Vec<(String, String)> =
        older.map(|(id, wanted)| (id.clone(), wanted.summary.checksum.clone())).collect();
    let pairs: Vec<(&str, &str)> = asked.iter().map(|(id, checksum)| (&**id, &**checksum)).collect();
    let mut contents = store.offered_contents(&job.environment, &pairs).await?;
    for (id, checksum) in &asked {
        let Some(bytes) = contents.remove(id).filter(|text| rows::checksum(text) == *checksum) else {
            // What cannot be read stays out; what is offered now waits anyway.
            admission.let_in.remove(id);
            admission.by_hand.remove(id);
            continue;
        };
        let Some(wanted) = admission.let_in.get(id) else { continue };
        state.merges.unions.remove(id);
        // What cannot be read keeps nothing out that was offered before.
        selection.invalid.retain(|(invalid, _)| invalid != id);
        state.merges.offered.insert(id.clone(), sower_core::merges::of_offer(wanted, &bytes));
        let from = selection.wanted.partition_point(|one| one.summary.id.as_str() < id.as_str());
        let to = selection.wanted.partition_point(|one| one.summary.id.as_str() <= id.as_str());
        selection.wanted.splice(from..to, [wanted.clone()]);
    }
    Ok(())
}

/// What waits, of a plan.
#[must_use]
pub(super) fn waiting(planned: &Planned) -> Vec<Waiting> {
    let admission = planned.state.admission.iter();
    admission.flat_map(|admission| admission.waits.values().cloned()).collect()
}

/// What waits of a plan that is not applied: what somebody let in first, then the rest.
#[must_use]
pub(super) fn waiting_held(planned: &Planned) -> Vec<Waiting> {
    let let_in = planned.state.admission.iter().flat_map(|admission| {
        let from = admission.from.clone().unwrap_or_default();
        admission.by_hand.iter().map(move |(id, by)| (id, by, from.clone()))
    });
    let held = let_in.filter_map(|(id, by, from)| {
        let operation = planned.plan.operations.iter().find(|operation| operation.id == *id)?;
        let version = operation.to.as_ref().map(|to| to.version.clone());
        Some(Waiting { integration: id.clone(), version, from, why: Why::LetIn { by: by.clone() } })
    });
    held.chain(waiting(planned)).collect()
}

/// What waited when the row was written last.
#[must_use]
pub fn noted_waiting(row: &EnvironmentRow) -> Vec<Waiting> {
    serde_json::from_value(row.summary["waiting"].clone()).unwrap_or_default()
}

/// When the first of what waits has soaked.
#[must_use]
pub fn soaked_at(waiting: &[Waiting]) -> Option<Timestamp> {
    let until = |waiting: &Waiting| match waiting.why {
        Why::Soaking { until, .. } => Some(until),
        _ => None,
    };
    waiting.iter().filter_map(until).min()
}

/// `promotion of stripe 1.2.0 from staging by AUTHOR`: what of a plan somebody let in; none where nobody did.
pub(super) fn reason(planned: &Planned) -> Option<String> {
    let admission = planned.state.admission.as_ref()?;
    let from = &planned_from(planned)?;
    let mut all = planned.plan.operations.iter().filter_map(|operation| {
        let by = admission.by_hand.get(&operation.id)?;
        Some((format!("{} {}", operation.id, operation.to.as_ref()?.version), by))
    });
    let (first, by) = all.next()?;
    let names: Vec<String> = std::iter::once(first).chain(all.map(|(name, _)| name)).collect();
    let told = sower_core::conflict::listed(names.iter().map(String::as_str), names.len());
    Some(format!("promotion of {told} from {from} by {by}"))
}

/// `promoted from staging`: something that had to soak is let in.
pub(super) fn came(planned: &Planned) -> Option<String> {
    let admission = planned.state.admission.as_ref()?;
    let comes = planned.plan.operations.iter().any(|one| admission.let_in.contains_key(&one.id));
    planned_from(planned).filter(|_| comes).map(|from| format!("promoted from {from}"))
}

fn planned_from(planned: &Planned) -> Option<String> {
    planned.state.admission.as_ref()?.from.clone()
}
