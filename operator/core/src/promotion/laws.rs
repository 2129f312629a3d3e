//! What holds whatever is offered, shown and carried.

use proptest::prelude::*;

use super::tests::{Scene, at, taken, wanted};
use super::*;

const IDS: [&str; 4] = ["a", "b", "c", "d"];
const RANGES: [&str; 4] = ["", "^1", "^2", ">=2"];

/// What each integration is at each place: versions from 0, as marks of contents.
#[derive(Debug, Clone)]
struct Plot {
    /// None: what the sources say cannot be read, or it is gone.
    head: Option<u8>,
    gone: bool,
    earlier: Vec<u8>,
    here: Option<u8>,
    there: Option<(u8, i64, u64)>,
    needs: Vec<(usize, usize)>,
    by_hand: Option<u8>,
    out: bool,
}

fn version(number: u8) -> String {
    format!("{}.{}.0", 1 + number / 3, number % 3)
}

fn plot() -> impl Strategy<Value = Plot> {
    let head = prop::option::weighted(0.8, 0u8..8);
    let contents = (head, any::<bool>(), prop::collection::vec(0u8..8, 0..4), prop::option::of(0u8..8));
    let there = prop::option::of((0u8..8, -120i64..0, 0u64..20));
    let needs = prop::collection::vec((0..IDS.len(), 0..RANGES.len()), 0..3);
    (contents, there, needs, prop::option::weighted(0.2, 0u8..8), prop::bool::weighted(0.1)).prop_map(
        |((head, gone, earlier, here), there, needs, by_hand, out)| Plot {
            head,
            gone,
            earlier,
            here,
            there,
            needs,
            by_hand,
            out,
        },
    )
}

/// One content of an integration: what it needs goes with its version.
fn content(id: &str, number: u8, needs: &[(usize, usize)]) -> Wanted {
    let shifted =
        needs.iter().map(|(on, range)| (IDS[*on], RANGES[(range + usize::from(number) / 3) % RANGES.len()]));
    let needs: Vec<(&str, &str)> = shifted.filter(|(on, _)| *on != id).collect();
    wanted(id, &version(number), &format!("{id}{number}"), &needs)
}

fn scene(plots: &[Plot]) -> Scene {
    let mut scene = Scene::default().rules(|rules| rules.executions = 5);
    for (id, plot) in IDS.iter().zip(plots) {
        let Plot { head, gone, earlier, here, there, needs, by_hand, out } = plot;
        if let Some(head) = head {
            scene = scene.offers(content(id, *head, needs));
        } else if *gone {
            scene.withdrawn.insert((*id).to_owned());
        }
        let mut seen = BTreeSet::new();
        for number in earlier.iter().filter(|number| seen.insert(**number)) {
            scene = scene.offered(content(id, *number, needs));
        }
        if let Some(number) = here {
            let carried = content(id, *number, needs);
            let content = Content { version: version(*number), checksum: carried.summary.checksum.clone() };
            scene.here.insert((*id).to_owned(), Carried { content, needs: carried.summary.dependencies });
        }
        if let Some((number, since, used)) = there {
            scene = scene.shows(id, &version(*number), &format!("{id}{number}"), *since).used(id, *used, 0);
        }
        if let Some(number) = by_hand {
            scene.admitted.insert(((*id).to_owned(), format!("v1:{id}{number}")));
        }
        if let Some(head) = head.filter(|_| *out) {
            scene.quarantine.keep_out(*id, format!("v1:{id}{head}"));
        }
    }
    scene
}

/// What may come of an integration once it is shown, the newest first.
fn may_come<'a>(scene: &'a Scene, id: &str) -> Vec<&'a Wanted> {
    let head = scene.heads.iter().find(|head| head.summary.id == id);
    let here = scene.here.get(id).map(|carried| &carried.content.checksum);
    let back = head.is_some_and(|head| Some(&head.summary.checksum) == here);
    if back || scene.withdrawn.contains(id) {
        return Vec::new();
    }
    let offers = scene.offers.get(id).map_or(&[][..], Vec::as_slice);
    let carried = offers.iter().rposition(|offer| Some(&offer.summary.checksum) == here);
    let after = &offers[carried.map_or(0, |at| at + 1)..];
    let all = head.into_iter().chain(after.iter().rev());
    all.filter(|wanted| !scene.quarantine.holds(id, &wanted.summary.checksum)).collect()
}

