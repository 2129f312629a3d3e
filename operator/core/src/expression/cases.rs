//! The expressions of real services: every one of `testdata/cases` is accepted somewhere.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use granit_parser::{Event, Parser};

use super::*;

/// The text values of all cases that have an expression, with the file they stand in.
fn texts() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/cases");
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the cases lie there") {
        let path = entry.expect("a file").path();
        let yaml = std::fs::read_to_string(&path).expect("text");
        for event in Parser::new_from_str(&yaml) {
            let (event, _) = event.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            if let Event::Scalar(value, ..) = event
                && value.contains("${")
            {
                texts.push((path.display().to_string(), value.into_owned()));
            }
        }
    }
    texts
}

fn findings(text: &str, place: Place) -> Vec<Finding> {
    let empty = BTreeSet::new();
    let mut scope = Scope { place, owner: "it", inputs: None, credentials: &empty, webhooks: &empty };
    let uses = check(text, &scope).0;
    scope.credentials = &uses.credentials;
    scope.webhooks = &uses.webhooks;
    check(text, &scope).1
}

#[test]
fn every_expression_of_the_cases_is_accepted_in_some_place() {
    let texts = texts();
    assert!(texts.len() > 300, "{} texts", texts.len());
    for (file, text) in texts {
        let everywhere: Vec<_> = Place::ALL.iter().map(|place| (place, findings(&text, *place))).collect();
        assert!(everywhere.iter().any(|(_, found)| found.is_empty()), "{file}: {text}: {everywhere:#?}");
    }
}

/// A thousand manifests of thirty expressions are a small part of the second that loading them may take.
#[test]
fn thirty_thousand_texts_are_checked_quickly() {
    let texts = texts();
    let empty = BTreeSet::new();
    let scope =
        Scope { place: Place::Output, owner: "it", inputs: None, credentials: &empty, webhooks: &empty };
    let begun = Instant::now();
    for (_, text) in texts.iter().cycle().take(30_000) {
        check(text, &scope);
    }
    let took = begun.elapsed();
    println!("30,000 texts in {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}
