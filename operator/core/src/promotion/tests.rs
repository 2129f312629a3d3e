//! Who is let in, case by case.

use super::*;
use crate::catalog::{Place, Summary};
use crate::resolution::Resolutions;

/// An integration as a source offers it, with what it needs.
pub(super) fn wanted(id: &str, version: &str, mark: &str, needs: &[(&str, &str)]) -> Wanted {
    let mut summary = Summary::of_content(id, version, &format!("v1:{mark}"));
    summary.dependencies = needs.iter().map(|(id, range)| need(id, range)).collect();
    let place = Place { source: "git".into(), path: format!("{id}.yaml"), document: 0 };
    Wanted { summary, place, revision: "main@sha1:1".into(), resolve: Resolutions::default() }
}

pub(super) fn need(id: &str, range: &str) -> Dependency {
    Dependency {
        id: id.into(),
        range: Some(range.into()).filter(|range: &String| !range.is_empty()),
        line: 1,
    }
}

/// Everything that is asked, to be written down piece by piece.
pub(super) struct Scene {
    pub rules: Rules,
    pub there: There,
    pub heads: Vec<Wanted>,
    pub offers: BTreeMap<String, Vec<Wanted>>,
    pub here: BTreeMap<String, Carried>,
    pub gone: BTreeSet<String>,
    pub withdrawn: BTreeSet<String>,
    pub quarantine: Quarantine,
    pub admitted: BTreeSet<(String, String)>,
    pub by_hand: BTreeSet<(String, String)>,
    pub under_way: BTreeSet<(String, String)>,
    pub now: Timestamp,
}

pub(super) fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + minute * 60).expect("a time")
}

impl Default for Scene {
    fn default() -> Self {
        let rules = Rules {
            from: "staging".into(),
            soak: Duration::from_secs(3600),
            executions: 0,
            success_rate: None,
            versions: None,
        };
        Self {
            rules,
            there: There::Carries(BTreeMap::new()),
            heads: Vec::new(),
            offers: BTreeMap::new(),
            here: BTreeMap::new(),
            gone: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
            quarantine: Quarantine::default(),
            admitted: BTreeSet::new(),
            by_hand: BTreeSet::new(),
            under_way: BTreeSet::new(),
            now: at(0),
        }
    }
}

impl Scene {
    pub fn shows(mut self, id: &str, version: &str, mark: &str, since: i64) -> Self {
        let content = Content { version: version.into(), checksum: format!("v1:{mark}") };
        let shown = Shown { content, since: at(since), observed: Observed::default() };
        if let There::Carries(all) = &mut self.there {
            all.insert(id.into(), shown);
        }
        self
    }

    pub fn used(mut self, id: &str, executions: u64, errors: u64) -> Self {
        if let There::Carries(all) = &mut self.there
            && let Some(shown) = all.get_mut(id)
        {
            shown.observed = Observed { executions, errors, ..Observed::default() };
        }
        self
    }

    pub fn offers(mut self, wanted: Wanted) -> Self {
        self.heads.push(wanted);
        self
    }

    pub fn offered(mut self, wanted: Wanted) -> Self {
        self.offers.entry(wanted.summary.id.clone()).or_default().push(wanted);
        self
    }

    pub fn carries(mut self, id: &str, version: &str, mark: &str, needs: &[(&str, &str)]) -> Self {
        let content = Content { version: version.into(), checksum: format!("v1:{mark}") };
        let needs = needs.iter().map(|(id, range)| need(id, range)).collect();
        self.here.insert(id.into(), Carried { content, needs });
        self
    }

