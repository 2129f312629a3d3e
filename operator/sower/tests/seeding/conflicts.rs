//! Conflicts of every type, each skipped, overridden and merged, and what could not be merged.

use serde_json::{Value, json};

use crate::checkout::{Checkout, environment, manifest};

/// A checkout whose environment `production` carries what is named and settles conflicts so.
fn settled_by(allowed: &str, conflicts: &str, more: &str) -> Checkout {
    let checkout = Checkout::uncommitted();
    let text = format!("{more}  conflicts: {{ {conflicts} }}\n");
    checkout.write("environments/production.yaml", &environment("production", allowed, &text));
    for other in ["development", "staging"] {
        checkout.remove(&format!("environments/{other}.yaml"));
    }
    checkout
}

/// The same manifest with something more said in it.
fn saying(id: &str, version: &str, description: &str, more: &str) -> String {
    manifest(id, version, description).replace("  actions:\n", &format!("  {more}\n  actions:\n"))
}

fn write(checkout: &Checkout, folder: &str, id: &str, text: &str) {
    checkout.write(&format!("{folder}/{id}/integration.yaml"), text);
}

/// What a seeding from the files on disk would do.
fn plan(checkout: &Checkout) -> String {
    checkout.run("plan -e production --source . -q").out
}

/// Plans and seeds from the files on disk; what was printed to standard output.
fn seed(checkout: &Checkout, more: &str) -> String {
    let planned = if more.is_empty() { plan(checkout) } else { String::new() };
    let ran = checkout.run(&format!("seed -e production --source .{more}"));
    assert_eq!(ran.exit, 0, "{}{}", ran.out, ran.err);
    planned + &ran.out
}

/// What the environment holds of an integration.
fn held(checkout: &Checkout, id: &str) -> Value {
    let held = checkout.json(&format!("get integration {id} -e production -q -o json"));
    held.as_array().and_then(|all| all.first()).cloned().unwrap_or(held)
}

fn open(checkout: &Checkout) -> Vec<Value> {
    checkout.json("get conflicts -e production -q -o json").as_array().cloned().unwrap_or_default()
}

/// Whatever was done, a seeding after it does nothing, and tells no more of it.
fn settles(checkout: &Checkout) {
    let again = checkout.run("seed -e production --source . -q").out;
    assert!(again.starts_with("Nothing to do"), "{again}");
    // Nor does one that looks at everything.
    let plan = checkout.json("plan -e production --source . -q -o json");
    assert_eq!(
        (&plan["create"], &plan["update"], &plan["delete"]),
        (&json!(0), &json!(0), &json!(0)),
        "{plan}"
    );
}

const BY_HAND: [&str; 2] = [
    "UPDATE action_registry SET definition = json_set(definition, '$.description', 'By hand') WHERE id = 'stripe/list'",
    "UPDATE integration_definitions SET author = 'By hand' WHERE id = 'stripe'",
];

#[test]
fn a_version_is_skipped_overridden_or_merged_with_what_hands_changed() {
    for (resolution, description, author, action, word) in [
        ("skip", "As it was", "By hand", "By hand", "skipped"),
        ("override", "New words", "Sower", "Lists.", "overridden"),
        ("merge", "New words", "By hand", "By hand", "merged"),
    ] {
        let checkout = settled_by("stripe", &format!("version: {resolution}"), "");
        seed(&checkout, "");
        BY_HAND.iter().for_each(|statement| checkout.sql(statement));
        checkout.integration("stripe", "1.0.0", "New words");
        let told = seed(&checkout, "");
        let line = format!("version conflict: git has 1.0.0 too, with other content; {word}\n");
        assert!(told.contains(&line), "{told}");
        settles(&checkout);
        let now = held(&checkout, "stripe");
        if resolution != "skip" {
            assert_eq!(now["manifest"]["description"], description, "{now}");
            assert_eq!(now["manifest"]["author"], author);
            assert_eq!(now["manifest"]["actions"][0]["description"], action);
            let drift = checkout.json("drift -e production -q -o json");
            // What is overridden leaves alone what it does not change.
            assert_eq!(drift["changed"], if resolution == "merge" { json!(0) } else { json!(1) }, "{drift}");
        }
        assert_eq!(open(&checkout).len(), usize::from(resolution == "skip"), "{resolution}");
        let revision = now["revision"].as_str().unwrap_or_default();
        assert!(revision.starts_with("folder") || revision.starts_with("main"), "{now}");
    }
}

