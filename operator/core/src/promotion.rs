//! Promotion: a content enters an environment only after it has been healthy in another.
//!
//! What the other environment carries is compared, never taken: contents are those that the environment's own sources
//! offer, or offered earlier. Who is let in is a function of values, of which the time is one.

mod absent;
mod admission;
mod closed;
pub mod depends;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod remembered;
#[cfg(test)]
mod tests;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sower_crds::environment::EnvironmentSpec;
use sower_crds::promotion::{Promotion, PromotionMinimum};

use crate::agree::satisfies;
use crate::catalog::Dependency;
use crate::plan::{Content, Wanted};
use crate::problem::Code;
use crate::quarantine::Quarantine;
use crate::rollout::spec::{Fault, bad_range};
use crate::usage::Observed;

pub use absent::{Absent, absent};
pub use admission::{Admission, Changes, Waiting};
pub use why::{Gap, LET_IN, Why};

/// Most contents of one integration that are kept while they wait; of more, the oldest go.
pub const MOST_OFFERS: usize = 50;

/// What has to be shown elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Name of the environment that shows it.
    pub from: String,
    /// How long it has to have been there.
    pub soak: Duration,
    /// How many executions there have to have been.
    pub executions: u64,
    /// The share of them that has to have succeeded, from 0 to 1.
    pub success_rate: Option<f64>,
    /// A range as npm has them: versions outside of it stay out.
    pub versions: Option<String>,
}

impl Rules {
    /// What a spec asks for; what cannot be read counts as not said: see [`bad_promotion`].
    #[must_use]
    pub fn of(promotion: &Promotion) -> Self {
        let Promotion { from, soak, minimum, versions } = promotion;
        let PromotionMinimum { executions, success_rate } = minimum;
        Self {
            from: from.clone(),
            soak: soak.as_ref().and_then(|soak| soak.duration().ok()).unwrap_or_default(),
            executions: u64::from(executions.unwrap_or(0)),
            success_rate: *success_rate,
            versions: versions.clone(),
        }
    }

    /// Whether executions have to be known.
    #[must_use]
    pub fn asks_for_usage(&self) -> bool {
        self.executions > 0 || self.success_rate.is_some()
    }
}

/// What of a spec's promotion and dependencies cannot be carried out.
#[must_use]
pub fn bad_promotion(environment: &str, spec: &EnvironmentSpec) -> Vec<Fault> {
    let mut bad = Vec::new();
    let mut say = |pointer: String, code: Code, why: String, expected: &str| {
        bad.push(Fault { pointer, code, why, expected: expected.to_owned() });
    };
    for (index, on) in spec.depends_on.iter().enumerate() {
        if on.name == environment {
            let why = "an environment cannot wait for itself".to_owned();
            say(format!("/spec/dependsOn/{index}/name"), Code::SelfDependency, why, "another environment");
        }
        if let Some(Err(why)) = on.expression.as_ref().map(|text| depends::check(text)) {
            let pointer = format!("/spec/dependsOn/{index}/expression");
            say(pointer, Code::BadExpression, why, "a condition in CEL over status");
        }
    }
    let Some(promotion) = &spec.promotion else { return bad };
    if promotion.from == environment {
        let why = "an environment cannot be promoted from itself".to_owned();
        say("/spec/promotion/from".to_owned(), Code::SelfDependency, why, "another environment");
    }
    if let Some(Err(why)) = promotion.soak.as_ref().map(sower_crds::Period::duration) {
        say("/spec/promotion/soak".to_owned(), Code::BadDuration, why.to_string(), "");
    }
    let range = promotion.versions.as_deref();
    bad.extend(range.and_then(|range| bad_range("/spec/promotion/versions", range)));
    bad
}

/// What the other environment carries of an integration: its stable content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What everybody has there.
    pub content: Content,
    /// Since when, without interruption.
    pub since: Timestamp,
    /// Its executions since then.
    pub observed: Observed,
}

/// What the other environment shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum There {
    /// What it carries, by integration.
    Carries(BTreeMap<String, Shown>),
    /// It cannot be read, and why.
    Away(String),
}

/// What is carried here of an integration, and what that needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Version and checksum.
    pub content: Content,
    /// What it needs; empty where it is not known.
    pub needs: Vec<Dependency>,
}

