//! Sentences as conditions have them: in one line, and not long.

/// The longest message of a condition, in characters.
pub const LONGEST: usize = 100;

/// Whether a sentence is short enough.
#[must_use]
pub fn fits(text: &str) -> bool {
    text.chars().count() <= LONGEST
}

/// The first that is short enough, of texts that say less and less; else the last.
#[must_use]
pub fn first_fitting<const N: usize>(texts: [String; N]) -> String {
    let mut texts = texts.into_iter().peekable();
    while let Some(text) = texts.next() {
        if fits(&text) || texts.peek().is_none() {
            return text;
        }
    }
    String::new()
}

/// `before` and `place`, a path with what follows it; where that is too long, the end of the path. None where not even
/// its last part fits.
#[must_use]
pub fn with_place(before: &str, place: &str) -> Option<String> {
    let whole = format!("{before}{place}");
    let folders = place.match_indices('/').map(|(at, _)| format!("{before}…{}", &place[at..]));
    std::iter::once(whole).chain(folders).find(|text| fits(text))
}

/// The first line of a text, cut to the length.
#[must_use]
pub fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if fits(line) {
        return line.to_owned();
    }
    let cut: String = line.chars().take(LONGEST - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_most_and_is_short_enough_is_said() {
        let (long, short) = ("x".repeat(LONGEST + 1), "short".to_owned());
        assert_eq!(first_fitting(["ä".repeat(LONGEST), short.clone()]), "ä".repeat(LONGEST));
        assert_eq!(first_fitting([long.clone(), short.clone()]), short);
        assert_eq!(first_fitting([long.clone(), long.clone()]), long);
    }

    #[test]
    fn of_a_long_path_the_end_is_said() {
        assert_eq!(with_place("bad: ", "a/b.yaml:1:2 x").as_deref(), Some("bad: a/b.yaml:1:2 x"));
        let folder = "x".repeat(90);
        let place = format!("{folder}/crm/b.yaml:1:2 x");
        assert_eq!(with_place("bad: ", &place).as_deref(), Some("bad: …/crm/b.yaml:1:2 x"));
        assert_eq!(with_place("bad: ", &"y".repeat(200)), None);
    }

    #[test]
    fn a_long_line_is_cut() {
        assert_eq!(cut("one\ntwo"), "one");
        assert_eq!(cut(&"x".repeat(300)).chars().count(), LONGEST);
    }
}
