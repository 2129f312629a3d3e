//! Which manifests an environment carries, and for each one that it does not carry the line that causes it.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};
use semver::Version;
use sower_crds::environment::{EnvironmentSpec, SeedingStrategy};

use crate::catalog::{Found, Lifecycle, Place, SourceCatalog, Stability, Summary};
use crate::plan::{Cause, Excluded, Exclusion, Wanted};

/// The feature flag that lets beta in.
pub const BETA_FEATURES: &str = "betaFeatures";
/// The feature flag that lets experimental in.
pub const EXPERIMENTAL_FEATURES: &str = "experimentalFeatures";

/// What an environment's filters let in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// The environment's name.
    pub environment: String,
    /// Every manifest that may be carried, sorted by id; several of one id in the order of the sources.
    pub wanted: Vec<Wanted>,
    /// Every manifest that may not, sorted in the same manner.
    pub excluded: Vec<Excluded>,
    /// Invalid documents whose id the environment's lists let in, sorted in the same manner.
    pub invalid: Vec<(String, Place)>,
}

/// Selects from all sources. The result does not depend on the order of the documents.
#[must_use]
pub fn select(
    environment: &str,
    spec: &EnvironmentSpec,
    platform: &Version,
    sources: &[SourceCatalog],
) -> Selection {
    let filter = Filter::new(environment, spec, platform);
    let mut selection = Selection { environment: environment.to_owned(), ..Selection::default() };
    let order = order(sources);
    for source in sources {
        let revision = source.revision.full();
        for found in &source.found {
            match found {
                Found { summary: Some(summary), place, .. } => match filter.judge(summary, place) {
                    None => selection.wanted.push(Wanted {
                        summary: summary.clone(),
                        place: place.clone(),
                        revision: revision.clone(),
                        resolve: summary.annotations.resolve,
                    }),
                    Some((why, cause)) => selection.excluded.push(Excluded {
                        id: summary.id.clone(),
                        version: summary.version.clone(),
                        place: place.clone(),
                        why,
                        cause,
                    }),
                },
                Found { id: Some(id), place, .. } if filter.lists(id).is_none() => {
                    selection.invalid.push((id.clone(), place.clone()));
                }
                Found { .. } => {}
            }
        }
    }
    let rank = |place: &Place| order.get(place.source.as_str()).copied();
    selection.wanted.sort_by(|a, b| {
        (&a.summary.id, rank(&a.place), &a.place).cmp(&(&b.summary.id, rank(&b.place), &b.place))
    });
    selection
        .excluded
        .sort_by(|a, b| (&a.id, rank(&a.place), &a.place).cmp(&(&b.id, rank(&b.place), &b.place)));
    selection.invalid.sort_by(|(a, at), (b, bt)| (a, rank(at), at).cmp(&(b, rank(bt), bt)));
    selection
}

/// The sources in the order in which they win a duplicate: the higher priority first, then the order of the spec.
pub(crate) fn order(sources: &[SourceCatalog]) -> BTreeMap<&str, usize> {
    let mut sorted: Vec<&SourceCatalog> = sources.iter().collect();
    sorted.sort_by_key(|source| std::cmp::Reverse(source.priority));
    sorted.iter().enumerate().map(|(rank, source)| (source.name.as_str(), rank)).collect()
}

/// The patterns of an environment that are no globs, each with its JSON pointer and what is wrong. Selection reads
/// such a pattern as the plain name it spells.
#[must_use]
pub fn bad_patterns(spec: &EnvironmentSpec) -> Vec<(String, String)> {
    let allowed = spec.allowed_integrations.iter().flatten().enumerate().map(|(i, p)| ("allowed", i, p));
    let blocked = spec.blocked_integrations.iter().enumerate().map(|(i, p)| ("blocked", i, p));
    allowed
        .chain(blocked)
        .filter_map(|(list, index, pattern)| {
            let error = GlobBuilder::new(pattern).build().err()?;
            Some((format!("/spec/{list}Integrations/{index}"), format!("`{pattern}`: {}", error.kind())))
        })
        .collect()
}

/// Whether a pattern is a plain name: the only kind that names an integration for a selective environment.
#[must_use]
pub fn is_name(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', ']', '{', '}', '\\', '!'])
}

/// Whether an environment touches the rows of this id at all: a selective one only those that it names.
#[must_use]
pub fn touches(spec: &EnvironmentSpec, id: &str) -> bool {
    spec.seeding_strategy != SeedingStrategy::Selective
        || spec.allowed_integrations.iter().flatten().any(|pattern| is_name(pattern) && pattern == id)
}

/// Whether the lists of an environment leave an id out, whatever its manifest says.
#[must_use]
pub fn lists_out(spec: &EnvironmentSpec, id: &str) -> bool {
    let matches = |pattern: &String| Pattern::new(pattern).matches(id);
    let blocked = spec.blocked_integrations.iter().any(matches);
    blocked || spec.allowed_integrations.as_ref().is_some_and(|allowed| !allowed.iter().any(matches))
}

/// A pattern, compiled.
enum Pattern {
    Name(String),
    Glob(Box<GlobMatcher>),
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        match GlobBuilder::new(pattern).build() {
            Ok(glob) if !is_name(pattern) => Self::Glob(Box::new(glob.compile_matcher())),
            _ => Self::Name(pattern.to_owned()),
        }
    }

    fn matches(&self, id: &str) -> bool {
        match self {
            Self::Name(name) => name == id,
            Self::Glob(glob) => glob.is_match(id),
        }
    }
}

