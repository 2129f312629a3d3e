//! Paths inside a repository, as specs and the command line write them.

use crate::FetchError;

/// `path` without `.`, doubled and outer slashes: empty for the root.
///
/// # Errors
/// [`FetchError::BadRequest`] for a path that is absolute, leaves the repository or is no path.
pub(crate) fn inside(path: &str) -> Result<String, FetchError> {
    let bad = |why: &str| Err(FetchError::bad(format!("the source's path {why}")));
    if path.len() > 1024 || path.chars().any(char::is_control) {
        return bad("is too long or holds control characters");
    }
    if path.starts_with('/') {
        return bad("is absolute: write it from the root of the repository");
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return bad("leaves the repository"),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// `path` below `folder`.
pub(crate) fn join(folder: &str, path: &str) -> String {
    match (folder.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside() {
        assert_eq!(inside("./a//b/").unwrap(), "a/b");
        assert_eq!(inside(".").unwrap(), "");
        for bad in ["/a", "a/../../b", "..", "a\nb"] {
            assert!(inside(bad).is_err(), "{bad}");
        }
    }
}