#[test]
fn what_was_merged_is_the_base_of_the_next_merge() {
    let checkout = settled_by("stripe", "version: merge", "  seedingStrategy: incremental\n");
    seed(&checkout, "");
    BY_HAND.iter().for_each(|statement| checkout.sql(statement));
    checkout.integration("stripe", "1.0.0", "New words");
    seed(&checkout, "");
    // Git takes its words back, and a hand has been there again.
    checkout.sql(
        "UPDATE integration_definitions SET manifest = json_set(manifest, '$.license', 'MIT') WHERE id = 'stripe'",
    );
    checkout.integration("stripe", "1.0.0", "As it was");
    let told = seed(&checkout, "");
    assert!(told.contains("; merged\n"), "{told}");
    settles(&checkout);
    let now = held(&checkout, "stripe")["manifest"].clone();
    assert_eq!((&now["description"], &now["license"]), (&json!("As it was"), &json!("MIT")), "{now}");
    assert_eq!((&now["author"], &now["actions"][0]["description"]), (&json!("By hand"), &json!("By hand")));
    // It may be had as git has it, this once; and reseeding writes what is there.
    let told = seed(&checkout, " --reseed");
    assert!(told.contains("1 updated"), "{told}");
    assert_eq!(held(&checkout, "stripe")["manifest"]["author"], "By hand");
    seed(&checkout, " --only stripe --resolve version=override");
    assert_eq!(held(&checkout, "stripe")["manifest"]["author"], "Sower");
    settles(&checkout);
    // A newer version is no conflict.
    checkout.integration("stripe", "1.1.0", "Newer");
    assert!(seed(&checkout, "").contains("~ stripe 1.0.0 -> 1.1.0"));
    assert!(open(&checkout).is_empty());
}

#[test]
fn what_both_changed_stays_a_conflict_and_is_named() {
    let checkout = settled_by("stripe", "version: merge", "");
    seed(&checkout, "");
    checkout.sql(
        "UPDATE integration_definitions SET manifest = json_set(manifest, '$.description', 'By hand', '$.license', 'MIT') \
         WHERE id = 'stripe'",
    );
    checkout.integration("stripe", "1.0.0", "New words");
    let told = seed(&checkout, "");
    let why = "git has 1.0.0 too, with other content; not merged: both sides changed /description";
    assert!(told.contains(why), "{told}");
    settles(&checkout);
    let now = held(&checkout, "stripe")["manifest"].clone();
    assert_eq!(
        (&now["description"], &now["license"]),
        (&json!("By hand"), &json!("MIT")),
        "nothing is half merged"
    );
    let conflicts = open(&checkout);
    let [conflict] = conflicts.as_slice() else { panic!("{conflicts:?}") };
    assert_eq!((&conflict["resolution"], &conflict["clashes"]), (&json!("merge"), &json!(["/description"])));
    assert_eq!(conflict["unmerged"], "both sides changed /description");
    let status = checkout.run("status -e production -q").out;
    assert!(status.contains("ConflictsNotMerged"), "{status}");
    let explained = checkout.run("explain stripe -e production --source . -q").out;
    assert!(
        explained.contains("not merged: both sides changed /description (conflicts.version: merge)"),
        "{explained}"
    );
    let once = "      or once: sower seed -e production --only stripe --resolve version=override";
    assert!(explained.contains(once), "{explained}");

    // A hand takes its change back: now it can be merged, although git is where it was.
    checkout.sql(
        "UPDATE integration_definitions SET manifest = json_set(manifest, '$.description', 'As it was') WHERE id = 'stripe'",
    );
    let told = seed(&checkout, "");
    assert!(told.contains("; merged\n"), "{told}");
    settles(&checkout);
    assert!(open(&checkout).is_empty());
    let now = held(&checkout, "stripe")["manifest"].clone();
    assert_eq!((&now["description"], &now["license"]), (&json!("New words"), &json!("MIT")));
}

#[test]
fn what_is_no_manifest_any_more_is_not_merged() {
    let checkout = settled_by("stripe", "version: merge", "");
    seed(&checkout, "");
    checkout.sql(
        "UPDATE integration_definitions SET manifest = json_set(manifest, '$.baseUrl', 'nowhere') WHERE id = 'stripe'",
    );
    checkout.integration("stripe", "1.0.0", "New words");
    let told = seed(&checkout, "");
    assert!(told.contains("not merged: merged it is no valid manifest: bad-url"), "{told}");
    settles(&checkout);
}

