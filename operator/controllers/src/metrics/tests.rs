use super::*;

#[test]
fn the_series_of_an_environment_vanish_with_it() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let at = |name: &str| EnvironmentLabels { namespace: "n".into(), environment: name.into() };
    for name in ["gone", "stays"] {
        metrics.fetched(&at(name), "catalog", Duration::from_millis(3));
        metrics.ended(&at(name), Outcome::Failed, Duration::from_millis(3));
        metrics.ready(&at(name), false);
    }
    metrics.forget(&at("gone"));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    assert!(!text.contains("gone"), "{text}");
    assert!(
        text.contains(
            "sower_fetch_duration_seconds_count{namespace=\"n\",environment=\"stays\",source=\"catalog\"} 1"
        ),
        "{text}"
    );
    assert!(
        text.contains("sower_reconciles_total{namespace=\"n\",environment=\"stays\",result=\"failed\"} 1"),
        "{text}"
    );
}

#[test]
fn the_series_of_a_source_vanish_once_the_spec_names_it_no_more() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let at = |name: &str| EnvironmentLabels { namespace: "n".into(), environment: name.into() };
    for (environment, source) in [("one", "catalog"), ("one", "partners"), ("other", "partners")] {
        metrics.fetched(&at(environment), source, Duration::from_millis(3));
    }
    metrics.reads(&at("one"), &["catalog", "new"]);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    for (environment, source, expect) in
        [("one", "catalog", true), ("one", "partners", false), ("other", "partners", true)]
    {
        let series = format!("environment=\"{environment}\",source=\"{source}\"");
        assert_eq!(text.contains(&series), expect, "{series}\n{text}");
    }
}

#[test]
fn what_was_planned_is_done_where_nothing_is_new() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let at = EnvironmentLabels { namespace: "n".into(), environment: "e".into() };
    let planned = |operation: &str, n: usize| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        let series = format!(
            "sower_plan_operations{{namespace=\"n\",environment=\"e\",operation=\"{operation}\"}} {n}\n"
        );
        assert!(text.contains(&series), "{series}{text}");
    };
    metrics.stands(&at, |verb| usize::from(verb == Verb::Create) * 3, &[], 0);
    planned("create", 3);
    let report = |status: &str| -> Report {
        serde_json::from_value(serde_json::json!({
            "environment": "e", "status": status, "integrationsProcessed": 3, "created": 0, "updated": 0,
            "deleted": 0, "unchanged": 3, "actionsCreated": 0, "triggersCreated": 0,
            "connectionsCreated": 0, "conflicts": [], "errors": [], "duration": 1,
        }))
        .expect("a report")
    };
    metrics.reconciled(&at, &report("refused"));
    planned("create", 3);
    metrics.reconciled(&at, &report("unchanged"));
    planned("create", 0);
}

/// Names that begin with `sower_` in a file of the chart.
fn named(file: &str) -> BTreeSet<String> {
    let path = format!("{}/../../charts/sower/files/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sower_")).map(str::to_owned).collect()
}

/// Every series there is, each with a value.
fn served() -> BTreeSet<String> {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let at = EnvironmentLabels { namespace: "n".into(), environment: "e".into() };
    metrics.ready(&at, true);
    metrics.ended(&at, Outcome::Failed, Duration::from_millis(3));
    metrics.stands(&at, |_| 1, &[], 0);
    metrics.wrote(&at, 1);
    metrics.purged(&at, 1);
    metrics.approved(&at, "applied");
    metrics.waiting(&at, 1);
    metrics.looked(&at, Counted::of(&[]), Duration::from_millis(3));
    metrics.fetched(&at, "catalog", Duration::from_millis(3));
    let mut rollout = crate::status::tests::rollout("stripe", sower_core::rollout::State::Progressing);
    rollout.verdict = Some(sower_core::rollout::Verdict {
        version: String::new(),
        outcome: sower_core::rollout::analysis::Outcome::Success,
        reason: String::new(),
        checks: Vec::new(),
        unread: false,
    });
    metrics.rollouts(&at, &[rollout]);
    metrics.left_phase(&at, sower_core::rollout::State::Pending, Duration::from_secs(1));
    metrics.promotions_waiting(&at, 1);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    let names = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('{').next());
    names.map(str::to_owned).collect()
}

#[test]
fn alerts_and_panels_ask_for_series_that_are_served() {
    let served = served();
    for file in ["alerts.yaml", "dashboard.json"] {
        let named = named(file);
        assert!(named.len() > 5, "{file}: {named:?}");
        let unknown: Vec<&String> = named.difference(&served).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}; there are {served:?}");
    }
    // And nothing is served that no panel shows.
    let shown = named("dashboard.json");
    let base = |name: &str| {
        let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        format!("{}_bucket", base.unwrap_or(name))
    };
    let hidden: Vec<&String> =
        served.iter().filter(|name| !shown.contains(*name) && !shown.contains(&base(name))).collect();
    assert!(hidden.is_empty(), "no panel shows {hidden:?}");
}

#[test]
fn who_leads_no_longer_measures_nothing_and_still_counts() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let at = EnvironmentLabels { namespace: "n".into(), environment: "e".into() };
    metrics.ready(&at, false);
    metrics.waiting(&at, 1);
    metrics.ended(&at, Outcome::Failed, Duration::from_millis(3));
    let rollout = crate::status::tests::rollout("stripe", sower_core::rollout::State::Paused);
    metrics.rollouts(&at, &[rollout]);
    metrics.rollout_ended(&at, sower_core::rollout::State::RolledBack);
    metrics.leads_no_longer();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    for gone in ["sower_environment_ready{", "sower_plans_waiting{", "sower_rollout_info{", "stripe"] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    for counted in ["sower_reconciles_total{", "sower_rollouts_ended_total{"] {
        assert!(text.contains(counted), "{counted}: {text}");
    }
}
