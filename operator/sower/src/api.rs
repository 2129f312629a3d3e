//! What the API is told: of the Environments of a cluster, or of files.

use std::collections::BTreeMap;
use std::sync::Arc;

use sower_controllers::asking::{Asking, Astray};
use sower_core::rollout::bucket::Live;
use sower_core::usage::Record;
use sower_core::usage_report::{Problem, Problems};
use sower_server::api::{Answer, Environments, Named, Placed, Refusal};
use sower_store::{ErrorKind, Store, StoreError, Unknown};

use crate::commands::standalone::Files;

/// The Environments of a cluster.
pub struct Cluster(pub Arc<Asking>);

/// Who finds the database of an environment by its name.
trait Opens: Sync {
    /// Opens it.
    fn open(&self, named: &Named) -> impl Future<Output = Result<Store, Refusal>> + Send;
}

impl Opens for Cluster {
    async fn open(&self, named: &Named) -> Result<Store, Refusal> {
        let Named { namespace, name } = named;
        self.0.store(namespace.as_deref(), name).await.map_err(|astray| match astray {
            Astray::Early => Refusal::Unavailable("not ready".to_owned()),
            Astray::Nowhere => nowhere(named),
            Astray::Several(choices) => Refusal::Several { name: name.clone(), choices },
            Astray::Closed(error) => Refusal::Unavailable(error.to_string()),
        })
    }
}

impl Opens for Files {
    /// Files have no namespaces.
    async fn open(&self, named: &Named) -> Result<Store, Refusal> {
        if named.namespace.is_some() {
            return Err(nowhere(named));
        }
        match self.store(&named.name).await {
            Some(opened) => opened.map_err(|error| refusal(&error)),
            None => Err(nowhere(named)),
        }
    }
}

impl Environments for Cluster {
    fn live<'a>(&'a self, environment: &'a Named, integration: &'a str) -> Answer<'a, Option<Live>> {
        Box::pin(live(self, environment, integration))
    }

    fn record<'a>(&'a self, records: Vec<Placed>, problems: Problems) -> Answer<'a, ()> {
        Box::pin(record(self, records, problems))
    }
}

impl Environments for Files {
    fn live<'a>(&'a self, environment: &'a Named, integration: &'a str) -> Answer<'a, Option<Live>> {
        Box::pin(live(self, environment, integration))
    }

    fn record<'a>(&'a self, records: Vec<Placed>, problems: Problems) -> Answer<'a, ()> {
        Box::pin(record(self, records, problems))
    }
}

fn nowhere(Named { namespace, name }: &Named) -> Refusal {
    let within = namespace.as_ref().map(|namespace| format!(" in `{namespace}`")).unwrap_or_default();
    Refusal::NotFound(format!("no environment is called `{name}`{within}"))
}

async fn live(from: &impl Opens, environment: &Named, integration: &str) -> Result<Option<Live>, Refusal> {
    let store = from.open(environment).await?;
    store.live(&environment.name, integration).await.map_err(|error| refusal(&error))
}

/// Writes records into the database of each environment: all that go into one, or none of them. Nothing is written before
/// every environment is found, and every version, action and trigger known: what is made up would fill tables.
async fn record(into: &impl Opens, records: Vec<Placed>, mut problems: Problems) -> Result<(), Refusal> {
    let mut by_name: BTreeMap<Named, Vec<Placed>> = BTreeMap::new();
    for placed in records {
        by_name.entry(placed.named.clone()).or_default().push(placed);
    }
    let mut databases: Vec<(Store, Vec<String>, Vec<Record>)> = Vec::new();
    for (named, records) in by_name {
        let store = match into.open(&named).await {
            Ok(store) => store,
            Err(Refusal::NotFound(why)) => {
                astray(&mut problems, &records, &why);
                continue;
            }
            Err(Refusal::Several { name, choices }) => {
                let why = format!("several environments are called `{name}`: {}", choices.join(", "));
                astray(&mut problems, &records, &why);
                continue;
            }
            Err(refused) => return Err(refused),
        };
        let asked: Vec<&Record> = records.iter().map(|placed| &placed.record).collect();
        let unknown = store.unknown_usage(&named.name, &asked).await.map_err(|error| refusal(&error))?;
        for (index, unknown) in unknown {
            let Placed { at, record, .. } = &records[index];
            let (field, why) = made_up(record, unknown);
            problems.push(format!("{at}/{field}"), why);
        }
        let records = records.into_iter().map(|placed| placed.record);
        match databases.iter_mut().find(|(other, ..)| other.url() == store.url()) {
            Some((_, names, all)) => {
                names.push(named.name);
                all.extend(records);
            }
            None => databases.push((store, vec![named.name], records.collect())),
        }
    }
    if !problems.is_empty() {
        return Err(Refusal::BadReport(problems.told()));
    }
    let mut written: Vec<String> = Vec::new();
    for (store, names, records) in databases {
        match store.record_usage(&records).await.map_err(|error| refusal(&error)) {
            Ok(()) => written.extend(names),
            Err(refused) if written.is_empty() => return Err(refused),
            // To send all of it again would count those twice.
            Err(refused) => {
                tracing::warn!(?refused, "a report was written in part");
                let (in_part, not) = (written.join(", "), names.join(", "));
                return Err(Refusal::Failed(format!(
                    "written of {in_part}, and not of {not} or any other: send the others again"
                )));
            }
        }
    }
    Ok(())
}

/// The environment that these records name is not known. That is said once.
fn astray(problems: &mut Problems, records: &[Placed], why: &str) {
    let Some((first, others)) = records.split_first() else { return };
    let as_well = match others.len() {
        0 => String::new(),
        1 => "; 1 more record says so".to_owned(),
        several => format!("; {several} more records say so"),
    };
    problems.push(format!("{}/environment", first.at), format!("{why}{as_well}"));
}

/// Which field of a record names what never was, and what is wrong with it.
fn made_up(record: &Record, unknown: Unknown) -> (&'static str, String) {
    let Record { environment, integration, version, action, trigger, .. } = record;
    let none = |what: &str, name: &Option<String>| {
        let name = name.as_deref().unwrap_or_default();
        format!("`{integration}` {version} has no {what} `{name}` in `{environment}`")
    };
    match unknown {
        Unknown::Version => ("version", format!("`{environment}` never carried `{integration}` {version}")),
        Unknown::Action => ("action", none("action", action)),
        Unknown::Trigger => ("trigger", none("trigger", trigger)),
    }
}

/// What a database refused, as others may read it: no address.
fn refusal(error: &StoreError) -> Refusal {
    if let StoreError::UsageRefused { why } = error {
        let problem = |message: &String| Problem { at: String::new(), message: message.clone() };
        return Refusal::BadReport(why.iter().map(problem).collect());
    }
    match error.kind() {
        // Whoever seeds tells of it, too; a line for each question would drown that.
        ErrorKind::Transient => {
            tracing::debug!(%error, "the API has no answer");
            Refusal::Unavailable("the database does not answer".to_owned())
        }
        ErrorKind::Stalled => {
            tracing::warn!(%error, "the API has no answer");
            Refusal::Failed(format!("the database cannot be used ({}): the log says why", error.code()))
        }
    }
}
