//! Where an environment's sources come from with files: what the environment says, and `--source` in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;
use sower_controllers::environment::reference;
use sower_controllers::rollout::SecretData;
use sower_controllers::seeding::{Job, Origin, SourceInput};
use sower_crds::EnvironmentSpec;
use sower_crds::source::{self, Source};
use sower_source::{Address, Credentials, FetchRequest, Location, Reference};

use crate::choice;
use crate::environments::EnvironmentFiles;
use crate::failure::Failure;
use crate::settings::{Origin as Set, Settings};
use crate::snapshots::prefix;
use crate::trouble::Shown;

/// The folder that holds manifests where no environment says otherwise.
const DEFAULT_PATH: &str = "integrations";
/// The name of the source of an environment that names none.
const DEFAULT_NAME: &str = "default";

/// The Environments that the settings name.
///
/// # Errors
/// Usage, where they are not there.
pub fn environment_files(settings: &Settings) -> Result<EnvironmentFiles, Failure> {
    let path = &settings.environments.value;
    if !path.exists() {
        let shown = shown(path, settings);
        return Err(Failure::usage(format!(
            "no Environments: `{}` is not there ({})",
            shown.display(),
            settings.environments.origin
        ))
        .next("", "--environments DIR|FILE names them"));
    }
    EnvironmentFiles::read(path, &shown(path, settings))
}

/// What `sower.toml` says of environments that are not there: most likely their names are mistyped. Where a flag or a
/// variable leads to other Environments than it does, its own may well be missing.
#[must_use]
pub fn strangers(settings: &Settings, files: &EnvironmentFiles) -> Option<String> {
    if !matches!(settings.environments.origin, Set::File | Set::Default) {
        return None;
    }
    let broken = files.broken.iter().map(|broken| broken.name.as_str());
    let known: BTreeSet<&str> =
        files.environments.iter().map(|one| one.name.as_str()).chain(broken).collect();
    let strange: Vec<String> = settings
        .named()
        .filter(|name| !known.contains(name))
        .map(|name| format!("[environment.{name}]"))
        .collect();
    let there = || known.iter().copied().collect::<Vec<_>>().join(", ");
    (!strange.is_empty() && !known.is_empty())
        .then(|| format!("sower.toml: {} names no environment ({})", strange.join(", "), there()))
}

/// What a command says that needs Environments, where a folder or file holds none.
#[must_use]
pub fn no_environment(settings: &Settings) -> Failure {
    let path = &settings.environments.value;
    let shown = shown(path, settings).display().to_string();
    let one = if path.is_dir() { format!("{shown}/development.yaml") } else { shown.clone() };
    choice::none(&format!("`{shown}` ({})", settings.environments.origin))
        .next("write one", format!("{one}, a document of `kind: Environment` (docs/environment.md)"))
        .next("elsewhere", "--environments DIR|FILE names another place")
}

/// A path as people see it: a folder or file of the project from there.
fn shown(path: &Path, settings: &Settings) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => prefix(parent, settings).join(name),
        _ => path.to_path_buf(),
    }
}

/// The folders on this disk, each with the path below it, whose files an environment's sources would be made of. What
/// is elsewhere is left out.
#[must_use]
pub fn on_disk(settings: &Settings, environment: &str, spec: &EnvironmentSpec) -> Vec<(PathBuf, String)> {
    let (text, base) = settings.source_of(environment);
    let project = settings.root.clone().unwrap_or_else(|| base.to_path_buf());
    let replaced = text.map(|text| match location(&text, base) {
        Location::Folder(dir) | Location::Checkout { dir, .. } => dir,
        Location::Remote { .. } => project.clone(),
    });
    if spec.sources.is_empty() {
        return vec![(replaced.unwrap_or(project), DEFAULT_PATH.to_owned())];
    }
    let places = spec.sources.iter().filter_map(|source| {
        let path = source.folder_path().to_owned();
        match (&replaced, source.origin()) {
            (Some(dir), _) => Some((dir.clone(), path)),
            (None, Some(source::Origin::Folder(folder))) => Some((project.join(folder), path)),
            // The repository is most likely this one: its files are what a push would bring.
            (None, Some(source::Origin::Git(_))) if !path.is_empty() && project.join(&path).is_dir() => {
                Some((project.clone(), path))
            }
            _ => None,
        }
    });
    places.collect()
}

