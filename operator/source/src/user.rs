//! Who works at a checkout.

use std::path::Path;

use git2::{Config, Repository};

/// Characters of a name that are taken.
const LONGEST: usize = 100;

/// The name that git would write into a commit made in a folder, if it is told one.
#[must_use]
pub fn user_name(folder: &Path) -> Option<String> {
    let own = Repository::discover(folder).and_then(|repository| repository.config());
    let config = own.or_else(|_| Config::open_default()).ok()?;
    let name = config.get_string("user.name").ok()?;
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    (!name.is_empty()).then_some(name)
}
