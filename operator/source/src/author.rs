//! Who works here, as git is told.

use std::path::Path;

use git2::{Config, Repository};

/// `user.name` of git's settings: of the repository that holds `dir`, else of this user. None where it is not set.
#[must_use]
pub fn user_name(dir: &Path) -> Option<String> {
    let of_repository = Repository::discover(dir).and_then(|repository| repository.config());
    let name = of_repository.or_else(|_| Config::open_default()).ok()?.get_string("user.name").ok()?;
    Some(name).filter(|name| !name.trim().is_empty())
}
