//! What cannot be meant in an analysis.

use std::collections::BTreeSet;

use sower_crds::rollout::{Analysis, PrometheusQuery};

use super::{Faults, analysis};
use crate::manifest::server;
use crate::problem::Code;

/// What stands for something in a query.
pub const PLACEHOLDERS: [&str; 4] = ["environment", "integration", "candidate", "stable"];

pub(super) fn check(analysis: &Analysis, at: &str, faults: &mut Faults) {
    let Analysis {
        interval,
        minimum_sample: _,
        confidence,
        success_rate,
        error_rate_difference,
        latency,
        prometheus,
        expression,
        inconclusive: _,
        deadline,
    } = analysis;
    let every = faults.period(format!("{at}/interval"), "interval", Some(interval));
    let last = faults.period(format!("{at}/deadline"), "deadline", Some(deadline));
    if every.zip(last).is_some_and(|(every, last)| every >= last) {
        let why = "the deadline comes before the second look";
        faults.push(format!("{at}/deadline"), Code::BadDuration, why, "longer than interval");
    }
    range(*confidence, 0.5, 0.999_999, format!("{at}/confidence"), faults);
    if let Some(rate) = success_rate {
        range(rate.min, 0.0, 1.0, format!("{at}/successRate/min"), faults);
    }
    if let Some(rate) = error_rate_difference {
        range(rate.max, 0.0, 1.0, format!("{at}/errorRateDifference/max"), faults);
    }
    if let Some(latency) = latency {
        range(latency.quantile, 0.01, 0.999, format!("{at}/latency/quantile"), faults);
        range(latency.max_ratio, 0.1, 1000.0, format!("{at}/latency/maxRatio"), faults);
    }
    let mut names = BTreeSet::new();
    for (index, query) in prometheus.iter().enumerate() {
        let at = format!("{at}/prometheus/{index}");
        if !names.insert(&query.name) {
            let why = format!("two queries are called `{}`", query.name);
            faults.push(format!("{at}/name"), Code::DuplicateId, why, "second of its name");
        }
        question(query, expression.is_some(), &at, faults);
    }
    if let Some(why) = expression.as_ref().and_then(|text| analysis::expression::fault(text, analysis)) {
        let expected =
            "a condition in CEL over candidate, stable, errorRateDifference, latencyRatio and prometheus";
        faults.push(format!("{at}/expression"), Code::BadExpression, why, expected);
    }
}

fn range(value: f64, least: f64, most: f64, pointer: String, faults: &mut Faults) {
    if !(least..=most).contains(&value) {
        faults.wrong(pointer, format!("it is {value}"), format!("from {least} to {most}"));
    }
}

fn question(query: &PrometheusQuery, is_read: bool, at: &str, faults: &mut Faults) {
    let PrometheusQuery { name: _, address, query: text, secret_ref, min, max } = query;
    match (min, max) {
        (None, None) if !is_read => {
            faults.wrong(at.to_owned(), "the query has no limit, and no expression reads it", "min or max");
        }
        (Some(min), Some(max)) if min > max => {
            faults.wrong(format!("{at}/min"), format!("min {min} is above max {max}"), "at most max");
        }
        _ => {}
    }
    let pointer = format!("{at}/address");
    match server(address) {
        // The address itself is not repeated: it may hold a password.
        Err(why) => {
            let expected = "such as `https://prometheus.monitoring:9090`";
            faults.push(pointer, Code::BadUrl, format!("the address cannot be asked: {why}"), expected);
        }
        Ok(server) if !server.encrypted && !server.loopback && secret_ref.is_some() => {
            let why = "what the Secret holds would be sent unencrypted";
            faults.push(pointer, Code::InsecureUrl, why, "https, unless the host is loopback");
        }
        Ok(_) => {}
    }
    if text.trim().is_empty() {
        faults.wrong(format!("{at}/query"), "query is empty", "a query in PromQL");
    }
    for rest in text.split("{{").skip(1) {
        let name = rest.split("}}").next().filter(|name| name.len() < rest.len()).unwrap_or_default();
        if !PLACEHOLDERS.contains(&name) {
            let expected =
                format!("one of {}", PLACEHOLDERS.map(|name| format!("{{{{{name}}}}}")).join(", "));
            faults.wrong(format!("{at}/query"), "`{{` begins no placeholder that is known", expected);
            break;
        }
    }
}