#[test]
fn dependencies_are_skipped_overridden_or_agreed_on() {
    for (resolution, expect, word) in [
        ("skip", [("monday", "2.0.0"), ("slack", "1.0.0")], "; skipped"),
        ("override", [("monday", "2.0.0"), ("slack", "1.1.0")], "; overridden"),
        ("merge", [("monday", "1.0.0"), ("slack", "1.1.0")], "monday 1.0.0 is for all that need it; merged"),
    ] {
        let checkout = settled_by("monday, slack", &format!("dependency: {resolution}"), "");
        seed(&checkout, "");
        checkout.integration("monday", "2.0.0", "Another");
        write(
            &checkout,
            "integrations",
            "slack",
            &saying("slack", "1.1.0", "Needs", "dependencies: [\"monday@^1\"]"),
        );
        let told = seed(&checkout, "");
        assert!(told.contains(word), "{resolution}: {told}");
        for (id, version) in expect {
            assert_eq!(held(&checkout, id)["version"], version, "{resolution}: {id}");
        }
        settles(&checkout);
        assert_eq!(open(&checkout).len(), 1, "it stands while git is so");
        // Git agrees with itself again.
        write(
            &checkout,
            "integrations",
            "slack",
            &saying("slack", "1.2.0", "Needs", "dependencies: [\"monday@2.x\"]"),
        );
        seed(&checkout, "");
        assert_eq!(held(&checkout, "monday")["version"], "2.0.0");
        assert_eq!(held(&checkout, "slack")["version"], "1.2.0");
        assert!(open(&checkout).is_empty(), "closed when it is gone");
    }
}

#[test]
fn an_earlier_version_is_taken_for_those_who_agree_on_it() {
    let checkout = settled_by("monday, slack", "dependency: merge", "");
    seed(&checkout, "");
    checkout.integration("monday", "2.0.0", "Another");
    seed(&checkout, "");
    write(
        &checkout,
        "integrations",
        "slack",
        &saying("slack", "1.1.0", "Needs", "dependencies: [\"monday@^1\"]"),
    );
    let told = seed(&checkout, "");
    assert!(told.contains("~ monday 2.0.0 -> 1.0.0"), "{told}");
    settles(&checkout);
    assert_eq!(held(&checkout, "monday")["manifest"]["description"], "As it was");
}

#[test]
fn who_cannot_agree_is_named() {
    for resolution in ["skip", "merge"] {
        let checkout =
            settled_by("monday, slack, stripe, wordpress", &format!("dependency: {resolution}"), "");
        checkout.integration("monday", "2.0.0", "Another");
        for (id, range) in [("slack", "^1"), ("stripe", ">=2"), ("wordpress", "*")] {
            let needs = format!("dependencies: [\"monday@{range}\"]");
            write(&checkout, "integrations", id, &saying(id, "1.0.0", "Needs", &needs));
        }
        let told = seed(&checkout, "");
        assert!(
            told.contains(
                "needs monday@^1, and monday is 2.0.0; needed by stripe (@>=2) and wordpress (@*) too"
            ),
            "{told}"
        );
        if resolution == "merge" {
            assert!(told.contains("not merged: no known version of monday is for monday@^1"), "{told}");
        }
        // Once 1.0.0 was carried it is each on its own that could be met.
        checkout.integration("monday", "1.0.0", "As it was");
        let told = plan(&checkout);
        assert!(told.contains("version conflict: git has the lower 1.0.0; skipped"), "{told}");
        checkout.run("seed -e production --source . -q --only monday --resolve version=override");
        let told = seed(&checkout, "");
        assert!(told.contains("slack (@^1) and stripe (@>=2) cannot agree"), "{told}");
        settles(&checkout);
    }
}

const SOURCES: &str =
    "  sources: [{ name: own, folder: ., path: own }, { name: community, folder: ., path: community }]\n";