    pub fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.rules);
        self
    }

    pub fn asked<T>(&self, ask: impl FnOnce(Asked<'_>) -> T) -> T {
        let heads = self.heads.iter().map(|head| (head.summary.id.as_str(), head)).collect();
        ask(Asked {
            rules: &self.rules,
            there: &self.there,
            heads: &heads,
            offers: &self.offers,
            here: &self.here,
            foreign: &BTreeSet::new(),
            gone: &self.gone,
            withdrawn: &self.withdrawn,
            quarantine: &self.quarantine,
            admitted: &self.admitted,
            by_hand: &self.by_hand,
            under_way: &self.under_way,
            now: self.now,
        })
    }

    pub fn admit(&self) -> Admission {
        self.asked(admit)
    }

    /// What is let in, then what waits for what: `stripe 1.1.0 | slack 2.0.0: waits …`.
    fn told(&self) -> String {
        let admission = self.admit();
        let let_in = admission.let_in.values().map(|w| format!("{} {}", w.summary.id, w.summary.version));
        let waits = admission.waits.values().map(|waiting| {
            let version = waiting.version.as_deref().unwrap_or("-");
            format!("{} {version}: {}", waiting.integration, waiting.told(Some(self.now)))
        });
        let join = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
        format!("{} | {}", join(&mut { let_in }), join(&mut { waits }))
    }
}

/// A plan that takes something of these integrations, for everybody.
pub(super) fn taken<'a>(ids: &[&'a str]) -> BTreeMap<&'a str, bool> {
    ids.iter().map(|id| (*id, true)).collect()
}

pub(super) fn stripe(version: &str, mark: &str) -> Wanted {
    wanted("stripe", version, mark, &[])
}

#[test]
fn what_has_to_be_shown() {
    let base = || Scene::default().carries("stripe", "1.0.0", "a", &[]).offers(stripe("1.1.0", "b"));
    let shown = |since| base().shows("stripe", "1.1.0", "b", since);
    let minimum = |executions, rate| {
        move |rules: &mut Rules| {
            rules.executions = executions;
            rules.success_rate = rate;
        }
    };
    let table = [
        (base(), " | stripe 1.1.0: waits for staging: staging does not carry 1.1.0 yet"),
        (
            base().shows("stripe", "1.0.0", "a", -900),
            " | stripe 1.1.0: waits for staging: staging does not carry 1.1.0 yet, but 1.0.0",
        ),
        (
            base().shows("stripe", "1.1.0", "x", -900),
            " | stripe 1.1.0: waits for staging: staging has 1.1.0 with other content",
        ),
        (shown(-22), " | stripe 1.1.0: waits for staging: carried there since 13:51 UTC, 22 min of 1h"),
        (shown(-60), "stripe 1.1.0 | "),
        (
            shown(-60).rules(minimum(100, None)).used("stripe", 41, 0),
            " | stripe 1.1.0: waits for staging: 41 of 100 executions in staging",
        ),
        (shown(-60).rules(minimum(100, None)).used("stripe", 100, 50), "stripe 1.1.0 | "),
        (
            shown(-60).rules(minimum(100, Some(0.99))).used("stripe", 200, 3),
            " | stripe 1.1.0: waits for staging: 197 of 200 executions in staging succeeded, and 99% have to",
        ),
        (shown(-60).rules(minimum(100, Some(0.99))).used("stripe", 200, 2), "stripe 1.1.0 | "),
        (
            shown(-60).rules(minimum(0, Some(0.5))),
            " | stripe 1.1.0: waits for staging: 0 of 0 executions in staging succeeded, and 50% have to",
        ),
        (
            shown(-60).rules(|rules| rules.versions = Some("^2".into())),
            " | stripe 1.1.0: waits for staging: 1.1.0 is outside of the versions ^2",
        ),
    ];
    for (scene, expect) in table {
        assert_eq!(scene.told(), expect);
    }
    let away = Scene { there: There::Away("no answer".into()), ..base() };
    assert_eq!(away.told(), " | stripe 1.1.0: waits for staging: staging cannot be read: no answer");
}

#[test]
fn a_hand_skips_the_soak_and_the_minimum_and_never_the_comparison() {
    let by_hand = BTreeSet::from([("stripe".to_owned(), "v1:b".to_owned())]);
    let base = || {
        let scene = Scene::default().carries("stripe", "1.0.0", "a", &[]).offers(stripe("1.1.0", "b"));
        let scene = scene.rules(|rules| rules.executions = 100);
        Scene { by_hand: by_hand.clone(), ..scene }
    };
    assert_eq!(base().shows("stripe", "1.1.0", "b", 0).told(), "stripe 1.1.0 | ");
    assert!(base().admit().let_in.is_empty());
    assert!(base().shows("stripe", "1.1.0", "x", -900).admit().let_in.is_empty());
}

