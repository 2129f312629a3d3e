//! Settings of this checkout: flag, then variable, then `sower.toml`, then the default; and where each came from.

mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sower_store::DatabaseUrl;

use crate::cli::{TargetKind, Where};
use crate::failure::Failure;
pub use crate::password::without_password;
use crate::password::{refuse_credentials, refuse_password};
use target::target;

/// Where a setting was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag(&'static str),
    /// In the environment of the process.
    Variable(&'static str),
    /// In `sower.toml`.
    File,
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag(name) | Self::Variable(name) => name,
            Self::File => "sower.toml",
            Self::Default => "default",
        })
    }
}

/// A setting with its origin.
#[derive(Debug, Clone)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it was set.
    pub origin: Origin,
}

/// `sower.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    environments: Option<String>,
    source: Option<String>,
    database: Option<String>,
    target: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, EnvironmentSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentSettings {
    source: Option<String>,
    database: Option<String>,
}

/// Everything that is set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of `sower.toml`, or the one that holds `environments`; absent where there is no project.
    pub root: Option<PathBuf>,
    /// `sower.toml` was found.
    pub file: bool,
    /// Files or cluster.
    pub target: Setting<TargetKind>,
    /// The folder or file of Environments, absolute.
    pub environments: Setting<PathBuf>,
    /// As it was written: DIR, DIR#REF or URL[#REF]. Relative folders are relative to [`Settings::source_base`].
    pub source: Setting<Option<String>>,
    /// The folder that a relative source is relative to.
    pub source_base: PathBuf,
    /// URL of the database, relative SQLite paths made absolute.
    pub database: Setting<Option<String>>,
    /// The database as people read it.
    pub database_shown: String,
    /// The flags of files that lead back here, as a shell takes them: ` --source . --database URL`. Never a password.
    pub given: String,
    per_environment: BTreeMap<String, (Option<String>, Option<String>)>,
}

const DEFAULT_DATABASE: &str = "sqlite://.sower/sower.db";

impl Settings {
    /// Reads them for a command.
    ///
    /// # Errors
    /// Usage: a broken or unreadable `sower.toml`, a password in it, a target with the wrong flags.
    pub fn read(at: &Where, all_namespaces: bool) -> Result<Self, Failure> {
        let cwd = std::env::current_dir().map_err(|e| Failure::failed(format!("the current folder: {e}")))?;
        Self::resolve(at, all_namespaces, &cwd, &|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
    }

    fn resolve(
        at: &Where,
        all_namespaces: bool,
        cwd: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let found = find(cwd);
        let file = match &found {
            Some((root, true)) => read_file(&root.join("sower.toml"))?,
            _ => SettingsFile::default(),
        };
        let root = found.as_ref().map(|(root, _)| root.clone());
        let base = root.clone().unwrap_or_else(|| cwd.to_path_buf());
        let target = target(at, all_namespaces, &file, variable)?;
        if at.source.as_deref().is_some_and(|given| given.trim().is_empty()) {
            return Err(Failure::usage("--source names a folder or a URL, and it is empty"));
        }

        let environments = match (&at.environments, variable("SOWER_ENVIRONMENTS"), &file.environments) {
            (Some(path), ..) => Setting { value: cwd.join(path), origin: Origin::Flag("--environments") },
            (None, Some(path), _) => {
                Setting { value: cwd.join(path), origin: Origin::Variable("SOWER_ENVIRONMENTS") }
            }
            (None, None, Some(path)) => Setting { value: base.join(path), origin: Origin::File },
            (None, None, None) => Setting { value: base.join("environments"), origin: Origin::Default },
        };
        let (source, source_base) = match (&at.source, variable("SOWER_SOURCE"), &file.source) {
            (Some(s), ..) => {
                (Setting { value: Some(s.clone()), origin: Origin::Flag("--source") }, cwd.to_path_buf())
            }
            (None, Some(s), _) => {
                (Setting { value: Some(s), origin: Origin::Variable("SOWER_SOURCE") }, cwd.to_path_buf())
            }
            (None, None, Some(s)) => (Setting { value: Some(s.clone()), origin: Origin::File }, base.clone()),
            (None, None, None) => (Setting { value: None, origin: Origin::Default }, base.clone()),
        };
        let cluster = target.value == TargetKind::Cluster;
        let (database, database_base) = match (&at.database, variable("SOWER_DATABASE_URL"), &file.database) {
            (Some(url), ..) => {
                (Setting { value: Some(url.clone()), origin: Origin::Flag("--database") }, cwd.to_path_buf())
            }
            (None, Some(url), _) => (
                Setting { value: Some(url), origin: Origin::Variable("SOWER_DATABASE_URL") },
                cwd.to_path_buf(),
            ),
            (None, None, _) if cluster => (Setting { value: None, origin: Origin::Default }, base.clone()),
            (None, None, Some(url)) => {
                refuse_password(url)?;
                (Setting { value: Some(url.clone()), origin: Origin::File }, base.clone())
            }
            (None, None, None) => {
                (Setting { value: Some(DEFAULT_DATABASE.into()), origin: Origin::Default }, base.clone())
            }
        };
        let database_shown = database.value.as_deref().map(without_password).unwrap_or_default();
        let database = Setting {
            value: database.value.map(|url| absolute_sqlite(&url, &database_base)),
            origin: database.origin,
        };
        let sources = file.environment.values().filter_map(|settings| settings.source.as_ref());
        for source in sources.chain(&file.source) {
            if source.trim().is_empty() {
                return Err(Failure::usage("sower.toml: `source` names a folder or a URL, and it is empty"));
            }
            refuse_credentials(source)?;
        }
        let mut per_environment = BTreeMap::new();
        for (name, settings) in file.environment {
            if let Some(url) = &settings.database {
                refuse_password(url)?;
            }
            let url = settings.database.map(|url| absolute_sqlite(&url, &base));
            per_environment.insert(name, (settings.source, url));
        }
        Ok(Self {
            root,
            file: matches!(found, Some((_, true))),
            target,
            environments,
            source,
            source_base,
            database,
            given: if cluster { String::new() } else { given(at) },
            database_shown,
            per_environment,
        })
    }

    /// Every address of a database can be used, as far as it alone tells.
    ///
    /// # Errors
    /// Usage, with where the other one was set.
    pub fn addresses(&self) -> Result<(), Failure> {
        let general = self.database.value.iter().map(|url| (self.database.origin.to_string(), url));
        let own = self.per_environment.iter().filter_map(|(name, (_, url))| {
            Some((format!("sower.toml, [environment.{name}]"), url.as_ref()?))
        });
        for (origin, url) in general.chain(own) {
            DatabaseUrl::parse(url).map_err(|error| Failure::usage(format!("{origin}: {error}")))?;
        }
        Ok(())
    }

    /// The environments that `sower.toml` says something of.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.per_environment.keys().map(String::as_str)
    }

