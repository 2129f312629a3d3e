//! Which of a remote's refs a request means.

use nodejs_semver::{Range, Version};

use crate::{FetchError, Reference};

/// One ref of a remote, as it advertised it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Full name; `refs/tags/x^{}` is what an annotated tag points to.
    pub name: String,
    /// Object id, hex.
    pub oid: String,
    /// What a symbolic ref points to.
    pub target: Option<String>,
}

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Full ref name; none for a commit that no ref names.
    pub refname: Option<String>,
    /// The commit, where the advertisement tells it.
    pub commit: String,
    /// What the revision is called.
    pub label: String,
}

/// Picks the ref that `reference` means.
///
/// # Errors
/// [`FetchError::NotFound`] where no ref fits, [`FetchError::BadRequest`] for a reference that cannot be one.
pub fn choose(heads: &[Head], reference: &Reference, place: &str) -> Result<Choice, FetchError> {
    let missing = || FetchError::NotFound { what: reference.describe(), place: place.to_owned() };
    let find = |name: &str| heads.iter().find(|head| head.name == name);
    let branch = |name: &str| {
        find(&format!("refs/heads/{name}")).map(|head| Choice {
            refname: Some(head.name.clone()),
            commit: head.oid.clone(),
            label: name.to_owned(),
        })
    };
    let tag = |name: &str| {
        let refname = format!("refs/tags/{name}");
        find(&refname).map(|head| Choice {
            commit: find(&format!("{refname}^{{}}")).unwrap_or(head).oid.clone(),
            refname: Some(refname),
            label: name.to_owned(),
        })
    };
    match reference {
        Reference::Default => default_branch(heads).and_then(branch).ok_or_else(missing),
        Reference::Branch(name) => {
            let name = name.strip_prefix("refs/heads/").unwrap_or(name);
            branch(checked(name)?).ok_or_else(missing)
        }
        Reference::Tag(name) => {
            let name = name.strip_prefix("refs/tags/").unwrap_or(name);
            tag(checked(name)?).ok_or_else(missing)
        }
        Reference::Semver(range) => {
            let name = highest(heads, range)?.ok_or_else(missing)?;
            tag(&name).ok_or_else(missing)
        }
        Reference::Commit(id) => commit(heads, id)
            .ok_or_else(|| FetchError::bad(format!("`{}` is no commit: write all 40 hex digits", clip(id)))),
        Reference::Named(name) if name == "HEAD" => choose(heads, &Reference::Default, place),
        Reference::Named(name) => {
            let name = checked(name)?;
            let branch_name = name.strip_prefix("refs/heads/").unwrap_or(name);
            let tag_name = name.strip_prefix("refs/tags/").unwrap_or(name);
            branch(branch_name).or_else(|| tag(tag_name)).or_else(|| commit(heads, name)).ok_or_else(missing)
        }
    }
}

/// Refuses a reference that can be one of no remote, before anybody is asked.
///
/// # Errors
/// [`FetchError::BadRequest`].
pub(crate) fn check(reference: &Reference) -> Result<(), FetchError> {
    match choose(&[], reference, "") {
        Err(error @ FetchError::BadRequest { .. }) => Err(error),
        _ => Ok(()),
    }
}

fn commit(heads: &[Head], id: &str) -> Option<Choice> {
    if !is_oid(id) {
        return None;
    }
    let id = id.to_ascii_lowercase();
    // A ref that points there is cheaper to ask for, and every server allows it.
    let named = heads.iter().find(|h| h.oid == id && h.name.starts_with("refs/") && !h.name.ends_with("^{}"));
    Some(Choice { refname: named.map(|h| h.name.clone()), commit: id, label: "commit".into() })
}

fn default_branch(heads: &[Head]) -> Option<&str> {
    let head = heads.iter().find(|head| head.name == "HEAD")?;
    if let Some(target) = &head.target {
        return target.strip_prefix("refs/heads/");
    }
    // A server too old to say: the branch that is where HEAD is.
    let mut same: Vec<&str> = heads
        .iter()
        .filter(|other| other.oid == head.oid)
        .filter_map(|other| other.name.strip_prefix("refs/heads/"))
        .collect();
    same.sort_by_key(|name| (*name != "main", *name != "master"));
    same.first().copied()
}