/// All that decides who is let in.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What has to be shown.
    pub rules: &'a Rules,
    /// What is shown.
    pub there: &'a There,
    /// What the sources offer now, by integration.
    pub heads: &'a BTreeMap<&'a str, &'a Wanted>,
    /// What they offered earlier, by integration, the oldest first.
    pub offers: &'a BTreeMap<String, Vec<Wanted>>,
    /// What is carried here, by integration.
    pub here: &'a BTreeMap<String, Carried>,
    /// Ids that rows of somebody else's hold.
    pub foreign: &'a BTreeSet<String>,
    /// Integrations that are carried here and gone from the sources.
    pub gone: &'a BTreeSet<String>,
    /// Integrations that no source has any more, or that filters leave out: nothing comes of what was offered of them. Of
    /// others without a head it is not known what the sources say.
    pub withdrawn: &'a BTreeSet<String>,
    /// What is kept out.
    pub quarantine: &'a Quarantine,
    /// Contents (integration and checksum) that somebody let in earlier: what was shown then was compared then.
    pub admitted: &'a BTreeSet<(String, String)>,
    /// Contents that somebody lets in now whatever was shown, but that they are there.
    pub by_hand: &'a BTreeSet<(String, String)>,
    /// Contents that were let in and did not reach everybody yet.
    pub under_way: &'a BTreeSet<(String, String)>,
    /// Now.
    pub now: Timestamp,
}

/// A candidate that has shown what it has to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Eligible<'a> {
    wanted: &'a Wanted,
    /// Since when.
    at: Timestamp,
    /// It was let in already.
    under_way: bool,
}

/// Decides who is let in: of each integration the newest content that is eligible, and none without what it needs.
#[must_use]
pub fn admit(asked: Asked<'_>) -> Admission {
    let mut admission = Admission { from: Some(asked.rules.from.clone()), ..Admission::default() };
    let mut eligible: BTreeMap<&str, Eligible<'_>> = BTreeMap::new();
    let mut newest: BTreeMap<&str, (&Wanted, Why)> = BTreeMap::new();
    let mut spent = asked.admitted.clone();
    let ids: BTreeSet<&str> =
        asked.heads.keys().copied().chain(asked.offers.keys().map(String::as_str)).collect();
    for id in ids {
        let candidates = asked.candidates(id, &mut admission.stale);
        if !spent.is_empty() {
            for candidate in &candidates {
                spent.remove(&pair(candidate));
            }
        }
        for (index, candidate) in candidates.iter().enumerate() {
            match asked.judge(candidate) {
                Ok(one) => {
                    eligible.insert(id, one);
                    break;
                }
                Err(why) => {
                    admission.heed(&why);
                    if index == 0 {
                        newest.insert(id, (*candidate, why));
                    }
                }
            }
        }
    }
    let (let_in, held) = closed::close(&asked, &eligible);
    for (id, gap) in held {
        if let Some(one) = eligible.get(id) {
            newest.entry(id).or_insert((one.wanted, Why::Needs(gap)));
        }
    }
    for (id, (candidate, why)) in newest {
        let version = Some(candidate.summary.version.clone());
        admission.waits.insert(id.to_owned(), asked.waiting(id, version, why));
    }
    for id in asked.gone {
        if let Some(why) = asked.keeps_gone(id) {
            admission.heed(&why);
            admission.waits.insert(id.clone(), asked.waiting(id, None, why));
        }
    }
    for id in let_in {
        let Some(one) = eligible.get(id) else { continue };
        admission.let_in.insert(id.to_owned(), one.wanted.clone());
        admission.passed.extend(asked.older(id, one.wanted));
    }
    admission.spent.extend(spent);
    admission.fresh = asked.fresh().map(|head| (head.clone(), None)).collect();
    admission
}

fn pair(wanted: &Wanted) -> (String, String) {
    (wanted.summary.id.clone(), wanted.summary.checksum.clone())
}

impl<'a> Asked<'a> {
    /// Whether something of an integration may come, now or later.
    fn is_offered(&self, id: &str) -> bool {
        self.heads.contains_key(id) || (self.offers.contains_key(id) && !self.withdrawn.contains(id))
    }

