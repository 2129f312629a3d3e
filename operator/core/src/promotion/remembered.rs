//! What is remembered while it waits, and until when.

use super::tests::{Scene, stripe, taken};
use super::*;

#[test]
fn offers_go_once_git_is_back_and_are_bounded() {
    let back = Scene::default()
        .carries("stripe", "1.0.0", "a", &[])
        .offered(stripe("1.1.0", "b"))
        .offers(stripe("1.0.0", "a"));
    assert_eq!(back.admit().stale.len(), 1);
    assert!(back.admit().waits.is_empty());
    // What is carried by now was an offer itself: so were those before it.
    let taken = Scene::default()
        .carries("stripe", "1.2.0", "c", &[])
        .offered(stripe("1.1.0", "b"))
        .offered(stripe("1.2.0", "c"))
        .offered(stripe("1.3.0", "d"))
        .offers(stripe("1.4.0", "e"));
    let stale: Vec<String> = taken.admit().stale.into_iter().map(|(_, checksum)| checksum).collect();
    assert_eq!(stale, ["v1:b", "v1:c"]);
    let mut many = Scene::default().offers(stripe("9.0.0", "head"));
    for n in 0..MOST_OFFERS + 5 {
        many = many.offered(stripe(&format!("1.{n}.0"), &format!("{n}")));
    }
    assert_eq!(many.admit().stale.len(), 6);
    assert!(many.admit().stale.contains(&("stripe".to_owned(), "v1:0".to_owned())));
}

#[test]
fn what_the_sources_offer_is_remembered_while_it_waits() {
    let fresh = |scene: &Scene, taken: &[&'static str]| {
        let admission = scene.admit();
        let changes = admission.changes(&super::tests::taken(taken));
        changes.fresh.into_iter().map(|(wanted, _)| wanted.summary.checksum.clone()).collect::<Vec<_>>()
    };
    let waits = || Scene::default().carries("stripe", "1.0.0", "a", &[]).offers(stripe("1.1.0", "b"));
    assert_eq!(fresh(&waits(), &[]), ["v1:b"]);
    assert!(fresh(&waits().offered(stripe("1.1.0", "b")), &[]).is_empty(), "it is known");
    let again = waits().offered(stripe("1.1.0", "b")).offered(stripe("1.2.0", "c"));
    assert_eq!(fresh(&again, &[]), ["v1:b"], "it was offered last again");
    let comes = waits().shows("stripe", "1.1.0", "b", -90);
    assert_eq!(fresh(&comes, &[]), ["v1:b"], "a guard holds it");
    assert!(fresh(&comes, &["stripe"]).is_empty(), "everybody has it");
    let admission = comes.admit();
    assert_eq!(admission.changes(&BTreeMap::from([("stripe", false)])).fresh.len(), 1, "few have it");
    let mut out = waits();
    out.quarantine.keep_out("stripe", "v1:b");
    assert!(fresh(&out, &[]).is_empty() && out.admit().waits.is_empty());
}

#[test]
fn a_document_that_cannot_be_read_loses_no_offer() {
    let offered = || {
        Scene::default()
            .carries("stripe", "1.0.0", "a", &[])
            .offered(stripe("1.1.0", "b"))
            .offered(stripe("1.2.0", "c"))
            .shows("stripe", "1.1.0", "b", -90)
    };
    let admission = offered().admit();
    assert_eq!(admission.let_in["stripe"].summary.version, "1.1.0");
    assert_eq!(admission.waits["stripe"].version.as_deref(), Some("1.2.0"));
    assert!(admission.changes(&taken(&[])).stale.is_empty());
    let withdrawn = Scene { withdrawn: BTreeSet::from(["stripe".to_owned()]), ..offered() }.admit();
    assert!(withdrawn.let_in.is_empty() && withdrawn.waits.is_empty());
    assert_eq!(withdrawn.changes(&taken(&[])).stale.len(), 2);
}

#[test]
fn what_a_hand_lets_in_is_settled_once_it_cannot_come() {
    let by_hand = BTreeSet::from([("stripe".to_owned(), "v1:b".to_owned())]);
    let base = |here: &str| {
        let scene = Scene::default().carries("stripe", "1.0.0", here, &[]);
        Scene { admitted: by_hand.clone(), ..scene }
    };
    let settled = |scene: Scene| scene.admit().changes(&taken(&[])).settled;
    assert_eq!(settled(base("a").offers(stripe("1.2.0", "c"))), by_hand, "nobody offers it");
    assert_eq!(settled(base("a").offers(stripe("1.0.0", "a"))), by_hand, "git is back");
    assert_eq!(settled(base("b").offers(stripe("1.2.0", "c"))), by_hand, "it is there");
    assert!(settled(base("a").offers(stripe("1.1.0", "b"))).is_empty());
    let earlier = || base("a").offered(stripe("1.1.0", "b")).offers(stripe("1.2.0", "c"));
    assert!(settled(earlier()).is_empty());
    // Something newer is taken.
    let newer = earlier().shows("stripe", "1.2.0", "c", -90).admit();
    assert!(newer.changes(&taken(&[])).settled.is_empty());
    assert_eq!(newer.changes(&taken(&["stripe"])).settled, by_hand);
}
