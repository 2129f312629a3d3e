//! `sower doctor`: what is set, where it was set, and whether it answers.

mod sources;

use std::fmt::Write as _;

use sower_store::{DatabaseUrl, Migrate, Options, Store, StoreError, Tls};

use crate::cli::{DoctorArgs, TargetKind, Where};
use crate::commands::Context;
use crate::environments::EnvironmentFiles;
use crate::failure::{Exit, Failure};
use crate::output::document::{self, Fields};
use crate::reach::Reach;
use crate::session::Member;
use crate::settings::{Settings, without_password};
use crate::{databases, origin};

/// Runs it.
///
/// # Errors
/// Usage, where the settings themselves cannot be read.
pub async fn run(args: &DoctorArgs, context: &Context) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.at, false)?;
    let mut checks = vec![project(&settings)];
    match settings.target.value {
        TargetKind::Files => files(&settings, context, &mut checks).await,
        TargetKind::Cluster => cluster(&settings, &args.at, &mut checks).await,
    }
    let failed = checks.iter().any(|check| check.state == State::Failed);
    let exit = if failed { Exit::Failed } else { Exit::Done };
    let version = version();
    let described: Vec<Fields> = checks.iter().map(Check::described).collect();
    if document::write(
        &context.style,
        args.output,
        &Fields::default().with("version", &version).with("checks", described),
    )? {
        return Ok(exit);
    }
    context.style.raw(&format!("sower {version}\n{}", table(&checks)));
    Ok(exit)
}