/// What the sources of an environment are read from.
///
/// # Errors
/// Usage, where a source cannot be read with files.
pub fn sources(
    settings: &Settings,
    environment: &str,
    spec: &EnvironmentSpec,
    secrets: &Secrets,
) -> Result<Vec<SourceInput>, Failure> {
    let (text, base) = settings.source_of(environment);
    let project = settings.root.clone().unwrap_or_else(|| base.to_path_buf());
    let replaced = text.as_deref().map(|text| origin_of(location(text, base)));
    if spec.sources.is_empty() {
        let origin = replaced.unwrap_or(Origin::Folder(project));
        return Ok(vec![SourceInput {
            name: DEFAULT_NAME.into(),
            priority: 0,
            path: DEFAULT_PATH.into(),
            origin,
        }]);
    }
    spec.sources
        .iter()
        .map(|source| input(source, replaced.as_ref(), &project, environment, secrets))
        .collect()
}

fn input(
    source: &Source,
    replaced: Option<&Origin>,
    project: &Path,
    environment: &str,
    secrets: &Secrets,
) -> Result<SourceInput, Failure> {
    let credentials = || match source.git.as_ref().and_then(|git| git.secret_ref.as_ref()) {
        Some(secret) => secrets.credentials(&secret.name),
        None => Ok(Credentials::default()),
    };
    let origin = match (replaced, source.origin()) {
        // The Secret is for the server that the spec names beside it, and for no other.
        (Some(Origin::Git(request)), Some(source::Origin::Git(git)))
            if Address::same_server(&request.url, &git.url) =>
        {
            Origin::Git(FetchRequest { credentials: credentials()?, ..request.clone() })
        }
        (Some(origin), _) => origin.clone(),
        (None, Some(source::Origin::Git(git))) => Origin::Git(FetchRequest {
            credentials: credentials()?,
            ..FetchRequest::new(git.url.clone(), reference(&git.reference))
        }),
        (None, Some(source::Origin::Folder(folder))) => Origin::Folder(project.join(folder)),
        (None, Some(source::Origin::Cluster(_)) | None) => {
            return Err(Failure::usage(format!(
                "source `{}` of {environment} lists resources of a cluster, and files have none",
                source.name
            ))
            .next("instead", "--source DIR")
            .next("cluster", "-n NAMESPACE asks the cluster"));
        }
    };
    Ok(SourceInput {
        name: source.name.clone(),
        priority: source.priority,
        path: source.folder_path().to_owned(),
        origin,
    })
}

/// What the argument of `--source` names, with a relative folder taken from `base`.
fn location(text: &str, base: &Path) -> Location {
    // Without the `.` that stands for the folder itself.
    let below = |dir: PathBuf| base.join(dir).components().collect::<PathBuf>();
    match Location::parse(text) {
        Location::Folder(dir) => Location::Folder(below(dir)),
        Location::Checkout { dir, reference } => Location::Checkout { dir: below(dir), reference },
        remote @ Location::Remote { .. } => remote,
    }
}

fn origin_of(location: Location) -> Origin {
    match location {
        Location::Folder(dir) => Origin::Folder(dir),
        Location::Checkout { dir, reference } => Origin::Checkout { dir, reference },
        Location::Remote { url, reference } => {
            Origin::Git(FetchRequest::new(url, Reference::Named(reference)))
        }
    }
}

/// Where the sources come from, as people wrote it: `.#HEAD`, a URL without its user part.
#[must_use]
pub fn described(settings: &Settings, environment: Option<(&str, &EnvironmentSpec)>) -> String {
    let text = match environment {
        Some((name, _)) => settings.source_of(name).0,
        None => settings.source.value.clone(),
    };
    if let Some(text) = text {
        return without_user(&text);
    }
    let sources = environment.map(|(_, spec)| spec.sources.as_slice()).unwrap_or_default();
    match sources {
        [] => ".".to_owned(),
        [only] => match only.origin() {
            Some(source::Origin::Git(git)) => without_user(&git.url),
            Some(source::Origin::Folder(folder)) => folder.to_owned(),
            _ => only.name.clone(),
        },
        several => format!("{} sources", several.len()),
    }
}

/// A URL without its user part.
#[must_use]
pub fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if let Some((_, host)) = authority.rsplit_once('@') {
        return format!("{scheme}://{host}{path}");
    }
    // What looks like a port and is none is the beginning of a password that nobody escaped.
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let broken = !authority.ends_with(']') && !port.bytes().all(|byte| byte.is_ascii_digit());
    match path.rsplit_once('@') {
        Some((_, host)) if broken => format!("{scheme}://{host}"),
        _ => text.to_owned(),
    }
}

/// The Secret whose credentials a server was shown for a source of a job.
#[must_use]
pub fn secret_of<'a>(job: &'a Job, source: Option<&str>) -> Option<&'a str> {
    let asked = job.sources.iter().find(|asked| Some(asked.name.as_str()) == source)?;
    let Origin::Git(request) = &asked.origin else { return None };
    if request.credentials == Credentials::default() {
        return None;
    }
    let named = job.spec.sources.iter().find(|named| named.name == asked.name)?;
    named.git.as_ref()?.secret_ref.as_ref().map(|secret| secret.name.as_str())
}