/// One seeding: what the sources offer then (none: nobody can read it), what is shown, whether a hand lets that in, and whether
/// a guard holds the plan.
#[derive(Debug, Clone)]
struct Step {
    head: Option<u8>,
    shown: Option<u8>,
    soaked: bool,
    promoted: bool,
    held: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let contents = (prop::option::weighted(0.8, 0u8..5), prop::option::weighted(0.9, 0u8..5));
    let flags = (any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.4));
    (contents, flags).prop_map(|((head, shown), (soaked, promoted, held))| Step {
        head,
        shown,
        soaked,
        promoted,
        held,
    })
}

fn plots() -> impl Strategy<Value = Vec<Plot>> {
    prop::collection::vec(plot(), IDS.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn nothing_comes_in_that_is_not_carried_there_or_was_let_in(plots in plots()) {
        let scene = scene(&plots);
        let There::Carries(there) = &scene.there else { unreachable!("it answers") };
        for (id, wanted) in scene.admit().let_in {
            let shown = there.get(&id).map(|shown| shown.content.checksum.as_str());
            let same = shown == Some(wanted.summary.checksum.as_str());
            prop_assert!(same || scene.admitted.contains(&pair(&wanted)), "{:?}", wanted);
            prop_assert!(!scene.quarantine.holds(&id, &wanted.summary.checksum));
        }
    }

    #[test]
    fn what_may_come_may_come_later_too(plots in plots(), later in 0i64..120) {
        // What a hand let in is overtaken by what has soaked since and is newer.
        let plots: Vec<Plot> = plots.into_iter().map(|plot| Plot { by_hand: None, ..plot }).collect();
        let before = scene(&plots);
        let after = Scene { now: at(later), ..scene(&plots) };
        let (before, after) = (before.admit().let_in, after.admit().let_in);
        for (id, wanted) in before {
            let still = after.get(&id).map(|wanted| &wanted.summary.checksum);
            prop_assert_eq!(still, Some(&wanted.summary.checksum), "{} at {}", id, later);
        }
    }

    #[test]
    fn what_is_there_afterwards_is_no_less_whole_than_before(plots in plots()) {
        let scene = scene(&plots);
        let let_in = scene.admit().let_in;
        let before = |id: &str| scene.here.get(id).map(|carried| carried.content.version.clone());
        let after = |id: &str| let_in.get(id).map(|w| w.summary.version.clone()).or_else(|| before(id));
        let does = |version: Option<String>, need: &Dependency| {
            version.is_some_and(|version| need.range.as_ref().is_none_or(|range| satisfies(&version, range)))
        };
        for (id, wanted) in &let_in {
            for need in &wanted.summary.dependencies {
                prop_assert!(does(after(&need.id), need), "{} lacks {:?}", id, need);
            }
        }
        for (id, carried) in scene.here.iter().filter(|(id, _)| !let_in.contains_key(*id)) {
            for need in carried.needs.iter().filter(|need| does(before(&need.id), need)) {
                prop_assert!(does(after(&need.id), need), "{} lost {:?}", id, need);
            }
        }
    }

    #[test]
    fn the_newest_that_may_come_does(plots in plots()) {
        // Alone, so that nothing else decides.
        let alone: Vec<Plot> = plots.into_iter().map(|plot| Plot { needs: Vec::new(), ..plot }).collect();
        let scene = scene(&alone);
        let admission = scene.admit();
        let There::Carries(there) = &scene.there else { unreachable!("it answers") };
        for id in IDS {
            let may = |wanted: &&Wanted| {
                let checksum = &wanted.summary.checksum;
                let by_hand = scene.admitted.contains(&pair(wanted));
                let shown = there.get(id).filter(|shown| shown.content.checksum == *checksum);
                let soaked = |shown: &Shown| shown.since <= at(-60) && shown.observed.executions >= 5;
                by_hand || shown.is_some_and(soaked)
            };
            let expect = may_come(&scene, id).into_iter().find(may).map(|wanted| &wanted.summary.checksum);
            prop_assert_eq!(admission.let_in.get(id).map(|wanted| &wanted.summary.checksum), expect);
        }
    }

    #[test]
    fn what_may_still_come_is_kept_and_nothing_else(plots in plots()) {
        let scene = scene(&plots);
        let admission = scene.admit();
        let changes = admission.changes(&taken(&[]));
        let mut open: BTreeSet<(String, String)> = BTreeSet::new();
        for id in IDS {
            let may: BTreeSet<_> = may_come(&scene, id).into_iter().map(pair).collect();
            for offer in scene.offers.get(id).into_iter().flatten() {
                let kept = !changes.stale.contains(&pair(offer)) || changes.fresh.iter().any(|(fresh, _)| fresh == offer);
                let out = scene.quarantine.holds(id, &offer.summary.checksum);
                prop_assert!(kept == may.contains(&pair(offer)) || out, "{:?}", offer);
            }
            open.extend(may);
        }
        let expect: BTreeSet<_> = scene.admitted.difference(&open).cloned().collect();
        prop_assert_eq!(changes.settled, expect);
    }

    #[test]
    fn nothing_that_was_offered_is_lost(steps in prop::collection::vec(step(), 1..12)) {
        let (mut offers, mut by_hand) = (Vec::<Wanted>::new(), BTreeSet::new());
        // As it is to be: what was heard and may come still, the newest last, and what a hand lets in of it.
        let (mut here, mut heard, mut hands) = (None, Vec::<u8>::new(), BTreeSet::<u8>::new());
        let name = |number: u8| ("a".to_owned(), format!("v1:a{number}"));
        for Step { head, shown, soaked, promoted, held } in steps {
            if let Some(number) = shown.filter(|_| promoted) {
                by_hand.insert(name(number));
                hands.insert(number);
            }
            let plot = Plot {
                head, here, gone: false, earlier: Vec::new(), needs: Vec::new(), by_hand: None, out: false,
                there: shown.map(|number| (number, if soaked { -60 } else { -59 }, 5)),
            };
            let mut scene = scene(&[plot]);
            scene.offers.insert("a".to_owned(), offers.clone());
            scene.admitted.clone_from(&by_hand);
            let mut admission = scene.admit();
            let hand = admission.let_in.values().map(pair).filter(|one| by_hand.contains(one));
            admission.by_hand = hand.map(|(id, _)| (id, "jane".to_owned())).collect();

            if let Some(number) = head {
                heard.retain(|other| *other != number);
                heard.push(number);
            }
            if head.is_some() && head == here {
                heard.clear();
            }
            let may = |number: &&u8| (Some(**number) == shown && soaked) || hands.contains(number);
            let expect = heard.iter().rev().find(may).copied();
            let let_in = admission.let_in.get("a").map(pair);
            prop_assert_eq!(&let_in, &expect.map(name));

            let takes = !held && let_in.is_some();
            let changes = admission.changes(&taken(if takes { &["a"] } else { &[] }));
            offers.retain(|offer| !changes.stale.contains(&pair(offer)));
            for (fresh, _) in changes.fresh {
                offers.retain(|offer| pair(offer) != pair(fresh));
                offers.push(fresh.clone());
            }
            by_hand.retain(|one| !changes.settled.contains(one));
            if let Some(number) = expect.filter(|_| takes) {
                here = Some(number);
                let at = heard.iter().position(|other| *other == number).map_or(0, |at| at + 1);
                heard.drain(..at);
            }
            hands.retain(|number| heard.contains(number));
            prop_assert_eq!(&by_hand, &hands.iter().copied().map(name).collect());
        }
    }

    #[test]
    fn who_is_offered_and_not_let_in_waits(plots in plots()) {
        let scene = scene(&plots);
        let admission = scene.admit();
        for head in &scene.heads {
            let id = head.summary.id.as_str();
            let here = scene.here.get(id).is_some_and(|carried| carried.content.checksum == head.summary.checksum);
            let out = scene.quarantine.holds(id, &head.summary.checksum);
            let told = here || out || admission.let_in.contains_key(id) || admission.waits.contains_key(id);
            prop_assert!(told, "nothing is said of {}", id);
        }
    }
}
