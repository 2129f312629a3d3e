//! What cannot be meant in the `rollout` of an environment: the rules that a schema cannot say. Files and cluster have the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use globset::GlobBuilder;
use jiff::Timestamp;
use sower_crds::EnvironmentSpec;
use sower_crds::period::{self, Period};
use sower_crds::rollout::{Match, Rollout, Step, Strategy, StrategyType, Variant};

use super::analysis;
use crate::manifest::is_range;
use crate::problem::Code;
use crate::promotion::bad_promotion;

mod questions;

/// Something in a spec that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The pointer to it in the resource: `/spec/rollout/default/steps/1/weight`.
    pub pointer: String,
    /// What kind it is of.
    pub code: Code,
    /// What is wrong with it, in a clause.
    pub why: String,
    /// What it should be; empty where the clause says it.
    pub expected: String,
}

/// The faults of a part of a spec.
struct Faults {
    found: Vec<Fault>,
}

impl Faults {
    fn push(&mut self, pointer: String, code: Code, why: impl Into<String>, expected: impl Into<String>) {
        self.found.push(Fault { pointer, code, why: why.into(), expected: expected.into() });
    }

    fn wrong(&mut self, pointer: String, why: impl Into<String>, expected: impl Into<String>) {
        self.push(pointer, Code::WrongType, why, expected);
    }

    /// A duration that is there can be read, and is not zero.
    fn period(&mut self, pointer: String, name: &str, period: Option<&Period>) -> Option<Duration> {
        let period = period?;
        match period.duration() {
            Ok(read) if read.is_zero() => {
                self.push(pointer, Code::BadDuration, format!("{name} is zero"), "at least 1s");
                None
            }
            Ok(read) => Some(read),
            Err(error) => {
                self.push(pointer, Code::BadDuration, error.to_string(), "");
                None
            }
        }
    }
}

/// What cannot be meant in the spec of an environment: in its rollout, in its promotion, and in what it depends on.
#[must_use]
pub fn bad_spec(environment: &str, spec: &EnvironmentSpec) -> Vec<Fault> {
    let mut found = bad_rollout(&spec.rollout);
    found.extend(bad_promotion(environment, spec));
    found
}

/// What is wrong with a range of versions, if anything.
pub(crate) fn bad_range(pointer: &str, range: &str) -> Option<Fault> {
    (!is_range(range)).then(|| Fault {
        pointer: pointer.to_owned(),
        code: Code::BadRange,
        why: format!("`{range}` is not a version range"),
        expected: "an npm range such as `^1.2.0`".to_owned(),
    })
}

/// What cannot be meant in a rollout.
#[must_use]
pub fn bad_rollout(rollout: &Rollout) -> Vec<Fault> {
    let mut faults = Faults { found: Vec::new() };
    strategy(&rollout.default, "/spec/rollout/default", &mut faults);
    for (index, rule) in rollout.rules.iter().enumerate() {
        let at = format!("/spec/rollout/rules/{index}");
        if rule.integrations.as_ref().is_some_and(Vec::is_empty) {
            let pointer = format!("{at}/integrations");
            faults.wrong(pointer, "integrations is empty", "at least one pattern; leave it out for all");
        }
        for (index, pattern) in rule.integrations.iter().flatten().enumerate() {
            if let Err(error) = GlobBuilder::new(pattern).build() {
                let why = format!("`{pattern}` is no pattern: {}", error.kind());
                faults.push(format!("{at}/integrations/{index}"), Code::BadPattern, why, "");
            }
        }
        strategy(&rule.strategy(), &at, &mut faults);
    }
    faults.found
}

fn strategy(strategy: &Strategy, at: &str, faults: &mut Faults) {
    let Strategy { kind, steps, variants, until, overrides, analysis } = strategy;
    let absent = match kind {
        StrategyType::AllAtOnce => ["steps", "variants", "until", "overrides", "analysis"].as_slice(),
        StrategyType::Staged => &["variants", "until"],
        StrategyType::AB => &["steps"],
        StrategyType::Manual => &["steps", "variants", "until"],
    };
    let given = [
        ("steps", !steps.is_empty()),
        ("variants", !variants.is_empty()),
        ("until", until.is_some()),
        ("overrides", !overrides.is_empty()),
        ("analysis", analysis.is_some()),
    ];
    for (name, _) in given.into_iter().filter(|(name, given)| *given && absent.contains(name)) {
        let of = match name {
            "steps" => "type: Staged",
            "variants" | "until" => "type: AB",
            _ => "type: Staged, AB or Manual",
        };
        let why = format!("{name} says nothing with type {}", kind.as_str());
        faults.wrong(format!("{at}/{name}"), why, format!("{of}, or leave it out"));
    }
    match kind {
        StrategyType::Staged if steps.is_empty() => {
            faults.push(
                at.to_owned(),
                Code::MissingField,
                "a Staged rollout has no steps",
                "such as {weight: 10, hold: 10m}",
            );
        }
        StrategyType::Staged => staged(steps, at, faults),
        StrategyType::AB => compared(variants, until.as_deref(), at, faults),
        StrategyType::AllAtOnce | StrategyType::Manual => {}
    }
    for (index, each) in overrides.iter().enumerate() {
        if each.keys.is_empty() && each.labels.is_empty() {
            let pointer = format!("{at}/overrides/{index}");
            faults.wrong(pointer, "the override names nobody", "keys or labels");
        }
        consumers(&each.keys, &each.labels, &format!("{at}/overrides/{index}"), faults);
    }
    if let Some(analysis) = analysis {
        questions::check(analysis, &format!("{at}/analysis"), faults);
    }
}