    /// Whether a flag says what to read: for this once.
    #[must_use]
    pub fn is_one_off(&self) -> bool {
        matches!(self.source.origin, Origin::Flag(_)) || matches!(self.environments.origin, Origin::Flag(_))
    }

    /// The source of one environment: its own entry in `sower.toml` gives way to flag and variable.
    #[must_use]
    pub fn source_of(&self, environment: &str) -> (Option<String>, &Path) {
        let general = || (self.source.value.clone(), self.source_base.as_path());
        match (&self.source.origin, self.per_environment.get(environment)) {
            (Origin::File | Origin::Default, Some((Some(own), _))) => {
                (Some(own.clone()), self.source_base.as_path())
            }
            _ => general(),
        }
    }

    /// The database of one environment, in the manner of [`Settings::source_of`].
    #[must_use]
    pub fn database_of(&self, environment: &str) -> Option<String> {
        match (&self.database.origin, self.per_environment.get(environment)) {
            (Origin::File | Origin::Default, Some((_, Some(own)))) => Some(own.clone()),
            _ => self.database.value.clone(),
        }
    }

    /// Files: the environments are there, or the failure that says what to do.
    ///
    /// # Errors
    /// Usage, where neither `sower.toml` nor the environments are there.
    pub fn project(&self) -> Result<(), Failure> {
        if self.root.is_some() || self.environments.origin != Origin::Default {
            return Ok(());
        }
        let cwd = std::env::current_dir().unwrap_or_default();
        Err(Failure::usage(format!(
            "no project here: neither sower.toml nor environments/ in {} or above",
            cwd.display()
        ))
        .next("files", "cd into a checkout, or --environments DIR")
        .next("cluster", format!("{} -n NAMESPACE", typed())))
    }

    /// What leads another command to the same database: ` --database URL` where it was given so, without its password.
    #[must_use]
    pub fn database_flag(&self) -> String {
        match self.database.origin {
            Origin::Flag(flag) => format!(" {flag} {}", quoted(&self.database_shown)),
            _ => String::new(),
        }
    }
}

/// See [`Settings::given`].
fn given(at: &Where) -> String {
    let Where { target: _, environments, source, database, namespace: _, context: _, kubeconfig: _ } = at;
    let flags = [
        ("--environments", environments.as_ref().map(|path| path.display().to_string())),
        ("--source", source.as_deref().map(without_token)),
        ("--database", database.as_deref().map(without_password)),
    ];
    let given = flags.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
    given.map(|(flag, value)| format!(" {flag} {}", quoted(&value))).collect()
}

/// A source without the user of an https URL, who may be a token; one of ssh is none.
fn without_token(source: &str) -> String {
    let is_http = source.starts_with("http://") || source.starts_with("https://");
    if is_http { crate::origin::without_user(source) } else { source.to_owned() }
}

