//! Who says what is done about a conflict: a request that holds once, before the integration's own annotation, before the
//! environment.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sower_crds::environment::Conflicts;

use crate::plan::{ConflictType, Resolution, Wanted};
use crate::select::Selection;

/// What is said of each type of conflict; absent: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolutions {
    /// Of a version that is no newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Resolution>,
    /// Of a dependency that is not met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency: Option<Resolution>,
    /// Of an id that several sources offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Resolution>,
}

impl Resolutions {
    /// They say nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is said of one type.
    #[must_use]
    pub fn of(&self, kind: ConflictType) -> Option<Resolution> {
        match kind {
            ConflictType::Version => self.version,
            ConflictType::Dependency => self.dependency,
            ConflictType::Duplicate => self.duplicate,
        }
    }

    /// These, and where they say nothing, others.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            version: self.version.or(other.version),
            dependency: self.dependency.or(other.dependency),
            duplicate: self.duplicate.or(other.duplicate),
        }
    }
}

impl Resolutions {
    /// Whether asking for it once leaves something: the next seeding settles by what the environment says.
    ///
    /// # Errors
    /// In words, where that would take it back.
    pub fn lasts(&self) -> Result<(), String> {
        let elsewhere = "the next seeding would take it back: write it into the manifest's annotation \
                         sower.dev/resolve, or into conflicts of the environment";
        match (self.duplicate, self.dependency) {
            (Some(_), _) => Err(format!("duplicate is settled by every seeding; {elsewhere}")),
            (_, Some(Resolution::Merge)) => {
                Err(format!("on which versions all agree is settled by every seeding; {elsewhere}"))
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Resolutions {
    type Err = String;

    /// `version=override` or `version=merge,duplicate=skip`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for part in text.split(',').map(str::trim) {
            let (kind, resolution) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is no TYPE=RESOLUTION such as version=override"))?;
            let resolution = match resolution.trim() {
                "skip" => Resolution::Skip,
                "override" => Resolution::Override,
                "merge" => Resolution::Merge,
                other => return Err(format!("`{other}` is neither skip, override nor merge")),
            };
            let place = match kind.trim() {
                "version" => &mut all.version,
                "dependency" => &mut all.dependency,
                "duplicate" => &mut all.duplicate,
                other => return Err(format!("`{other}` is neither version, dependency nor duplicate")),
            };
            if place.replace(resolution).is_some() {
                return Err(format!("`{}` is said twice", kind.trim()));
            }
        }
        Ok(all)
    }
}

/// What is asked for once, by integration.
pub type Once = BTreeMap<String, Resolutions>;

/// Reads what is asked for once: `slack:version=override`, of several integrations joined by `;`.
///
/// # Errors
/// In words, where it cannot be read, or would not last until the next seeding.
pub fn read_once(text: &str) -> Result<Once, String> {
    let mut all = Once::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (id, said) = part
            .split_once(':')
            .ok_or_else(|| format!("`{part}` is no ID:TYPE=RESOLUTION such as slack:version=override"))?;
        let said: Resolutions = said.parse()?;
        said.lasts()?;
        if all.insert(id.trim().to_owned(), said).is_some() {
            return Err(format!("`{}` is said twice", id.trim()));
        }
    }
    if all.is_empty() { Err("it names no integration".to_owned()) } else { Ok(all) }
}

/// As [`read_once`] reads it.
#[must_use]
pub fn write_once(asked: &Once) -> String {
    let word = |kind: &str, said: Option<Resolution>| said.map(|said| format!("{kind}={}", said.as_str()));
    let one = |(id, said): (&String, &Resolutions)| {
        let Resolutions { version, dependency, duplicate } = *said;
        let all = [word("version", version), word("dependency", dependency), word("duplicate", duplicate)];
        format!("{id}:{}", all.into_iter().flatten().collect::<Vec<_>>().join(","))
    };
    asked.iter().map(one).collect::<Vec<_>>().join(";")
}

/// Has what is asked for once go before what the manifests say.
pub fn once(selection: &mut Selection, asked: &Once) {
    for wanted in &mut selection.wanted {
        if let Some(asked) = asked.get(&wanted.summary.id) {
            wanted.resolve = asked.or(wanted.resolve);
        }
    }
}

/// What is done about a conflict of an integration that is offered so: the first offer that says something decides, else the
/// environment.
#[must_use]
pub(crate) fn resolution(environment: Conflicts, kind: ConflictType, offers: &[Wanted]) -> Resolution {
    let said = offers.iter().find_map(|wanted| wanted.resolve.of(kind));
    said.unwrap_or_else(|| {
        Resolution::from(match kind {
            ConflictType::Version => environment.version,
            ConflictType::Dependency => environment.dependency,
            ConflictType::Duplicate => environment.duplicate,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_are_read() {
        let read = |text: &str| text.parse::<Resolutions>();
        let both = Resolutions {
            version: Some(Resolution::Merge),
            duplicate: Some(Resolution::Override),
            ..Resolutions::default()
        };
        assert_eq!(read("version=merge, duplicate=override"), Ok(both));
        let once = "slack:version=override;stripe:version=merge,dependency=skip";
        assert_eq!(read_once(once).map(|once| write_once(&once)).as_deref(), Ok(once));
        for text in
            ["", "version=skip", "a:version=skip;a:version=merge", "a:duplicate=skip", "a:dependency=merge"]
        {
            assert!(read_once(text).is_err(), "{text}");
        }
        for (text, expect) in [
            ("version", "no TYPE=RESOLUTION"),
            ("", "no TYPE=RESOLUTION"),
            ("version=replace", "neither skip"),
            ("name=skip", "neither version"),
            ("version=skip,version=merge", "said twice"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expect), "{text}: {error}");
        }
    }
}