fn staged(steps: &[Step], at: &str, faults: &mut Faults) {
    let mut before = 0.0;
    for (index, step) in steps.iter().enumerate() {
        let at = format!("{at}/steps/{index}");
        weight(step.weight, &at, faults);
        if step.weight < before {
            let why = format!("the weight falls from {before} to {}", step.weight);
            faults.wrong(format!("{at}/weight"), why, "at least that of the step before");
        }
        before = step.weight;
        faults.period(format!("{at}/hold"), "hold", step.hold.as_ref());
        if let Some(analysis) = &step.analysis {
            questions::check(analysis, &format!("{at}/analysis"), faults);
        }
    }
}

fn compared(variants: &[Variant], until: Option<&str>, at: &str, faults: &mut Faults) {
    if variants.is_empty() {
        faults.push(
            at.to_owned(),
            Code::MissingField,
            "an AB rollout has no variants",
            "versions and their weights",
        );
    }
    match until {
        None => {
            let expected = "a duration such as 72h, or a time";
            faults.push(at.to_owned(), Code::MissingField, "an AB rollout has no `until`", expected);
        }
        Some(text) if !is_until(text) => {
            let expected = "such as `72h` or `2026-11-23T06:00:00Z`";
            faults.wrong(
                format!("{at}/until"),
                format!("`{text}` is neither a duration nor a time"),
                expected,
            );
        }
        Some(_) => {}
    }
    let mut named = BTreeSet::new();
    for (index, variant) in variants.iter().enumerate() {
        let at = format!("{at}/variants/{index}");
        let Variant { version, range, weight: share, matches } = variant;
        weight(*share, &at, faults);
        if version.is_some() == range.is_some() {
            faults.wrong(
                at.clone(),
                "the variant does not name one version",
                "exactly one of `version` and `range`",
            );
        }
        if let Some(version) = version {
            if semver::Version::parse(version).is_err() {
                let why = format!("`{version}` is not a semantic version");
                faults.push(format!("{at}/version"), Code::BadVersion, why, "MAJOR.MINOR.PATCH");
            } else if !named.insert(version) {
                let why = format!("two variants are of version {version}");
                faults.push(format!("{at}/version"), Code::DuplicateId, why, "second of its version");
            }
        }
        faults.found.extend(range.as_deref().and_then(|range| bad_range(&format!("{at}/range"), range)));
        if let Some(Match { keys, labels }) = matches {
            consumers(keys, labels, &format!("{at}/match"), faults);
        }
        match matches {
            Some(Match { keys, labels }) if keys.is_empty() && labels.is_empty() => {
                faults.wrong(format!("{at}/match"), "match names nobody", "keys or labels");
            }
            None if *share == 0.0 => {
                faults.wrong(at, "nobody gets the variant", "a weight, or whom `match` names");
            }
            Some(_) | None => {}
        }
    }
    let sum: f64 = variants.iter().map(|variant| variant.weight).sum();
    if sum > 100.000_001 {
        let why = format!("the weights of the variants are {} percent", (sum * 100.0).round() / 100.0);
        faults.wrong(format!("{at}/variants"), why, "100 at most");
    }
}

/// Consumers, by key and by label: texts that every database can hold, and compare.
fn consumers(keys: &[String], labels: &BTreeMap<String, String>, at: &str, faults: &mut Faults) {
    let mut check = |pointer: String, what: &str, text: &str| {
        if text.chars().any(char::is_control) {
            faults.wrong(pointer, format!("{what} holds a control character"), "a text without any");
        }
    };
    for (index, key) in keys.iter().enumerate() {
        check(format!("{at}/keys/{index}"), "the key", key);
    }
    for (name, value) in labels {
        check(format!("{at}/labels"), "the name of a label", name);
        check(format!("{at}/labels/{}", name.replace('~', "~0").replace('/', "~1")), "the label", value);
    }
}

/// Percent, in hundredths at most: that is what a column holds.
fn weight(percent: f64, at: &str, faults: &mut Faults) {
    let hundredths = percent * 100.0;
    if !(0.0..=100.0).contains(&percent) {
        faults.wrong(format!("{at}/weight"), format!("the weight is {percent}"), "from 0 to 100");
    } else if (hundredths - hundredths.round()).abs() > 1e-6 {
        let why = format!("the weight {percent} is finer than a hundredth of a percent");
        faults.wrong(format!("{at}/weight"), why, "two digits behind the point at most");
    }
}

fn is_until(text: &str) -> bool {
    period::parse(text).is_ok_and(|read| !read.is_zero()) || text.parse::<Timestamp>().is_ok()
}

#[cfg(test)]
mod tests;