/// The Secrets that stand beside the Environments in their files, and the file of each.
#[derive(Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, BTreeMap<String, Vec<u8>>>, BTreeMap<String, String>);

impl Secrets {
    /// Reads them from the texts of the files.
    #[must_use]
    pub fn of(files: &EnvironmentFiles) -> Self {
        let (mut secrets, mut places) = (BTreeMap::new(), BTreeMap::new());
        for (path, text) in &files.texts {
            let documents: Vec<Document> = serde_saphyr::from_multiple(text).unwrap_or_default();
            for document in
                documents.into_iter().filter(|document| document.kind.as_deref() == Some("Secret"))
            {
                let mut data = BTreeMap::new();
                for (key, encoded) in document.data {
                    if let Some(bytes) = decoded(&encoded) {
                        data.insert(key, bytes);
                    }
                }
                data.extend(document.string_data.into_iter().map(|(key, text)| (key, text.into_bytes())));
                places.insert(document.metadata.name.clone(), path.clone());
                secrets.insert(document.metadata.name, data);
            }
        }
        Self(secrets, places)
    }

    /// The Secret whose credentials a server was shown for a source of a job, and where to renew them.
    #[must_use]
    pub fn shown(&self, job: &Job, source: Option<&str>) -> Option<Shown> {
        let name = secret_of(job, source)?;
        let place = self.1.get(name)?;
        Some(Shown {
            name: name.to_owned(),
            renew: format!("the Secret `{name}` in {place}, then sower seed -e {}", job.environment),
        })
    }

    /// What the one of this name holds.
    fn data(&self, name: &str) -> SecretData {
        let data = self.0.get(name).cloned();
        data.ok_or_else(|| format!("no secret {name} stands beside the Environments"))
    }

    /// Credentials for git; none where the Secret is not there, so that the user's own are tried.
    fn credentials(&self, name: &str) -> Result<Credentials, Failure> {
        match self.0.get(name) {
            None => Ok(Credentials::default()),
            Some(data) => Credentials::from_secret(data).map_err(|cause| {
                Failure::usage(format!("the Secret {name} beside the Environments: {cause}"))
            }),
        }
    }
}

impl std::fmt::Debug for Secrets {
    /// Their names: nothing of what they hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl sower_controllers::rollout::Secrets for Secrets {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, SecretData> {
        Box::pin(std::future::ready(self.data(name)))
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    kind: Option<String>,
    metadata: Metadata,
    data: BTreeMap<String, String>,
    string_data: BTreeMap<String, String>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

fn decoded(base64: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in base64.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stand_beside_their_environments() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: { name: git }\ndata: { username: Y2k= }\nstringData: { password: p }\n---\n\
                    apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: { name: a }\nspec: {}\n";
        let mut files = EnvironmentFiles::default();
        files.add("a.yaml", text.as_bytes());
        let credentials = Secrets::of(&files).credentials("git").expect("read");
        assert_eq!(credentials.username.as_deref(), Some("ci"));
        assert_eq!(credentials.password.as_deref(), Some("p"));
        assert!(!format!("{credentials:?}").contains("ci\""));
    }

    #[test]
    fn a_secret_goes_to_its_own_server_alone() {
        let mut secrets = Secrets::default();
        let password = BTreeMap::from([("password".to_owned(), b"hunter2".to_vec())]);
        secrets.0.insert("git".into(), password);
        let source: Source = serde_json::from_value(serde_json::json!({
            "name": "catalog",
            "git": {
                "url": "https://git.acme.example/catalog.git", "ref": { "branch": "main" }, "secretRef": { "name": "git" },
            },
        }))
        .expect("a source");
        for (given, expected) in [
            (None, Some("hunter2")),
            (Some("https://git.acme.example/fork.git#next"), Some("hunter2")),
            (Some("https://git.other.example/catalog.git"), None),
            (Some("http://127.0.0.1/catalog.git"), None),
        ] {
            let replaced = given.map(|text| origin_of(location(text, Path::new("/"))));
            let input =
                input(&source, replaced.as_ref(), Path::new("/"), "production", &secrets).expect("a source");
            let Origin::Git(request) = input.origin else { panic!("{given:?}") };
            assert_eq!(request.credentials.password.as_deref(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_user() {
        assert_eq!(without_user("https://u:p@h/a.git#main"), "https://h/a.git#main");
        assert_eq!(without_user("https://u:p/w@h/a.git#main"), "https://h/a.git#main");
        assert_eq!(without_user("https://h:8443/@team/a.git"), "https://h:8443/@team/a.git");
        assert_eq!(without_user(".#HEAD"), ".#HEAD");
    }
}
