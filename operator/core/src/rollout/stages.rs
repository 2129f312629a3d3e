//! How an integration is rolled out: which strategy, and what its steps are.

use std::time::Duration;

use globset::Glob;
use jiff::{SignedDuration, Timestamp};
use semver::Version;
use sower_crds::environment::EnvironmentSpec;
use sower_crds::rollout::{Analysis, Live, Strategy, StrategyType, VersionChange};

use super::{Variant, WHOLE};
use crate::agree::satisfies;
use crate::conflict::precedence;
use crate::plan::Content;

/// A step of a rollout, before everybody has the new version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stage {
    /// Hundredths of a percent that have the new version.
    pub weight: u32,
    /// How long it lasts at least.
    pub hold: Option<Duration>,
    /// When its time is over, it waits for somebody.
    pub pause: bool,
    /// What decides in it.
    pub analysis: Option<Analysis>,
}

/// The steps of a strategy that began at this time.
#[must_use]
pub fn stages(strategy: &Strategy, began: Timestamp) -> Vec<Stage> {
    match strategy.kind {
        StrategyType::AllAtOnce => Vec::new(),
        StrategyType::Manual => {
            vec![Stage { weight: 0, hold: None, pause: true, analysis: strategy.analysis.clone() }]
        }
        StrategyType::Staged => {
            let stage = |step: &sower_crds::rollout::Step| Stage {
                weight: hundredths(step.weight),
                hold: step.hold.as_ref().and_then(|hold| hold.duration().ok()),
                pause: step.pause,
                analysis: step.analysis.clone().or_else(|| strategy.analysis.clone()),
            };
            strategy.steps.iter().map(stage).collect()
        }
        StrategyType::AB => {
            let weight: u32 = strategy.variants.iter().map(|variant| hundredths(variant.weight)).sum();
            let hold = strategy.until.as_deref().and_then(|until| lasts(until, began));
            vec![Stage {
                weight: weight.min(WHOLE),
                hold: Some(hold.unwrap_or_default()),
                pause: false,
                analysis: strategy.analysis.clone(),
            }]
        }
    }
}

/// Hundredths of a percent.
#[must_use]
pub fn hundredths(percent: f64) -> u32 {
    let hundredths = (percent.clamp(0.0, 100.0) * 100.0).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 10,000")]
    let whole = hundredths as u32;
    whole.min(WHOLE)
}

/// How long a comparison lasts that is to end after a duration, or at a time; none where the text is neither.
#[must_use]
pub fn lasts(until: &str, began: Timestamp) -> Option<Duration> {
    if let Ok(duration) = sower_crds::Period::new(until).duration() {
        return Some(duration);
    }
    let end: Timestamp = until.parse().ok()?;
    Duration::try_from(end.duration_since(began).max(SignedDuration::ZERO)).ok()
}

/// The strategy of an update.
#[must_use]
pub fn strategy(spec: &EnvironmentSpec, integration: &str, from: &str, to: &str) -> Strategy {
    let change = change(from, to);
    let is_about = |patterns: &[String]| {
        patterns
            .iter()
            .any(|pattern| Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(integration)))
    };
    let rule = spec.rollout.rules.iter().find(|rule| {
        rule.integrations.as_deref().is_none_or(is_about)
            && (rule.changes.is_empty() || rule.changes.contains(&change))
    });
    rule.map_or_else(|| spec.rollout.default.clone(), sower_crds::rollout::RolloutRule::strategy)
}

/// Whether some update of an environment may be staged.
#[must_use]
pub fn stages_something(spec: &EnvironmentSpec) -> bool {
    let staged = |kind: StrategyType| kind != StrategyType::AllAtOnce;
    staged(spec.rollout.default.kind) || spec.rollout.rules.iter().any(|rule| staged(rule.kind))
}

/// Which number of the version an update changes; what is no semantic version changes all.
#[must_use]
pub fn change(from: &str, to: &str) -> VersionChange {
    match (Version::parse(from), Version::parse(to)) {
        (Ok(from), Ok(to)) if from.major == to.major && from.minor == to.minor => VersionChange::Patch,
        (Ok(from), Ok(to)) if from.major == to.major => VersionChange::Minor,
        _ => VersionChange::Major,
    }
}

/// The content of a variant: that of its version, or the highest known one in its range.
#[must_use]
pub fn pick(variant: &sower_crds::rollout::Variant, known: &[Content]) -> Option<Content> {
    let fits = |content: &&Content| names(variant, &content.version);
    known.iter().filter(fits).max_by(|a, b| precedence(&a.version, &b.version)).cloned()
}

/// Whether a variant is of this version.
fn names(variant: &sower_crds::rollout::Variant, version: &str) -> bool {
    match (&variant.version, &variant.range) {
        (Some(own), _) => own == version,
        (None, Some(range)) => satisfies(version, range),
        (None, None) => false,
    }
}

/// The variants of a comparison that nobody gets, since none of these versions is meant by them: each as it is written.
#[must_use]
pub fn unknown<'a>(strategy: &Strategy, live: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    if strategy.kind != StrategyType::AB {
        return Vec::new();
    }
    let missing = strategy.variants.iter().filter(|variant| !live.clone().any(|live| names(variant, live)));
    missing.filter_map(|variant| variant.version.clone().or_else(|| variant.range.clone())).collect()
}

/// `0.9.0 is not known here`, of variants that nobody gets; none where there are none.
#[must_use]
pub fn not_known(unknown: &[String]) -> Option<String> {
    let verb = if unknown.len() == 1 { "is" } else { "are" };
    (!unknown.is_empty()).then(|| format!("{} {verb} not known here", unknown.join(", ")))
}

/// The live versions beside the stable one when a rollout begins, none of which anybody has but by an override. `of` are the
/// contents of a comparison, one for each of its variants: those of which none is known are left out with their consumers.
#[must_use]
pub fn variants(
    strategy: &Strategy,
    from: &Content,
    to: &Content,
    of: &[Option<Content>],
) -> (Vec<Variant>, Vec<u32>) {
    let named = |content: &Content| Variant {
        version: content.version.clone(),
        checksum: content.checksum.clone(),
        ..Variant::default()
    };
    let (mut variants, mut shares) = (Vec::new(), Vec::new());
    for rule in &strategy.overrides {
        let (keys, labels) = (rule.keys.clone(), rule.labels.clone());
        let content = match rule.version {
            Live::Stable => from,
            Live::Candidate => to,
        };
        if !(keys.is_empty() && labels.is_empty()) {
            variants.push(Variant { keys, labels, ..named(content) });
            shares.push(0);
        }
    }
    if strategy.kind != StrategyType::AB {
        variants.push(named(to));
        shares.push(0);
        return (variants, Vec::new());
    }
    for (variant, content) in strategy.variants.iter().zip(of) {
        let Some(content) = content else { continue };
        if let Some(matches) = variant.matches.clone() {
            variants.push(Variant { keys: matches.keys, labels: matches.labels, ..named(content) });
            shares.push(0);
        }
        variants.push(named(content));
        shares.push(hundredths(variant.weight));
    }
    (variants, shares)
}
