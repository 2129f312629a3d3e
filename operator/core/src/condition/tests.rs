//! Conditions: what they say, and what they may cost.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn ask(text: &str) -> Result<bool, String> {
    let status = json!({
        "phase": "Ready",
        "counts": { "conflicts": 0, "active": 7 },
        "conditions": [{ "type": "Ready", "status": "True" }, { "type": "Drifted", "status": "False" }],
        "sources": [{ "name": "a", "rates": [0.5, 1.5] }],
        "nothing": null,
    });
    Condition::read(text, &["status"])?.holds(&json!({ "status": status }))
}

#[test]
fn they_are_true_or_false() {
    for (text, expected) in [
        ("status.counts.conflicts == 0", true),
        ("status.counts.conflicts > 0 || status.phase != 'Ready'", false),
        ("status.counts.active + 1 == 8", true),
        ("status.counts.active >= 6.5", true),
        ("status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", true),
        ("status.conditions.all(c, c.status == 'True')", false),
        ("status.sources.exists(s, s.rates.exists_one(r, r > 1))", true),
        ("has(status.gone) ? status.gone : 'phase' in status", true),
        ("status.phase.startsWith('Rea') && size(status.sources) == 1", true),
        ("status['phase'] in ['Ready', 'Held']", true),
        ("status.nothing == null", true),
    ] {
        assert_eq!(ask(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_says_neither_is_told() {
    for (text, why) in [
        ("status.gone == 1", "gone is not there"),
        ("status.counts.conflicts", "it is neither true nor false"),
        ("statu.phase == 'Ready'", "`statu` is none of status"),
        ("status.phase.matches('R.*')", "there is no matches in conditions"),
        (
            "status.conditions.map(c, c.type) == []",
            "there is no map and no filter in conditions: ask all or exists",
        ),
        (
            "[1].all(a, [1].all(b, [1].all(c, true)))",
            "more than 2 questions to lists stand within each other",
        ),
        ("Object{a: 1} == 1", "it makes an object"),
    ] {
        assert_eq!(ask(text), Err(why.to_owned()), "{text}");
    }
    for text in ["", "status.phase ==", "status phase", "a..b", "\"", "status.?phase == 1"] {
        let why = ask(text).expect_err(text);
        assert!(why.starts_with("it is no CEL: ") && why.len() < 250, "{text}: {why}");
    }
}

#[test]
fn what_is_long_or_deep_is_refused_before_it_is_read() {
    let deep = |open: &str, end: &str| format!("{}true{}", open.repeat(60), end.repeat(60));
    for text in [
        deep("(", ")"),
        deep("[", "]"),
        deep("!", ""),
        format!("1 == {}1", "-".repeat(900)),
        format!("status{} == 1", ".a".repeat(500)),
        format!("1{} == 1", "+1".repeat(500)),
        format!("{}true", "true ? true : ".repeat(70)),
        format!("status{} == 1", "[0]".repeat(300)),
        deep("status.all(a, ", ")"),
    ] {
        assert!(text.len() <= LONGEST, "{text}");
        assert_eq!(ask(&text), Err(too_deep()), "{text}");
    }
    let long = format!("true{}", " ".repeat(LONGEST));
    assert_eq!(ask(&long), Err("it is longer than 1024 characters".to_owned()));
    let wide = vec!["true"; 100].join(" && ");
    assert_eq!(ask(&wide), Ok(true), "many side by side are not deep");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever somebody writes, it is an answer.
    #[test]
    fn no_text_breaks_it(text in "\\PC{0,80}") {
        let _ = ask(&text);
    }

    #[test]
    fn no_near_miss_breaks_it(parts in prop::collection::vec(
        prop::sample::select(vec![
            "status", ".", "a", "(", ")", "[", "]", "{", "}", ",", ":", "?", "'x'", "b'\\xff'", "1", "1u", "0.5", "-", "!",
            "+", "*", "/", "%", "==", "<", "in", "&&", "||", " ", "all", "exists", "has", "size", "int", "string", "true",
            "null", "9223372036854775807", "\"", "`", "\\", "\n", "//", "r'", "é",
        ]),
        0..24,
    )) {
        let _ = ask(&parts.concat());
    }
}