/// `0.1.0 (3f2c1a9 2026-11-21)`.
#[must_use]
pub fn version() -> String {
    match env!("SOWER_BUILT_FROM") {
        "" => env!("CARGO_PKG_VERSION").to_owned(),
        commit => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Failed,
    NotAsked,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::NotAsked => "-",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    state: State,
    what: &'static str,
    value: String,
    /// Where it was set.
    origin: String,
    /// Said beside it.
    remark: String,
    /// Said below it.
    detail: String,
}

impl Check {
    fn new(state: State, what: &'static str, value: impl Into<String>, origin: impl ToString) -> Self {
        let (remark, detail) = (String::new(), String::new());
        Self { state, what, value: value.into(), origin: origin.to_string(), remark, detail }
    }

    fn described(&self) -> Fields {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Fields::default()
            .with("check", self.what)
            .with("status", self.state.as_str())
            .with("value", &self.value)
            .with("origin", some(&self.origin))
            .with("remark", some(&self.remark))
            .with("detail", some(&self.detail))
    }
}

fn table(checks: &[Check]) -> String {
    let names = checks.iter().map(|check| check.what.len()).max().unwrap_or(0) + 3;
    let set = |check: &&Check| !check.origin.is_empty();
    let values = checks.iter().filter(set).map(|check| check.value.chars().count()).max().unwrap_or(0) + 4;
    let mut text = String::new();
    for check in checks {
        let Check { state, what, value, origin, remark, detail } = check;
        let mut line = format!("{:8}{what:names$}", state.as_str());
        if origin.is_empty() {
            line.push_str(value);
        } else {
            let _ = write!(line, "{value:values$}{origin}");
        }
        if !remark.is_empty() {
            let _ = write!(line, "   ({remark})");
        }
        let _ = writeln!(text, "{}", line.trim_end());
        for detail in detail.lines() {
            let _ = writeln!(text, "{}{detail}", " ".repeat(8 + names));
        }
    }
    text
}

fn project(settings: &Settings) -> Check {
    match (&settings.root, settings.file) {
        (Some(_), true) => Check::new(State::Ok, "project", "sower.toml", ""),
        (Some(root), false) => {
            Check::new(State::Ok, "project", format!("{} (no sower.toml)", root.display()), "")
        }
        (None, _) => {
            Check::new(State::NotAsked, "project", "none here: neither sower.toml nor environments/", "")
        }
    }
}

async fn files(settings: &Settings, context: &Context, checks: &mut Vec<Check>) {
    let shown =
        settings.environments.value.strip_prefix(settings.root.as_deref().unwrap_or(&settings.source_base));
    let shown = shown.unwrap_or(&settings.environments.value).display().to_string();
    let files = match origin::environment_files(settings) {
        Ok(files) => {
            let mut check = Check::new(
                State::Ok,
                "environments",
                format!("{} in {shown}", files.environments.len()),
                &settings.environments.origin,
            );
            if files.invalid > 0 {
                check.state = State::Failed;
                check.detail = format!("{} more cannot be read: sower validate says why", files.invalid);
            } else if files.environments.is_empty() {
                check.state = State::Failed;
                check.detail = "no document of kind Environment is there".to_owned();
            }
            checks.push(check);
            if let Some(strangers) = origin::strangers(settings, &files) {
                let told = strangers.trim_start_matches("sower.toml: ");
                if let Some(project) = checks.first_mut() {
                    *project = failed("project", project.value.clone(), "", told);
                }
            }
            files
        }
        Err(failure) => {
            checks.push(failed("environments", shown, &settings.environments.origin, failure.message));
            EnvironmentFiles::default()
        }
    };
    if settings.root.is_some() || settings.source.value.is_some() {
        checks.extend(sources::checks(settings, &files, context).await);
    }
    checks.extend(all_databases(settings, &files).await);
    checks.push(Check::new(State::NotAsked, "cluster", "not asked (--target cluster asks it)", ""));
}

fn failed(
    what: &'static str,
    value: impl Into<String>,
    origin: impl ToString,
    detail: impl Into<String>,
) -> Check {
    Check { detail: detail.into(), ..Check::new(State::Failed, what, value, origin) }
}

/// Every database that an environment has, each once.
async fn all_databases(settings: &Settings, files: &EnvironmentFiles) -> Vec<Check> {
    let mut asked: Vec<(String, String, String, Migrate)> = Vec::new();
    let named = files.environments.iter().map(|one| (one.name.as_str(), databases::migrate(&one.spec)));
    for (name, migrate) in named.chain(files.environments.is_empty().then_some(("", Migrate::Auto))) {
        let Some(url) = settings.database_of(name) else { continue };
        let own = settings.database.value.as_ref() != Some(&url);
        let origin = if own { "sower.toml".to_owned() } else { settings.database.origin.to_string() };
        let shown = if own { without_password(&url) } else { settings.database_shown.clone() };
        let (url, shown) = (url.replace("{environment}", name), shown.replace("{environment}", name));
        match asked.iter_mut().find(|(known, ..)| *known == url) {
            // One that may make the tables makes them for all.
            Some((.., known)) if migrate == Migrate::Auto => *known = migrate,
            Some(_) => {}
            None => asked.push((url, shown, origin, migrate)),
        }
    }
    let mut checks = Vec::new();
    for (url, shown, origin, migrate) in asked {
        checks.push(match DatabaseUrl::parse(&url) {
            Ok(url) => database(&url, Tls::default(), shown, origin, migrate).await,
            Err(error) => failed("database", shown, origin, error.to_string()),
        });
    }
    checks
}

async fn database(url: &DatabaseUrl, tls: Tls, shown: String, origin: String, migrate: Migrate) -> Check {
    let found = |remark: &str| Check {
        remark: remark.to_owned(),
        ..Check::new(State::Ok, "database", &shown, &origin)
    };
    let by_hand = |what: &str| {
        let text =
            format!("{what} under migrate: Never\nrun the output of `sower generate migrations` there");
        failed("database", &shown, &origin, text)
    };
    if url.file().is_some_and(|file| !file.exists()) {
        return match migrate {
            Migrate::Auto => found("not there yet: the first seeding makes it"),
            Migrate::Never => by_hand("its tables are not there, and no seeding makes them"),
        };
    }
    let options = Options { migrate: Migrate::Never, tls, ..Options::default() };
    match Store::open(url, &options).await {
        Ok(store) => {
            store.close().await;
            found("")
        }
        Err(StoreError::SchemaMissing { found: tables, .. }) => match (migrate, tables) {
            (Migrate::Auto, None) => found("no tables yet: the first seeding makes them"),
            (Migrate::Auto, Some(_)) => found("older tables: the next seeding brings them up to date"),
            (Migrate::Never, None) => by_hand("its tables are not there, and no seeding makes them"),
            (Migrate::Never, Some(version)) => {
                by_hand(&format!("its tables are of schema {version}, and no seeding brings them up to date"))
            }
        },
        Err(error) => {
            let detail = match &error {
                StoreError::Unavailable { cause, .. } => {
                    let cause = cause.split(" (").next().unwrap_or(cause);
                    let network = ["refused", "no answer", "timed out", "lookup", "resolve", "unreachable"];
                    let network = network.iter().any(|word| cause.contains(word));
                    format!(
                        "{cause}{}",
                        if network { ": is the server up, and reachable from here?" } else { "" }
                    )
                }
                other => match other.hint() {
                    Some(hint) => format!("{other}\n{hint}"),
                    None => other.to_string(),
                },
            };
            failed("database", shown, origin, detail)
        }
    }
}

async fn cluster(settings: &Settings, at: &Where, checks: &mut Vec<Check>) {
    let reach = match Reach::connect(at, false).await {
        Ok(reach) => reach,
        Err(failure) => {
            checks.push(failed("cluster", "none", &settings.target.origin, failure.message));
            return;
        }
    };
    let described = reach.described().join(", ");
    let described = described.trim_start_matches("cluster ").to_owned();
    let members = match reach.members().await {
        Ok(members) => members,
        Err(failure) => {
            checks.push(failed("cluster", described, &settings.target.origin, failure.message));
            return;
        }
    };
    checks.push(Check::new(State::Ok, "cluster", described, &settings.target.origin));
    checks.push(seen(&members));
    if let Some(url) = &settings.database.value {
        let (shown, origin) = (settings.database_shown.clone(), settings.database.origin.to_string());
        checks.push(match DatabaseUrl::parse(url) {
            Ok(url) => {
                let mut all = members.iter().map(|member| databases::migrate(&member.loaded.spec));
                let never = !members.is_empty() && all.all(|migrate| migrate == Migrate::Never);
                let migrate = if never { Migrate::Never } else { Migrate::Auto };
                database(&url, Tls::default(), shown, origin, migrate).await
            }
            Err(error) => failed("database", shown, origin, error.to_string()),
        });
        return;
    }
    let (mut asked, mut refused) = (Vec::new(), false);
    for member in &members {
        let (url, tls) = match reach.database(member).await {
            Ok(database) => database,
            Err(failure) => {
                let own =
                    member.loaded.spec.database.as_ref().and_then(|database| database.secret_ref.as_ref());
                if let Some(secret) = own {
                    let of = format!("the secret of {}", member.name());
                    checks.push(failed("database", format!("secret {}", secret.name), of, failure.message));
                    refused = true;
                }
                continue;
            }
        };
        if asked.contains(&url) {
            continue;
        }
        let set = format!("the secret of {}", member.name());
        let migrate = databases::migrate(&member.loaded.spec);
        checks.push(database(&url, tls, url.to_string(), set, migrate).await);
        asked.push(url);
    }
    if asked.is_empty() && !refused {
        checks.push(Check::new(
            State::NotAsked,
            "database",
            "no secret of one can be read from here (SOWER_DATABASE_URL names one)",
            "",
        ));
    }
}

/// The Environments, and how many an operator has looked at.
fn seen(members: &[Member]) -> Check {
    let looked_at = |member: &&Member| {
        let status = member.resource.as_ref().and_then(|resource| resource.status.as_ref());
        // A resource is made with a status of generation -1.
        status.and_then(|status| status.observed_generation).is_some_and(|generation| generation >= 0)
    };
    let seen = members.iter().filter(looked_at).count();
    let value = format!("{} in the cluster", members.len());
    if seen < members.len() {
        let detail = format!(
            "no operator has looked at {} of them: kubectl get deploy -A -l app.kubernetes.io/name=sower",
            members.len() - seen
        );
        return failed("environments", value, "", detail);
    }
    Check::new(State::Ok, "environments", value, "")
}
