//! The alerts of the chart, as Prometheus' own tool judges them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sower_tests::process::{clean, output};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/sower/files/alerts.yaml");
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/alerts/alerts.test.yaml");

/// Runs `promtool`, which Debian's package `prometheus` brings.
fn promtool(arguments: &[&str]) -> Result<String> {
    output(clean(&mut Command::new("promtool")).args(arguments))
}

fn read(path: &str) -> Result<Value> {
    serde_saphyr::from_str(&fs::read_to_string(path)?).with_context(|| path.to_owned())
}

#[test]
fn alerts_fire_when_they_are_to_and_not_before() -> Result<()> {
    promtool(&["check", "rules", RULES])?;
    let said = promtool(&["test", "rules", CASES])?;
    ensure!(said.contains("SUCCESS"), "{said}");
    Ok(())
}

/// No alert is left out of the cases: each fires in one, and in one it does not.
#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> Result<()> {
    let (rules, cases) = (read(RULES)?, read(CASES)?);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rules: Vec<Value> = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])).collect();
    let alerts: BTreeSet<String> = rules.iter().map(|rule| text(&rule["alert"])).collect();
    let cases: Vec<Value> =
        list(&cases["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"])).collect();
    let expected = |fires: bool| -> BTreeSet<String> {
        let cases = cases.iter().filter(|case| list(&case["exp_alerts"]).is_empty() != fires);
        cases.map(|case| text(&case["alertname"])).collect()
    };
    ensure!(alerts.len() > 5, "{alerts:?}");
    ensure!(alerts == expected(true), "fires: {:?}", expected(true));
    ensure!(alerts == expected(false), "does not: {:?}", expected(false));
    Ok(())
}
