//! `sower resolve`: which version of an integration a consumer gets in an environment.

mod keys;

use std::collections::BTreeMap;

use sower_core::rollout::bucket::{LONGEST_KEY, MOST_LABELS, Resolved};

use crate::cli::{Format, ResolveArgs};
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document::{self, Fields};
use crate::session::{Member, Session};

/// Runs it.
///
/// # Errors
/// Usage, where it is not plain who asks or where; else where the database does not answer, or the environment does not
/// carry the integration.
pub async fn run(args: &ResolveArgs, context: &Context) -> Result<Exit, Failure> {
    let labels = labels(args)?;
    if args.key.is_none() && args.keys.is_none() {
        let (id, at) = (&args.id, args.which.environment.as_deref().unwrap_or("ENVIRONMENT"));
        return Err(Failure::usage("which consumer? It is told by its key")
            .next("one", format!("sower resolve {id} -e {at} --key KEY"))
            .next("many, one a line", format!("sower resolve {id} -e {at} --keys FILE"))
            .next("from a pipe", format!("... | sower resolve {id} -e {at} --keys -")));
    }
    if let Some(key) = args.key.as_ref().filter(|key| key.len() > LONGEST_KEY) {
        return Err(Failure::usage(format!("a key of {} bytes: at most {LONGEST_KEY}", key.len())));
    }
    let session = Session::ask(&args.at, &args.which, context).await?;
    let member = only(&session, args)?;
    let (answers, exit) = session
        .each(async |member| {
            let live = session.rows(member).await?.live(member.name(), &args.id).await;
            live.map_err(|error| session.trouble(&error.into(), member))
        })
        .await?;
    let live = answers.into_iter().find_map(|(_, live)| live);
    let live = live.ok_or_else(|| not_carried(&session, member, &args.id))?;
    let asked = Asked { environment: member.name(), integration: &args.id, labels };
    match (&args.key, &args.keys) {
        (Some(key), _) => {
            let resolved = live.resolve(key, &asked.labels);
            if !document::write(&session.style, args.output, &asked.described(key, resolved))? {
                session.style.raw(&format!("{}\n", resolved.version));
            }
        }
        (None, Some(file)) => {
            let (style, output, file) = (session.style, args.output, file.clone());
            let (environment, integration) = (member.name().to_owned(), args.id.clone());
            let labels = asked.labels;
            // Off the threads that drive the program: a pipe may keep it waiting, and Ctrl-C ends that.
            let reading = tokio::task::spawn_blocking(move || {
                let asked = Asked { environment: &environment, integration: &integration, labels };
                keys::resolve(&style, output, &file, &live, &asked)
            });
            match reading.await {
                Ok(read) => return read.map(|read| exit.worse(read)),
                // The panic has been told already.
                Err(_) => return Ok(Exit::Failed),
            }
        }
        (None, None) => {}
    }
    Ok(exit)
}

/// Who asks, and where.
struct Asked<'a> {
    environment: &'a str,
    integration: &'a str,
    labels: BTreeMap<String, String>,
}

impl Asked<'_> {
    /// One answer, for programs.
    fn described(&self, key: &str, resolved: Resolved<'_>) -> Fields {
        let Resolved { version, why, bucket } = resolved;
        Fields::default()
            .with("environment", self.environment)
            .with("integration", self.integration)
            .with("key", key)
            .with("version", version)
            .with("reason", why)
            .with("bucket", bucket)
    }
}

fn labels(args: &ResolveArgs) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    for (name, value) in &args.labels {
        if labels.insert(name.clone(), value.clone()).is_some_and(|before| before != *value) {
            return Err(Failure::usage(format!("the label `{name}` is there twice, with two values")));
        }
    }
    if labels.len() > MOST_LABELS {
        return Err(Failure::usage(format!("{} labels: at most {MOST_LABELS}", labels.len())));
    }
    Ok(labels)
}

/// The one environment that is asked.
fn only<'a>(session: &'a Session, args: &ResolveArgs) -> Result<&'a Member, Failure> {
    let id = &args.id;
    match session.members.as_slice() {
        [only] => Ok(only),
        [] => {
            session.some_environment()?;
            Err(Failure::failed("no environment can be read").next("what is wrong", "sower validate"))
        }
        [first, ..] if args.which.environment.is_some() => {
            let namespaces: Vec<&str> = session.members.iter().map(Member::namespace).collect();
            let text = format!("`{}` is in several namespaces: {}", first.name(), namespaces.join(", "));
            let again = format!("sower resolve {id} -e {} -n {}", first.name(), first.namespace());
            Err(Failure::usage(text).next("one", again))
        }
        [first, ..] => {
            let names: Vec<&str> = session.members.iter().map(Member::name).collect();
            let again = format!("sower resolve {id} -e {}{}", first.name(), session.flags());
            Err(Failure::usage(format!("which environment? There are {}", names.join(", ")))
                .next("one", format!("{again} --key KEY")))
        }
    }
}

fn not_carried(session: &Session, member: &Member, id: &str) -> Failure {
    let (name, flags) = (member.name(), session.flags());
    Failure::failed(format!("{name} does not carry {id}"))
        .next("why", format!("sower explain {id} -e {name}{flags}"))
        .next("what it carries", format!("sower get integrations -e {name}{flags}"))
}

/// What the format of a failure is: of many keys it is a list.
#[must_use]
pub fn is_one(args: &ResolveArgs) -> bool {
    args.keys.is_none()
}

/// Whether answers are lines, and no document.
fn is_plain(format: Format) -> bool {
    match format {
        Format::Table => true,
        Format::Json | Format::Yaml => false,
    }
}