/// As a shell takes it for one word.
#[must_use]
pub fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:,@%+=".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// The command as it was typed, without its target.
fn typed() -> String {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    format!("sower {}", words.collect::<Vec<_>>().join(" "))
}

/// The folder of `sower.toml` (true), or the nearest that holds `environments` (false).
fn find(from: &Path) -> Option<(PathBuf, bool)> {
    from.ancestors()
        .find(|dir| dir.join("sower.toml").is_file())
        .map(|dir| (dir.to_path_buf(), true))
        .or_else(|| {
            from.ancestors()
                .find(|dir| dir.join("environments").is_dir())
                .map(|dir| (dir.to_path_buf(), false))
        })
}

fn read_file(path: &Path) -> Result<SettingsFile, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    toml::from_str(&text).map_err(|e| {
        let at = e.span().map(|span| {
            let before = &text[..span.start.min(text.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!(":{line}:{column}")
        });
        let failure = Failure::usage(format!("{}{}: {}", path.display(), at.unwrap_or_default(), e.message()));
        if !e.message().starts_with("unknown field") {
            return failure;
        }
        failure
            .next("", "its fields are environments, source, database, target and [environment.NAME] with source, database")
    })
}

fn absolute_sqlite(url: &str, base: &Path) -> String {
    match url.strip_prefix("sqlite://") {
        Some(path) if !path.starts_with('/') && !path.starts_with(":memory:") => {
            format!("sqlite://{}", base.join(path).display())
        }
        _ => url.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(at: &Where, dir: &Path, variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        Settings::resolve(at, false, dir, &|name| variables.get(name).map(|v| (*v).to_string()))
    }

    #[test]
    fn a_flag_wins_over_a_variable_over_the_file() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(
            dir.path().join("sower.toml"),
            "source = \".#HEAD\"\ndatabase = \"sqlite://a.db\"\n[environment.development]\nsource = \".\"\n",
        )
        .expect("written");
        let inner = dir.path().join("x/y");
        std::fs::create_dir_all(&inner).expect("made");
        let settings = resolve(&Where::default(), &inner, &[]).expect("read");
        assert_eq!(settings.database.value, Some(format!("sqlite://{}/a.db", dir.path().display())));
        assert_eq!(settings.source_of("development").0.as_deref(), Some("."));
        assert_eq!(settings.source_of("staging").0.as_deref(), Some(".#HEAD"));

        let settings = resolve(&Where::default(), &inner, &[("SOWER_DATABASE_URL", "postgres://u:p@h/d")])
            .expect("read");
        assert_eq!(settings.database.origin, Origin::Variable("SOWER_DATABASE_URL"));
        assert_eq!(settings.database_shown, "postgres://u@h/d");
        assert_eq!(settings.database_flag(), "");
        for (given, flag) in [
            ("postgres://u:p@h/d", " --database postgres://u@h/d"),
            ("postgres://h/d?sslmode=require&x=y", " --database 'postgres://h/d?sslmode=require&x=y'"),
        ] {
            let at = Where { database: Some(given.into()), ..Where::default() };
            assert_eq!(resolve(&at, &inner, &[]).expect("read").database_flag(), flag);
        }

        let at = Where { source: Some("z".into()), ..Where::default() };
        let settings = resolve(&at, &inner, &[]).expect("read");
        assert_eq!(settings.source_of("development").0.as_deref(), Some("z"));
    }

    #[test]
    fn a_password_in_the_file_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("sower.toml"), "database = \"postgres://u:secret@h/d\"\n")
            .expect("written");
        let failure = resolve(&Where::default(), dir.path(), &[]).expect_err("refused");
        assert!(!failure.text().contains("secret"), "{}", failure.text());
    }

    #[test]
    fn fields_are_named_where_one_is_unknown_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        for (text, named) in [("sorce = \".\"\n", true), ("source = [\n", false), ("source = 1\n", false)] {
            std::fs::write(dir.path().join("sower.toml"), text).expect("written");
            let failure = resolve(&Where::default(), dir.path(), &[]).expect_err("refused");
            assert_eq!(failure.text().contains("its fields are"), named, "{}", failure.text());
        }
    }

    #[test]
    fn the_target_follows_the_flags() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = Where { namespace: Some("sower".into()), ..Where::default() };
        assert_eq!(resolve(&at, dir.path(), &[]).expect("read").target.value, TargetKind::Cluster);
        let at = Where { namespace: Some("sower".into()), source: Some(".".into()), ..Where::default() };
        assert_eq!(resolve(&at, dir.path(), &[]).expect_err("refused").exit, crate::failure::Exit::Usage);
        let at = Where { namespace: Some("x".into()), target: Some(TargetKind::Files), ..Where::default() };
        assert!(resolve(&at, dir.path(), &[]).is_err());
    }
}
