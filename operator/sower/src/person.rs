//! Who types.

use std::path::Path;

/// The name that a log row gives who did something by hand: git's `user.name` in this folder, else the user's on this
/// machine.
#[must_use]
pub fn name(dir: &Path) -> String {
    let user = || ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let name = sower_source::user_name(dir).or_else(user).unwrap_or_default();
    let plain: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    match plain.trim() {
        "" => "somebody".to_owned(),
        name => name.to_owned(),
    }
}