fn highest(heads: &[Head], range: &str) -> Result<Option<String>, FetchError> {
    let bad = || FetchError::bad(format!("`{}` is no version range", clip(range)));
    if range.len() > 256 {
        return Err(bad());
    }
    let range = Range::parse(range).map_err(|_| bad())?;
    Ok(heads
        .iter()
        .filter_map(|head| head.name.strip_prefix("refs/tags/"))
        .filter(|name| !name.ends_with("^{}") && name.len() <= 128)
        .filter_map(|name| {
            let version = Version::parse(name.strip_prefix('v').unwrap_or(name)).ok()?;
            range.satisfies(&version).then_some((version, name))
        })
        .max_by(|a, b| a.cmp(b))
        .map(|(_, name)| name.to_owned()))
}

/// Whether `id` is all 40 hex digits of an object id.
pub(crate) fn is_oid(id: &str) -> bool {
    id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

fn checked(name: &str) -> Result<&str, FetchError> {
    if git2::Reference::is_valid_name(&format!("refs/heads/{name}")) && name.len() <= 250 {
        Ok(name)
    } else {
        Err(FetchError::bad(format!("`{}` cannot be the name of a branch or tag", clip(name))))
    }
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> Vec<Head> {
        let head = |name: &str, digit: char, target: Option<&str>| Head {
            name: name.into(),
            oid: String::from(digit).repeat(40),
            target: target.map(Into::into),
        };
        vec![
            head("HEAD", '1', Some("refs/heads/main")),
            head("refs/heads/main", '1', None),
            head("refs/heads/next", '2', None),
            head("refs/tags/v1.2.0", '3', None),
            head("refs/tags/v1.2.0^{}", '4', None),
            head("refs/tags/1.10.0", '5', None),
            head("refs/tags/v2.0.0-rc.1", '6', None),
            head("refs/tags/nightly", '7', None),
            head("refs/tags/v1", '8', None),
        ]
    }

    #[test]
    fn a_reference_means_one_ref() {
        let commit = "9".repeat(40);
        for (reference, label, digit) in [
            (Reference::Default, "main", '1'),
            (Reference::Branch("next".into()), "next", '2'),
            (Reference::Tag("v1.2.0".into()), "v1.2.0", '4'),
            (Reference::Semver("^1".into()), "1.10.0", '5'),
            (Reference::Semver("~1.2".into()), "v1.2.0", '4'),
            (Reference::Semver(">=2.0.0-rc.0".into()), "v2.0.0-rc.1", '6'),
            (Reference::Named("HEAD".into()), "main", '1'),
            (Reference::Named("nightly".into()), "nightly", '7'),
            (Reference::Commit(commit.clone()), "commit", '9'),
        ] {
            let choice = choose(&heads(), &reference, "here").unwrap();
            assert_eq!((choice.label.as_str(), choice.commit), (label, String::from(digit).repeat(40)));
        }
    }

    #[test]
    fn what_is_missing_and_what_is_wrong_differ() {
        for missing in [
            Reference::Branch("gone".into()),
            Reference::Tag("main".into()),
            Reference::Semver("^3".into()),
            Reference::Named("x".into()),
        ] {
            assert_eq!(check(&missing), Ok(()));
            let error = choose(&heads(), &missing, "here").unwrap_err();
            assert!(matches!(error, FetchError::NotFound { .. }), "{missing:?}: {error}");
        }
        for wrong in [
            Reference::Branch("a..b".into()),
            Reference::Branch("-x y".into()),
            Reference::Commit("3f2c1a9".into()),
            Reference::Semver("not a range".into()),
        ] {
            assert!(check(&wrong).is_err(), "{wrong:?}");
            let error = choose(&heads(), &wrong, "here").unwrap_err();
            assert!(matches!(error, FetchError::BadRequest { .. }), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn an_empty_repository_has_no_default_branch() {
        assert!(matches!(choose(&[], &Reference::Default, "here"), Err(FetchError::NotFound { .. })));
    }
}