/// An environment's filters.
struct Filter<'a> {
    environment: &'a str,
    platform: &'a Version,
    spec: &'a EnvironmentSpec,
    allowed: Option<Vec<Pattern>>,
    blocked: Vec<Pattern>,
}

impl<'a> Filter<'a> {
    fn new(environment: &'a str, spec: &'a EnvironmentSpec, platform: &'a Version) -> Self {
        let allowed = spec.allowed_integrations.as_ref();
        Self {
            environment,
            platform,
            spec,
            allowed: allowed.map(|patterns| patterns.iter().map(|p| Pattern::new(p)).collect()),
            blocked: spec.blocked_integrations.iter().map(|p| Pattern::new(p)).collect(),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.spec.feature_flags.get(name).copied().unwrap_or(false)
    }

    /// Why a manifest is left out, if so: the first reason, of which each needs another cure.
    fn judge(&self, summary: &Summary, place: &Place) -> Option<(Exclusion, Cause)> {
        let manifest = |field: &str| Cause::Manifest {
            path: place.path.clone(),
            line: summary.lines.get(field).unwrap_or(1),
        };
        let flags = || Cause::Environment { pointer: "/spec/featureFlags".into() };
        if !summary.environment.is_empty() && !summary.environment.iter().any(|e| e == self.environment) {
            return Some((Exclusion::Environment, manifest("environment")));
        }
        let (named, unnamed) = match self.lists(&summary.id) {
            Some((Exclusion::NotNamed, cause)) => (None, Some((Exclusion::NotNamed, cause))),
            other => (other, None),
        };
        if named.is_some() {
            return named;
        }
        match summary.stability {
            Stability::Beta if !self.flag(BETA_FEATURES) => return Some((Exclusion::Beta, flags())),
            Stability::Experimental if !self.flag(EXPERIMENTAL_FEATURES) => {
                return Some((Exclusion::Experimental, flags()));
            }
            _ => {}
        }
        if summary.lifecycle == Lifecycle::Draft {
            return Some((Exclusion::Draft, manifest("lifecycle")));
        }
        let needs = summary.min_platform_version.as_deref().and_then(|v| Version::parse(v).ok());
        if let Some(needs) = needs.filter(|needs| needs.cmp_precedence(self.platform).is_gt()) {
            let why = Exclusion::MinPlatformVersion {
                needs: needs.to_string(),
                running: self.platform.to_string(),
            };
            return Some((why, manifest("minPlatformVersion")));
        }
        unnamed
    }

    /// Why the environment's lists leave an id out, if so. This asks nothing of the manifest.
    fn lists(&self, id: &str) -> Option<(Exclusion, Cause)> {
        let environment = |pointer: String| Cause::Environment { pointer };
        if let Some(index) = self.blocked.iter().position(|pattern| pattern.matches(id)) {
            let pattern = self.spec.blocked_integrations[index].clone();
            let cause = environment(format!("/spec/blockedIntegrations/{index}"));
            return Some((Exclusion::Blocked { pattern, index }, cause));
        }
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.iter().any(|pattern| pattern.matches(id))) {
            return Some((Exclusion::NotAllowed, environment("/spec/allowedIntegrations".into())));
        }
        if touches(self.spec, id) {
            return None;
        }
        let list = if self.allowed.is_some() { "allowedIntegrations" } else { "seedingStrategy" };
        Some((Exclusion::NotNamed, environment(format!("/spec/{list}"))))
    }
}

impl Exclusion {
    /// The reason, as `sower explain` prints it.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Environment => "its environment list does not name this one".into(),
            Self::Blocked { pattern, .. } => format!("`{pattern}` of blockedIntegrations matches"),
            Self::NotAllowed => "no pattern of allowedIntegrations matches".into(),
            Self::Beta => format!("beta, and {BETA_FEATURES} is not set"),
            Self::Experimental => format!("experimental, and {EXPERIMENTAL_FEATURES} is not set"),
            Self::Draft => "a draft".into(),
            Self::MinPlatformVersion { needs, running } => format!("needs Sower {needs}; this is {running}"),
            Self::NotNamed => "selective, and allowedIntegrations does not name it".into(),
        }
    }

    /// What carries it there, as the half sentence after `To carry it there:`.
    #[must_use]
    pub fn remedy(&self, id: &str, environment: &str) -> String {
        match self {
            Self::Environment => format!("add `{environment}` to that list"),
            Self::Blocked { pattern, .. } if pattern == id => format!("take `{id}` off that list"),
            Self::Blocked { pattern, .. } => format!("take `{pattern}` off that list, or write it narrower"),
            Self::NotAllowed => format!("add `{id}` to that list"),
            Self::Beta => format!("set `{BETA_FEATURES}: true` in featureFlags"),
            Self::Experimental => format!("set `{EXPERIMENTAL_FEATURES}: true` in featureFlags"),
            Self::Draft => "write `lifecycle: published` there".into(),
            Self::MinPlatformVersion { needs, .. } => format!("upgrade Sower to {needs}"),
            Self::NotNamed => format!("add `{id}` to allowedIntegrations, without a wildcard"),
        }
    }
}