#[test]
fn duplicates_are_skipped_overridden_or_united() {
    let more = "tags: [more]";
    for (resolution, version, description, tags) in [
        ("skip", "2.0.0", "Own", Value::Null),
        ("override", "1.1.0", "Theirs", json!(["more"])),
        ("merge", "2.0.0+with.community.1.1.0", "Own", json!(["more"])),
    ] {
        let checkout = settled_by("stripe", &format!("duplicate: {resolution}"), SOURCES);
        write(&checkout, "own", "stripe", &manifest("stripe", "2.0.0", "Own"));
        write(&checkout, "community", "stripe", &saying("stripe", "1.1.0", "Theirs", more));
        let told = seed(&checkout, "");
        assert!(told.contains("duplicate conflict: own offers 2.0.0 and community offers 1.1.0"), "{told}");
        let now = held(&checkout, "stripe");
        assert_eq!(
            (&now["version"], &now["manifest"]["description"]),
            (&json!(version), &json!(description))
        );
        assert_eq!(now["manifest"]["tags"], tags);
        settles(&checkout);
        let conflicts = open(&checkout);
        assert_eq!(conflicts.len(), 1);
        if resolution == "merge" {
            assert_eq!(conflicts[0]["clashes"], json!(["/description"]));
            // A part that moves on moves the union on.
            write(
                &checkout,
                "community",
                "stripe",
                &saying("stripe", "1.2.0", "Theirs", "tags: [more, most]"),
            );
            let told = seed(&checkout, "");
            assert!(
                told.contains("~ stripe 2.0.0+with.community.1.1.0 -> 2.0.0+with.community.1.2.0"),
                "{told}"
            );
        }
        checkout.remove("community/stripe");
        write(&checkout, "community", "slack", &manifest("slack", "1.0.0", "Another"));
        seed(&checkout, " --resolve version=override --only stripe");
        seed(&checkout, "");
        assert!(open(&checkout).is_empty(), "closed when it is gone");
    }
}

#[test]
fn a_union_that_is_no_manifest_stays_a_conflict() {
    let checkout = settled_by("stripe", "duplicate: merge", SOURCES);
    write(&checkout, "own", "stripe", &manifest("stripe", "2.0.0", "Own"));
    // What it may reach, a manifest without permissions need not say; the other one's say it for all.
    let theirs = manifest("stripe", "1.1.0", "Theirs")
        .replace("  permissions: [\"network:stripe.example\"]\n", "")
        .replace("id: list", "id: other")
        .replace("path: /things", "url: \"https://elsewhere.example/things\"");
    write(&checkout, "community", "stripe", &theirs);
    let told = seed(&checkout, "");
    assert!(told.contains("not merged: merged it is no valid manifest: permission-missing"), "{told}");
    assert_eq!(held(&checkout, "stripe")["version"], "2.0.0", "the first source wins");
    settles(&checkout);
}

#[test]
fn what_is_asked_once_has_to_last() {
    let checkout = settled_by("stripe", "version: skip", "");
    seed(&checkout, "");
    for (asked, why) in [
        ("version=override", "--only is missing"),
        ("duplicate=override --only stripe", "duplicate is settled by every seeding"),
        ("dependency=merge --only stripe", "on which versions all agree"),
        ("version=replace --only stripe", "`replace` is neither skip, override nor merge"),
    ] {
        let ran = checkout.run(&format!("seed -e production --source . --resolve {asked}"));
        assert_eq!(ran.exit, 2, "{asked}: {}", ran.err);
        assert!(ran.err.contains(why), "{asked}: {}", ran.err);
    }
}

#[test]
fn an_integration_says_itself_what_is_done() {
    let checkout = settled_by("stripe, wordpress", "version: skip", "  seedingStrategy: incremental\n");
    seed(&checkout, "");
    for id in ["stripe", "wordpress"] {
        checkout.integration(id, "1.0.0", "New words");
    }
    let told = plan(&checkout);
    assert_eq!(told.matches("; skipped").count(), 2, "{told}");
    seed(&checkout, "");
    // The annotation is no part of the content, and a change all the same.
    let said = |what: &str| {
        let annotated = format!("metadata: {{ name: stripe, annotations: {{ sower.dev/resolve: {what} }} }}");
        manifest("stripe", "1.0.0", "New words").replace("metadata: { name: stripe }", &annotated)
    };
    write(&checkout, "integrations", "stripe", &said("version=override"));
    let told = plan(&checkout);
    assert_eq!((told.matches("; skipped").count(), told.matches("; overridden").count()), (1, 1), "{told}");
    seed(&checkout, "");
    assert_eq!(held(&checkout, "stripe")["manifest"]["description"], "New words");
    settles(&checkout);
    // What asks for nothing that there is refuses the manifest.
    write(&checkout, "integrations", "stripe", &said("version=replace"));
    let ran = checkout.run("seed -e production --source . -q");
    assert_eq!(ran.exit, 1, "{}", ran.out);
    assert!(ran.err.contains("`replace` is neither skip, override nor merge"), "{}", ran.err);
}