    /// What the sources offer that is not remembered as what they offered last.
    fn fresh(&self) -> impl Iterator<Item = &'a Wanted> {
        let new = move |head: &&Wanted| {
            let (id, checksum) = (&head.summary.id, &head.summary.checksum);
            let same = |other: &Wanted| other.summary.checksum == *checksum;
            let here = self.here.get(id).is_some_and(|carried| carried.content.checksum == *checksum);
            let last = self.offers.get(id).and_then(|offers| offers.last()).is_some_and(same);
            !here && !last && !self.quarantine.holds(id, checksum)
        };
        self.heads.values().copied().filter(new)
    }

    fn waiting(&self, id: &str, version: Option<String>, why: Why) -> Waiting {
        Waiting { integration: id.to_owned(), version, from: self.rules.from.clone(), why }
    }

    /// What may come next of an integration, the newest first; what may not any more is noted.
    fn candidates(&self, id: &'a str, stale: &mut Vec<(String, String)>) -> Vec<&'a Wanted> {
        let offers = self.offers.get(id).map_or(&[][..], Vec::as_slice);
        let mut drop_them = |offers: &[Wanted]| stale.extend(offers.iter().map(pair));
        let here = self.here.get(id).map(|carried| carried.content.checksum.as_str());
        let head = self.heads.get(id).copied();
        let over = match head {
            // Git is back at what is carried: nothing else is offered any more.
            Some(head) => here == Some(&head.summary.checksum),
            None => self.withdrawn.contains(id),
        };
        if over {
            drop_them(offers);
            return Vec::new();
        }
        // What came before what is carried was passed over.
        let carried = offers.iter().rposition(|offer| Some(offer.summary.checksum.as_str()) == here);
        let (passed, offers) = offers.split_at(carried.map_or(0, |at| at + 1));
        drop_them(passed);
        let is_head =
            |offer: &&Wanted| head.is_some_and(|head| offer.summary.checksum == head.summary.checksum);
        let earlier = offers.iter().rev().filter(|offer| !is_head(offer));
        let most = MOST_OFFERS - usize::from(head.is_some());
        let too_old = earlier.clone().skip(most).filter(|wanted| !self.is_under_way(wanted));
        stale.extend(too_old.map(pair));
        let all = head.into_iter().chain(earlier.take(most));
        all.filter(|wanted| !self.quarantine.holds(id, &wanted.summary.checksum)).collect()
    }

    fn is_under_way(&self, wanted: &Wanted) -> bool {
        self.under_way.contains(&pair(wanted))
    }

    /// The offers that are older than what is let in.
    fn older(&self, id: &str, let_in: &Wanted) -> Vec<(String, String)> {
        let offers = self.offers.get(id).map_or(&[][..], Vec::as_slice);
        let same = |offer: &Wanted, as_this: &Wanted| offer.summary.checksum == as_this.summary.checksum;
        let is_head = |offer: &Wanted| self.heads.get(id).is_some_and(|head| same(offer, head));
        let before = match offers.iter().position(|offer| same(offer, let_in)) {
            Some(at) if !is_head(let_in) => &offers[..at],
            Some(_) | None => offers,
        };
        let older = |offer: &&Wanted| !same(offer, let_in) && !is_head(offer) && !self.is_under_way(offer);
        before.iter().filter(older).map(pair).collect()
    }

    /// Whether a content may come in, and since when; else why not.
    fn judge(&self, wanted: &'a Wanted) -> Result<Eligible<'a>, Why> {
        let (id, version, checksum) = (&wanted.summary.id, &wanted.summary.version, &wanted.summary.checksum);
        if self.is_under_way(wanted) {
            return Ok(Eligible { wanted, at: Timestamp::MIN, under_way: true });
        }
        if self.admitted.contains(&pair(wanted)) {
            return Ok(Eligible { wanted, at: Timestamp::MIN, under_way: false });
        }
        if let Some(range) = self.rules.versions.as_ref().filter(|range| !satisfies(version, range)) {
            return Err(Why::OutOfRange { versions: range.clone() });
        }
        let shown = match self.there {
            There::Away(why) => return Err(Why::Away { cause: why.clone() }),
            There::Carries(all) => all.get(id),
        };
        let Some(shown) = shown else { return Err(Why::NotThere { has: None }) };
        if shown.content.checksum != *checksum {
            let has = Some(shown.content.version.clone());
            let other = shown.content.version == *version;
            return Err(if other { Why::OtherContent } else { Why::NotThere { has } });
        }
        if self.by_hand.contains(&pair(wanted)) {
            return Ok(Eligible { wanted, at: Timestamp::MIN, under_way: false });
        }
        let soak = SignedDuration::try_from(self.rules.soak).unwrap_or(SignedDuration::MAX);
        let until = shown.since.checked_add(soak).unwrap_or(Timestamp::MAX);
        if self.now < until {
            return Err(Why::Soaking { since: shown.since, until });
        }
        let Observed { executions, errors, .. } = shown.observed;
        if executions < self.rules.executions {
            return Err(Why::Executions { seen: executions, asked: self.rules.executions });
        }
        let succeeded = executions.saturating_sub(errors);
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
        let rate = if executions == 0 { 0.0 } else { succeeded as f64 / executions as f64 };
        match self.rules.success_rate {
            Some(least) if executions == 0 || rate < least => {
                Err(Why::SuccessRate { succeeded, executions, least: why::percent(least) })
            }
            _ => Ok(Eligible { wanted, at: until, under_way: false }),
        }
    }

    /// Why what is gone from the sources stays.
    fn keeps_gone(&self, id: &str) -> Option<Why> {
        match self.there {
            There::Away(why) => Some(Why::Away { cause: why.clone() }),
            There::Carries(all) => all.contains_key(id).then_some(Why::StillCarried),
        }
    }
}