#[test]
fn what_a_hand_let_in_earlier_was_compared_then() {
    let base = || {
        let scene = Scene::default().carries("stripe", "1.0.0", "a", &[]).offered(stripe("1.1.0", "b"));
        let scene = scene.offers(stripe("1.2.0", "c")).rules(|rules| rules.versions = Some("^2".into()));
        Scene { admitted: BTreeSet::from([("stripe".to_owned(), "v1:b".to_owned())]), ..scene }
    };
    let let_in = |scene: Scene| scene.admit().let_in.remove("stripe").map(|wanted| wanted.summary.version);
    let first = Some("1.1.0".to_owned());
    assert_eq!(let_in(base().shows("stripe", "1.2.0", "c", 0)), first, "the other one moved on");
    assert_eq!(let_in(Scene { there: There::Away("no answer".into()), ..base() }), first);
    let mut out = base();
    out.quarantine.keep_out("stripe", "v1:b");
    assert_eq!(let_in(out), None, "it was rolled back");
    let needs = base().carries("billing", "1.0.0", "x", &[("stripe", "~1.0")]);
    assert_eq!(let_in(needs), None, "what is here needs another one");
}

#[test]
fn a_soak_that_is_over_is_not_waited_for() {
    let (since, until) = (at(-10), at(50));
    let told = |why: Why, now| {
        let waiting =
            Waiting { integration: "a".into(), version: Some("1.1.0".into()), from: "staging".into(), why };
        waiting.told(now)
    };
    let soaking = || Why::Soaking { since, until };
    let waits = "waits for staging: carried there since 14:03 UTC, 59 min of 1h";
    assert_eq!(told(soaking(), Some(at(49))), waits);
    let comes = "and comes once nothing holds the plan";
    assert_eq!(told(soaking(), Some(until)), format!("has soaked in staging for 1h, {comes}"));
    assert!(told(soaking(), None).starts_with("waits for staging: carried there since "));
    assert_eq!(told(Why::LetIn { by: "jane".into() }, None), format!("{LET_IN}jane, {comes}"));
}

#[test]
fn the_newest_eligible_wins_and_older_offers_go() {
    let scene = || {
        Scene::default()
            .carries("stripe", "1.0.0", "a", &[])
            .offered(stripe("1.1.0", "b"))
            .offered(stripe("1.2.0", "c"))
            .offers(stripe("1.3.0", "d"))
    };
    let older = scene().shows("stripe", "1.2.0", "c", -90);
    assert_eq!(
        older.told(),
        "stripe 1.2.0 | stripe 1.3.0: waits for staging: staging does not carry 1.3.0 yet, but 1.2.0"
    );
    let older = older.admit();
    let first = BTreeSet::from([("stripe".to_owned(), "v1:b".to_owned())]);
    assert_eq!(
        (older.changes(&taken(&["stripe"])).stale, older.changes(&taken(&[])).stale),
        (first, [].into())
    );
    assert!(!older.keeps("stripe"));
    // The newest one waits: nothing older that nobody shows comes in.
    let soaking = scene().shows("stripe", "1.3.0", "d", -5);
    assert!(
        soaking.admit().let_in.is_empty() && soaking.admit().changes(&taken(&["stripe"])).stale.is_empty()
    );
    assert_eq!(soaking.admit().next_at, Some(at(55)));
    // What was offered earlier and soaks is waited for, too, though it is the newest that is told.
    let earlier = scene().shows("stripe", "1.2.0", "c", -5).admit();
    assert_eq!((earlier.next_at, earlier.watches), (Some(at(55)), false));
    let used = scene().rules(|rules| rules.executions = 100).shows("stripe", "1.2.0", "c", -90).admit();
    assert_eq!((used.next_at, used.watches), (None, true), "executions come without a seeding");
    let newest = scene().shows("stripe", "1.3.0", "d", -90).admit();
    assert_eq!(newest.let_in["stripe"].summary.version, "1.3.0");
    assert_eq!(newest.changes(&taken(&["stripe"])).stale.len(), 2);
}

