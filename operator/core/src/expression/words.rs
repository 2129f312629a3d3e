//! How a finding lists names and guesses at the one that was meant.

/// The most names a hint lists.
const LISTED: usize = 8;

/// The most names among which one is guessed at, and the longest name that is: a hostile manifest could ask for any number.
const GUESSED: usize = 500;
const LONGEST: usize = 128;

/// The candidate nearest to `name`, if it is near enough to be a slip of the hand.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let allowed = if name.chars().count() <= 3 { 1 } else { 2 };
    let lower = name.to_lowercase();
    candidates
        .take(GUESSED)
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= 4 * allowed)
        .filter_map(|candidate| {
            let distance = strsim::osa_distance(&lower, &candidate.to_lowercase());
            (distance <= allowed && distance < candidate.chars().count()).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// "`a`", "`a` and `b`", "`a`, `b` and `c`"; of many the first eight "and 3 more".
pub(super) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let mut shown: Vec<String> = names.take(LISTED).map(|name| format!("`{name}`")).collect();
    if count > LISTED {
        return format!("{} and {} more", shown.join(", "), count - LISTED);
    }
    match shown.pop() {
        None => String::new(),
        Some(last) if shown.is_empty() => last,
        Some(last) => format!("{} and {last}", shown.join(", ")),
    }
}

/// What to try instead of `name`: all of the `names` where they are few, else the nearest, else some. `noun` is their plural:
/// "its properties".
pub(super) fn instead<'a, I>(name: &str, noun: &str, names: I) -> String
where
    I: ExactSizeIterator<Item = &'a str> + Clone,
{
    let near = nearest(name, names.clone());
    match (names.len(), near) {
        (0, _) => "there are none".to_owned(),
        (1, _) => format!("{noun} are only {}", listed(names)),
        (count, Some(near)) if count > LISTED => format!("did you mean `{near}`?"),
        _ => format!("{noun} are {}", listed(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_list_a_few_and_guess_among_many() {
        let names: Vec<String> = (0..12).map(|at| format!("name{at:02}")).collect();
        let some = |count: usize| names[..count].iter().map(String::as_str);
        assert_eq!(instead("x", "its properties", some(0)), "there are none");
        assert_eq!(instead("x", "its properties", some(1)), "its properties are only `name00`");
        assert_eq!(instead("name0", "its properties", some(2)), "its properties are `name00` and `name01`");
        assert_eq!(instead("nam01", "its properties", some(12)), "did you mean `name01`?");
        let many = instead("other", "its properties", some(12));
        assert!(many.ends_with("`name07` and 4 more"), "{many}");
    }

    #[test]
    fn only_slips_are_near() {
        let names = ["message", "channel", "id"];
        let near = |name| nearest(name, names.into_iter());
        assert_eq!(near("mesage"), Some("message"));
        assert_eq!(near("Channel"), Some("channel"));
        assert_eq!(near("di"), Some("id"));
        assert_eq!(near("xy"), None);
        assert_eq!(near("recipient"), None);
    }
}
