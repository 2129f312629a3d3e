//! The status of an Integration resource: whether it is valid, and which environments carry it. Pure.

use jiff::Timestamp;
use sower_core::problem::Problem;
use sower_core::sentence::first_fitting;
use sower_crds::integration::{CarriedBy, Integration, IntegrationStatus};

use crate::status::{Said, kind, names, set};

/// Most environments that a status names.
const ENVIRONMENTS: usize = 64;

/// The status of an Integration with these problems, carried by these environments (sorted by name).
#[must_use]
pub fn compose(
    integration: &Integration,
    problems: &[Problem],
    carried: &[CarriedBy],
    now: Timestamp,
) -> IntegrationStatus {
    let generation = integration.metadata.generation;
    let previous = integration.status.clone().unwrap_or_default();
    let mut conditions = previous.conditions;
    conditions.retain(|condition| condition.type_ != kind::STALLED);
    let version = &integration.spec.version;
    let errors: Vec<&Problem> = problems.iter().filter(|problem| problem.is_error()).collect();
    let said = match errors.first() {
        None if carried.is_empty() => Said::new(true, "NotCarried", "Carried by no environment"),
        None => Said::new(true, "Carried", message(version, carried)),
        Some(first) => {
            let more = match errors.len() {
                1 => String::new(),
                several => format!(" (and {} more)", several - 1),
            };
            let said = Said::new(false, "Invalid", format!("{}: {}{more}", first.code, first.message));
            let waits = Said::new(true, "Invalid", "Waits for a change of the spec");
            set(&mut conditions, kind::STALLED, waits, generation, now);
            said
        }
    };
    set(&mut conditions, kind::READY, said, generation, now);
    conditions.sort_by_key(|condition| condition.type_ != kind::READY);
    IntegrationStatus {
        conditions,
        observed_generation: generation,
        version: Some(version.clone()),
        environment_count: Some(i32::try_from(carried.len()).unwrap_or(i32::MAX)),
        environments: carried.iter().take(ENVIRONMENTS).cloned().collect(),
    }
}

fn message(version: &str, carried: &[CarriedBy]) -> String {
    let named: Vec<String> =
        carried
            .iter()
            .map(|by| {
                if by.version == version { by.name.clone() } else { format!("{} ({})", by.name, by.version) }
            })
            .collect();
    first_fitting([
        format!("Carried by {}", names(&named)),
        format!("Carried by {} environments", carried.len()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use sower_core::problem::{Code, Severity};

    fn integration() -> Integration {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "sower.dev/v1alpha1", "kind": "Integration",
            "metadata": { "namespace": "n", "name": "acme", "generation": 2 },
            "spec": { "name": "Acme", "version": "1.4.0" },
        }))
        .expect("an integration")
    }

    fn by(name: &str, version: &str) -> CarriedBy {
        CarriedBy { name: name.into(), version: version.into() }
    }

    #[test]
    fn it_says_who_carries_it() {
        let table = [
            (vec![], "Carried by no environment"),
            (vec![by("development", "1.4.0")], "Carried by development"),
            (
                vec![by("development", "1.4.0"), by("staging", "1.3.0")],
                "Carried by development, staging (1.3.0)",
            ),
        ];
        for (carried, message) in table {
            let status = compose(&integration(), &[], &carried, Timestamp::UNIX_EPOCH);
            assert_eq!(status.conditions.len(), 1);
            assert_eq!(
                (status.conditions[0].status.as_str(), status.conditions[0].message.as_str()),
                ("True", message)
            );
            assert_eq!(status.environment_count, i32::try_from(carried.len()).ok());
            assert_eq!(status.version.as_deref(), Some("1.4.0"));
        }
    }

    #[test]
    fn an_invalid_one_is_stalled_until_it_is_mended() {
        let problem = Problem {
            code: Code::BadVersion,
            severity: Severity::Error,
            file: "Integration/n/acme".into(),
            line: 1,
            column: 1,
            length: 1,
            pointer: "/version".into(),
            message: "`v2.1` is not a semantic version".into(),
            expected: "expected MAJOR.MINOR.PATCH".into(),
            hint: None,
            integration: Some("acme".into()),
        };
        let mut integration = integration();
        let status = compose(&integration, &[problem], &[], Timestamp::UNIX_EPOCH);
        let kinds: Vec<_> = status.conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
        assert_eq!(kinds, [("Ready", "False"), ("Stalled", "True")]);
        integration.status = Some(status);
        let status = compose(&integration, &[], &[], Timestamp::UNIX_EPOCH);
        assert_eq!(status.conditions.len(), 1);
    }
}