#[test]
fn what_was_let_in_stays_let_in() {
    let under_way = BTreeSet::from([("stripe".to_owned(), "v1:b".to_owned())]);
    let scene = Scene::default()
        .carries("stripe", "1.0.0", "a", &[])
        .offered(stripe("1.1.0", "b"))
        .offers(stripe("1.2.0", "c"))
        .shows("stripe", "1.2.0", "c", -5);
    let scene = Scene { under_way, ..scene };
    assert_eq!(scene.admit().let_in["stripe"].summary.version, "1.1.0");
    let admission = scene.admit();
    assert!(
        admission.waits.contains_key("stripe") && admission.changes(&taken(&["stripe"])).stale.is_empty()
    );
}

#[test]
fn a_deletion_waits_until_it_is_gone_there() {
    let gone = || {
        let scene = Scene::default().carries("stripe", "1.0.0", "a", &[]);
        Scene { gone: BTreeSet::from(["stripe".to_owned()]), ..scene }
    };
    assert!(gone().admit().waits.is_empty());
    let kept = gone().shows("stripe", "1.0.0", "a", -900);
    assert_eq!(
        kept.told(),
        " | stripe -: waits for staging: gone from the sources, and staging still carries it"
    );
    assert!(kept.admit().keeps("stripe"));
}

#[test]
fn only_what_is_whole_is_let_in() {
    let crm = |version: &str, mark: &str, range: &str| wanted("crm", version, mark, &[("http", range)]);
    let http = |version: &str, mark: &str| wanted("http", version, mark, &[]);
    let here = || {
        Scene::default().carries("http", "1.0.0", "h1", &[]).carries("crm", "1.0.0", "c1", &[("http", "^1")])
    };
    let both = || here().offers(crm("2.0.0", "c2", "^2")).offers(http("2.0.0", "h2"));
    let table = [
        // What it needs waits.
        (
            both().shows("crm", "2.0.0", "c2", -90).shows("http", "2.0.0", "h2", -5),
            " | crm 2.0.0: waits for staging: crm needs http@^2, and http is 1.0.0, and what there is of it waits too, \
             http 2.0.0: waits for staging: carried there since 14:08 UTC, 5 min of 1h",
        ),
        // What is here needs it as it is.
        (
            both().shows("crm", "2.0.0", "c2", -5).shows("http", "2.0.0", "h2", -90),
            " | crm 2.0.0: waits for staging: carried there since 14:08 UTC, 5 min of 1h, \
             http 2.0.0: waits for staging: crm needs http@^1, and http is 2.0.0",
        ),
        (
            both().shows("crm", "2.0.0", "c2", -90).shows("http", "2.0.0", "h2", -90),
            "crm 2.0.0, http 2.0.0 | ",
        ),
        // It is nowhere.
        (
            Scene::default().offers(crm("2.0.0", "c2", "^2")).shows("crm", "2.0.0", "c2", -90),
            " | crm 2.0.0: waits for staging: crm needs http@^2, and http is not here",
        ),
    ];
    for (scene, expect) in table {
        assert_eq!(scene.told(), expect);
    }
}

#[test]
fn a_spec_that_waits_for_itself_is_told() {
    let spec: EnvironmentSpec = serde_json::from_value(serde_json::json!({
        "dependsOn": [{ "name": "production" }, { "name": "staging", "expression": "status.(" }],
        "promotion": { "from": "production", "soak": "1x", "versions": "about one" },
    }))
    .expect("a spec");
    let bad = bad_promotion("production", &spec);
    let pointers: Vec<&str> = bad.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/spec/dependsOn/0/name",
            "/spec/dependsOn/1/expression",
            "/spec/promotion/from",
            "/spec/promotion/soak",
            "/spec/promotion/versions"
        ]
    );
    assert!(bad_promotion("other", &EnvironmentSpec::default()).is_empty());
}
