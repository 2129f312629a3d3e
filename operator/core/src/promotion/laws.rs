//! What holds whatever is offered, shown and carried.

use proptest::prelude::*;

use super::tests::{Scene, at, wanted};
use super::*;

const IDS: [&str; 4] = ["a", "b", "c", "d"];
const RANGES: [&str; 4] = ["", "^1", "^2", ">=2"];

/// What each integration is at each place: versions from 0, as marks of contents.
#[derive(Debug, Clone)]
struct Plot {
    head: u8,
    earlier: Vec<u8>,
    here: Option<u8>,
    there: Option<(u8, i64, u64)>,
    needs: Vec<(usize, usize)>,
    by_hand: bool,
    out: bool,
}

fn version(number: u8) -> String {
    format!("{}.{}.0", 1 + number / 3, number % 3)
}

fn plot() -> impl Strategy<Value = Plot> {
    let contents = (0u8..8, prop::collection::vec(0u8..8, 0..4), prop::option::of(0u8..8));
    let there = prop::option::of((0u8..8, -120i64..0, 0u64..20));
    let needs = prop::collection::vec((0..IDS.len(), 0..RANGES.len()), 0..3);
    (contents, there, needs, prop::bool::weighted(0.2), prop::bool::weighted(0.1)).prop_map(
        |((head, earlier, here), there, needs, by_hand, out)| Plot {
            head,
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
        let Plot { head, earlier, here, there, needs, by_hand, out } = plot;
        scene = scene.offers(content(id, *head, needs));
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
        if *by_hand {
            scene.by_hand.insert(((*id).to_owned(), format!("v1:{id}{head}")));
        }
        if *out {
            scene.quarantine.keep_out(*id, format!("v1:{id}{head}"));
        }
    }
    scene
}

fn plots() -> impl Strategy<Value = Vec<Plot>> {
    prop::collection::vec(plot(), IDS.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn nothing_comes_in_that_is_not_carried_there(plots in plots()) {
        let scene = scene(&plots);
        let There::Carries(there) = &scene.there else { unreachable!("it answers") };
        for (id, wanted) in scene.admit().let_in {
            let shown = there.get(&id).map(|shown| shown.content.checksum.as_str());
            prop_assert_eq!(shown, Some(wanted.summary.checksum.as_str()));
            prop_assert!(!scene.quarantine.holds(&id, &wanted.summary.checksum));
        }
    }

    #[test]
    fn what_may_come_may_come_later_too(plots in plots(), later in 0i64..120) {
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
        for head in &scene.heads {
            let id = &head.summary.id;
            let here = scene.here.get(id).map(|carried| carried.content.checksum.clone());
            let offers = scene.offers.get(id).map_or(&[][..], Vec::as_slice);
            let after = offers.iter().rposition(|o| Some(&o.summary.checksum) == here.as_ref()).map_or(0, |at| at + 1);
            let newest_first = std::iter::once(head).chain(offers[after..].iter().rev());
            let may = |wanted: &&Wanted| {
                let checksum = &wanted.summary.checksum;
                let by_hand = scene.by_hand.contains(&pair(wanted));
                let shown = there.get(id).filter(|shown| shown.content.checksum == *checksum);
                let soaked = |shown: &Shown| shown.since <= at(-60) && shown.observed.executions >= 5;
                !scene.quarantine.holds(id, checksum) && shown.is_some_and(|shown| by_hand || soaked(shown))
            };
            let back = Some(&head.summary.checksum) == here.as_ref();
            let expect = newest_first.filter(|_| !back).find(may).map(|wanted| &wanted.summary.checksum);
            prop_assert_eq!(admission.let_in.get(id).map(|wanted| &wanted.summary.checksum), expect);
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
