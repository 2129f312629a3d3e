//! Which environments a command is about. Asking covers all of them; changing wants to be told.

use crate::failure::Failure;

/// What a command says that needs environments, where there is none at all: `place` was looked at.
#[must_use]
pub fn none(place: &str) -> Failure {
    Failure::usage(format!("no Environment in {place}"))
}

/// What was typed about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// `-e`.
    pub environment: Option<&'a str>,
    /// `--all`.
    pub all: bool,
}

/// The environments to change, by index; `command` is what was typed, with its words.
///
/// # Errors
/// Usage, where it is not plain which.
pub fn to_change(command: &str, names: &[&str], asked: Asked<'_>) -> Result<Vec<usize>, Failure> {
    match (asked, names) {
        (Asked { environment: None, all: false }, [first, _, ..]) => {
            let failure = Failure::usage(format!("which environment? There are {}", names.join(", ")))
                .next("one", format!("sower {command} -e {first}"));
            Err(if ["seed", "suspend", "resume"].contains(&command) {
                failure.next("all", format!("sower {command} --all"))
            } else {
                failure
            })
        }
        _ => to_ask(names, asked.environment),
    }
}

/// The environments to ask, by index.
///
/// # Errors
/// Usage, where none has that name.
pub fn to_ask(names: &[&str], environment: Option<&str>) -> Result<Vec<usize>, Failure> {
    let Some(wanted) = environment else { return Ok((0..names.len()).collect()) };
    if let Some(index) = names.iter().position(|name| *name == wanted) {
        return Ok(vec![index]);
    }
    let known = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
    let meant = nearest(names, wanted).map(|name| format!(": did you mean `{name}`?")).unwrap_or_default();
    let failure = Failure::usage(format!("no environment is called `{wanted}` ({known}){meant}"));
    Err(if std::path::Path::new(wanted).exists() {
        failure.next("", format!("the folder of environments is --environments {wanted}"))
    } else {
        failure
    })
}

/// The name that a mistyped one is closest to.
#[must_use]
pub fn nearest<'a>(names: &[&'a str], typed: &str) -> Option<&'a str> {
    let measured = names.iter().map(|name| (strsim::damerau_levenshtein(name, typed), *name)).min();
    let near = |distance: usize| distance <= 2 && 2 * distance < typed.chars().count();
    measured.filter(|(distance, _)| near(*distance)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_wants_to_be_told() {
        let names = ["development", "production", "staging"];
        let failure = to_change("seed", &names, Asked::default()).expect_err("which?");
        assert_eq!(
            failure.text(),
            "error: which environment? There are development, production, staging\n  \
             one:  sower seed -e development\n  all:  sower seed --all\n"
        );
        assert_eq!(
            to_change("seed", &names, Asked { all: true, environment: None }).expect("all"),
            [0, 1, 2]
        );
        assert_eq!(to_change("seed", &names[..1], Asked::default()).expect("the only one"), [0]);
        let failure = to_ask(&names, Some("nowhere")).expect_err("none");
        assert_eq!(
            failure.text(),
            "error: no environment is called `nowhere` (development, production, staging)\n"
        );
        let failure = to_ask(&names, Some("productoin")).expect_err("none");
        assert_eq!(
            failure.text(),
            "error: no environment is called `productoin` (development, production, staging): did you mean `production`?\n"
        );
        assert_eq!(nearest(&["qa", "eu"], "us"), None);
    }
}
