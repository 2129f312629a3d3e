//! The Environments of a checkout: their documents on disk, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sower_core::manifest::{LoadedEnvironment, load_environments};
use sower_core::problem::{self, Code, Problem};
use sower_core::promotion::depends::{Waits, circle, waits_for};
use sower_crds::EnvironmentSpec;
use sower_crds::environment::{Database, Migrate};

use crate::failure::Failure;

/// The largest file that is read, in bytes: that of a manifest.
const LARGEST: u64 = 5 << 20;

/// What a folder or a file of Environments holds.
#[derive(Debug, Default)]
pub struct EnvironmentFiles {
    /// The valid ones, by name.
    pub environments: Vec<LoadedEnvironment>,
    /// What is wrong, sorted by file and line.
    pub problems: Vec<Problem>,
    /// Number of files that hold an invalid one.
    pub invalid: usize,
    /// Those that are there and cannot be read, by name.
    pub broken: Vec<Broken>,
    /// The text of each file that was read, by the path that problems name.
    pub texts: BTreeMap<String, String>,
    /// Name and file of each document, valid or not, as far as its name can be read; in their order.
    documents: Vec<(String, String)>,
}

/// An Environment that is there and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its name, as its document says; else that of its file.
    pub name: String,
    /// Path of its file.
    pub path: String,
    /// Where the first problem is, and its code: `environments/qa.yaml:6:3 unknown-field`.
    pub problem: String,
}

impl Broken {
    fn new(name: String, problem: &Problem) -> Self {
        let told = format!("{} {}", problem.location(), problem.code);
        Self { name, path: problem.file.clone(), problem: told }
    }

    /// What every command says that is asked for it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::failed(format!("environment `{}` is there, and cannot be read: {}", self.name, self.problem))
            .next("what is wrong", "sower validate")
    }
}

/// What stands for an environment whose file says nothing: its name, for what its rows alone are enough. Its database is
/// taken as it is.
#[must_use]
pub fn unread(name: &str, path: &str) -> LoadedEnvironment {
    let database = Database { migrate: Migrate::Never, ..Database::default() };
    LoadedEnvironment {
        name: name.to_owned(),
        spec: EnvironmentSpec { database: Some(database), ..EnvironmentSpec::default() },
        freeze_override: None,
        path: path.to_owned(),
        document: 0,
        lines: BTreeMap::new(),
    }
}

/// A file, and the line and column in it.
type Place<'a> = (&'a str, (u32, u32));

/// What tells whose document it is, where the rest of it is off.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Named {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    metadata: Metadata,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

impl EnvironmentFiles {
    /// Reads a file, or every YAML and JSON file of a folder. Problems name them below `shown`.
    ///
    /// # Errors
    /// Usage, where the folder is not there or cannot be listed.
    pub fn read(path: &Path, shown: &Path) -> Result<Self, Failure> {
        let files = if path.is_dir() { listed(path)? } else { vec![path.to_path_buf()] };
        let mut all = Self::default();
        for file in files {
            let shown = match file.strip_prefix(path) {
                Ok(below) if !below.as_os_str().is_empty() => shown.join(below),
                _ => shown.to_path_buf(),
            };
            let shown = shown.display().to_string();
            match read(&file) {
                Ok(bytes) => all.add(&shown, &bytes),
                // One that cannot be read keeps nobody from the others.
                Err(error) => all.unreadable(&shown, &error),
            }
        }
        all.refuse_duplicates();
        all.refuse_circles();
        problem::sort(&mut all.problems);
        all.environments.sort_by(|a, b| a.name.cmp(&b.name));
        all.broken.sort_by(|a, b| a.name.cmp(&b.name));
        all.broken.dedup_by(|a, b| a.name == b.name);
        Ok(all)
    }

    /// Adds what one file holds.
    pub fn add(&mut self, shown: &str, bytes: &[u8]) {
        let (loaded, problems) = load_environments(shown, bytes);
        if loaded.is_empty() && problems.is_empty() {
            return;
        }
        let mut names = names_in(bytes);
        let mut broken = names.clone();
        let mut known = true;
        for one in &loaded {
            match broken.iter().position(|name| *name == one.name) {
                Some(at) => drop(broken.remove(at)),
                None => known = false,
            }
        }
        if names.is_empty() || !known {
            names = loaded.iter().map(|one| one.name.clone()).collect();
            broken = own_name(shown).into_iter().filter(|name| !names.contains(name)).collect();
        }
        if let Some(first) = problems.iter().find(|problem| problem.is_error()) {
            self.invalid += 1;
            self.broken.extend(broken.into_iter().map(|name| Broken::new(name, first)));
        }
        self.documents.extend(names.into_iter().map(|name| (name, shown.to_owned())));
        self.environments.extend(loaded);
        self.problems.extend(problems);
        self.texts.insert(shown.to_owned(), String::from_utf8_lossy(bytes).into_owned());
    }

    /// Notes a file of which nothing can be read.
    fn unreadable(&mut self, shown: &str, error: &std::io::Error) {
        let code = match error.kind() {
            std::io::ErrorKind::FileTooLarge => Code::TooLarge,
            _ => Code::Syntax,
        };
        let problem = Problem {
            code,
            severity: code.severity(),
            file: shown.to_owned(),
            line: 1,
            column: 1,
            length: 1,
            pointer: String::new(),
            message: format!("the file cannot be read: {error}"),
            expected: String::new(),
            hint: None,
            integration: None,
        };
        self.invalid += 1;
        self.broken.extend(own_name(shown).map(|name| Broken::new(name, &problem)));
        self.problems.push(problem);
    }

    /// Of several Environments of one name, be they valid or not, none can be taken: which one was meant?
    fn refuse_duplicates(&mut self) {
        let mut places: BTreeMap<&str, Vec<Place<'_>>> = BTreeMap::new();
        for (name, path) in &self.documents {
            let places = places.entry(name).or_default();
            let earlier = places.iter().filter(|(other, _)| *other == path.as_str()).count();
            places.push((path.as_str(), self.place_of_name(name, path, earlier)));
        }
        let mut problems = Vec::new();
        for (name, places) in places.iter().filter(|(_, places)| places.len() > 1) {
            for (own, (file, at)) in places.iter().enumerate() {
                let others = places.iter().enumerate().filter(|(other, _)| *other != own);
                let others = others.map(|(_, (file, (line, _)))| format!("{file}:{line}"));
                let others: Vec<String> = others.collect();
                problems.push(duplicate(name, file, *at, &others.join(", ")));
            }
            self.broken.extend(problems.last().map(|problem| Broken::new((*name).to_owned(), problem)));
        }
        let refused = |one: &LoadedEnvironment| {
            problems.iter().any(|p| p.message.starts_with(&format!("`{}`", one.name)))
        };
        self.invalid += self.environments.iter().filter(|one| refused(one)).count();
        self.environments.retain(|one| !refused(one));
        self.problems.extend(problems);
    }

    /// Of environments that wait for each other in a circle, none could ever be seeded.
    fn refuse_circles(&mut self) {
        let waits: Waits<'_> =
            self.environments.iter().map(|one| (one.name.as_str(), waits_for(&one.spec).collect())).collect();
        let mut problems = Vec::new();
        for one in &self.environments {
            if let Some(circle) = circle(&waits, &one.name) {
                problems.push((one.name.clone(), in_a_circle(one, &circle)));
            }
        }
        self.invalid += problems.len();
        self.environments.retain(|one| !problems.iter().any(|(name, _)| *name == one.name));
        for (name, problem) in problems {
            self.broken.push(Broken::new(name, &problem));
            self.problems.push(problem);
        }
    }

    /// The names of its Environments, valid or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let documents = self.documents.iter().map(|(name, _)| name.as_str());
        documents.chain(self.broken.iter().map(|broken| broken.name.as_str()))
    }

    /// What an Environment waits for that is neither here nor among `others`: it could never be seeded. They are taken all the
    /// same: who is seeded from elsewhere meanwhile is told that it waits.
    #[must_use]
    pub fn not_there(&self, others: &Self) -> Vec<Problem> {
        let known: BTreeSet<&str> = self.names().chain(others.names()).collect();
        let mut problems = Vec::new();
        for one in &self.environments {
            let on = one.spec.depends_on.iter().enumerate();
            let on = on.map(|(at, on)| (format!("/dependsOn/{at}/name"), on.name.as_str()));
            let from = one.spec.promotion.iter();
            let from = from.map(|promotion| ("/promotion/from".to_owned(), promotion.from.as_str()));
            let missing = on.chain(from).filter(|(_, name)| !known.contains(name));
            problems.extend(missing.map(|(pointer, name)| not_there(one, &pointer, name, &known)));
        }
        problems
    }

    /// Line and column of the value of `metadata.name`, which so many documents before it in its file have too; the first
    /// where that cannot be told.
    fn place_of_name(&self, name: &str, path: &str, earlier: usize) -> (u32, u32) {
        let Some(text) = self.texts.get(path) else { return (1, 1) };
        let named = |(at, line): (usize, &str)| {
            let key = line.trim().trim_start_matches("metadata:").trim_start_matches(['{', ' ']);
            let value = key.strip_prefix("name:")?;
            if value.trim_matches([' ', '"', '\'', '}']) != name {
                return None;
            }
            let before = line.rfind(name).map_or("", |byte| &line[..byte]);
            Some((at + 1, before.chars().count() + 1))
        };
        let (line, column) = text.lines().enumerate().filter_map(named).nth(earlier).unwrap_or((1, 1));
        (u32::try_from(line).unwrap_or(1), u32::try_from(column).unwrap_or(1))
    }

    /// A line of a file, for drawing.
    #[must_use]
    pub fn line(&self, file: &str, line: u32) -> Option<String> {
        let text = self.texts.get(file)?;
        text.lines().nth(line.checked_sub(1)? as usize).map(str::to_owned)
    }
}

/// The names of a file's Environments, as far as they can be told.
fn names_in(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let documents: Vec<Named> = serde_saphyr::from_multiple(&text).unwrap_or_default();
    let ours = documents.into_iter().filter(|document| {
        document.kind == "Environment"
            && (document.api_version.is_empty() || document.api_version.starts_with("sower.dev/"))
    });
    ours.map(|document| document.metadata.name).filter(|name| !name.is_empty()).collect()
}

/// What a file is called, without its end: the name of its Environment, where that cannot be told.
fn own_name(shown: &str) -> Option<String> {
    Path::new(shown).file_stem().map(|stem| stem.to_string_lossy().into_owned())
}

fn duplicate(name: &str, file: &str, (line, column): (u32, u32), others: &str) -> Problem {
    Problem {
        code: Code::DuplicateManifest,
        severity: Code::DuplicateManifest.severity(),
        file: file.to_owned(),
        line,
        column,
        length: u32::try_from(name.chars().count()).unwrap_or(1),
        pointer: "/metadata/name".into(),
        message: format!("`{name}` is the name of another environment too: {others}"),
        expected: "not the only environment of this name".into(),
        hint: Some("rename one of them, or delete it".into()),
        integration: None,
    }
}

fn not_there(one: &LoadedEnvironment, pointer: &str, name: &str, known: &BTreeSet<&str>) -> Problem {
    let (line, column) = one.lines.get(pointer).copied().unwrap_or((1, 1));
    let near = known.iter().map(|other| (strsim::damerau_levenshtein(other, name), other));
    let near = near.filter(|(distance, other)| *distance <= 2 && **other != one.name).min();
    Problem {
        code: Code::UnknownReference,
        severity: Code::UnknownReference.severity(),
        file: one.path.clone(),
        line,
        column,
        length: u32::try_from(name.chars().count()).unwrap_or(1),
        pointer: format!("/spec{pointer}"),
        message: format!("no environment is called `{name}`"),
        expected: "names no environment".into(),
        hint: near.map(|(_, near)| format!("did you mean `{near}`?")),
        integration: None,
    }
}

fn in_a_circle(one: &LoadedEnvironment, circle: &[&str]) -> Problem {
    let next = circle.get(1).copied().unwrap_or(&one.name);
    let on = one.spec.depends_on.iter().position(|on| on.name == next);
    let pointer = on.map_or_else(|| "/promotion/from".to_owned(), |at| format!("/dependsOn/{at}/name"));
    let (line, column) = one.lines.get(&pointer).copied().unwrap_or((1, 1));
    Problem {
        code: Code::SelfDependency,
        severity: Code::SelfDependency.severity(),
        file: one.path.clone(),
        line,
        column,
        length: u32::try_from(next.chars().count()).unwrap_or(1),
        pointer: format!("/spec{pointer}"),
        message: format!("environments wait for each other in a circle: {}", circle.join(", ")),
        expected: "waits for itself".into(),
        hint: Some("take one of them out of dependsOn or promotion".into()),
        integration: None,
    }
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let document =
            path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if document && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "larger than 5 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: qa\nspec:\n";

    fn broken(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        for (file, text) in files {
            std::fs::write(folder.path().join(file), text).expect("written");
        }
        let files = EnvironmentFiles::read(folder.path(), Path::new("e")).expect("read");
        files.broken.into_iter().map(|one| (one.name, one.problem)).collect()
    }

    fn is(name: &str, problem: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), problem.to_owned())]
    }

    #[test]
    fn what_cannot_be_read_keeps_its_name() {
        let unknown = format!("{DOCUMENT}  pruneLimits: 3\n");
        assert_eq!(broken(&[("q.yaml", &unknown)]), is("qa", "e/q.yaml:6:3 unknown-field"));
        assert_eq!(broken(&[("q.yaml", "kind: [\n")])[0].0, "q");
        let fine = format!("{DOCUMENT}  prune: true\n");
        assert_eq!(broken(&[("q.yaml", &fine)]), []);
        let second = format!("{fine}---\n{}", unknown.replace("qa", "other"));
        assert_eq!(broken(&[("q.yaml", &second)]), is("other", "e/q.yaml:13:3 unknown-field"));
    }

    #[test]
    fn a_broken_one_and_another_of_its_name_are_both_refused() {
        let fine = format!("{DOCUMENT}  prune: true\n");
        let unknown = format!("{DOCUMENT}  pruneLimits: 3\n");
        let one_file = [("a.yaml", format!("{unknown}---\n{fine}"))];
        let two_files = [("a.yaml", unknown), ("b.yaml", fine)];
        let places = |files: &[(&str, String)]| {
            let folder = tempfile::tempdir().expect("a folder");
            for (file, text) in files {
                std::fs::write(folder.path().join(file), text).expect("written");
            }
            let files = EnvironmentFiles::read(folder.path(), Path::new("e")).expect("read");
            assert!(files.environments.is_empty(), "{:?}", files.environments);
            assert_eq!(files.broken.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["qa"]);
            let twice = files.problems.iter().filter(|problem| problem.code == Code::DuplicateManifest);
            twice.map(Problem::location).collect::<Vec<_>>()
        };
        assert_eq!(places(&one_file), ["e/a.yaml:4:9", "e/a.yaml:11:9"]);
        assert_eq!(places(&two_files), ["e/a.yaml:4:9", "e/b.yaml:4:9"]);
    }

    #[test]
    fn who_waits_for_nobody_that_is_there_is_told_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "{DOCUMENT}  dependsOn: [{{ name: staging }}, {{ name: broken }}]\n  promotion: {{ from: stagin }}\n"
        );
        std::fs::write(folder.path().join("qa.yaml"), text).expect("written");
        std::fs::write(folder.path().join("broken.yaml"), "kind: [\n").expect("written");
        let read = || EnvironmentFiles::read(folder.path(), Path::new("e")).expect("read");
        let told = |others: &EnvironmentFiles| {
            let problems = read().not_there(others);
            problems.iter().map(|p| format!("{p} {:?}", p.hint)).collect::<Vec<_>>()
        };
        let stagin = "e/qa.yaml:7:16: error[unknown-reference]: no environment is called `stagin`";
        let staging = "e/qa.yaml:6:17: error[unknown-reference]: no environment is called `staging` None";
        assert_eq!(told(&EnvironmentFiles::default()), [staging.to_owned(), format!("{stagin} None")]);
        let mut others = EnvironmentFiles::default();
        others.add("s.yaml", DOCUMENT.replace("qa", "staging").replace("spec:\n", "spec: {}\n").as_bytes());
        let meant = "Some(\"did you mean `staging`?\")";
        assert_eq!(told(&others), [format!("{stagin} {meant}")]);
        // It is taken all the same.
        assert_eq!(read().environments.len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_keeps_nobody_from_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("qa.yaml"), format!("{DOCUMENT}  prune: true\n")).expect("written");
        let large = std::fs::File::create(folder.path().join("large.yaml")).expect("made");
        large.set_len(LARGEST + 1).expect("grown");
        let files = EnvironmentFiles::read(folder.path(), Path::new("e")).expect("read");
        assert_eq!(files.environments.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["qa"]);
        let broken: Vec<(&str, &str)> =
            files.broken.iter().map(|one| (one.name.as_str(), one.problem.as_str())).collect();
        assert_eq!(broken, [("large", "e/large.yaml:1:1 too-large")]);
        assert_eq!(files.invalid, 1);
    }

    #[test]
    fn who_waits_for_itself_is_refused() {
        let text = |name: &str, spec: &str| {
            format!("{}{spec}", DOCUMENT.replace("name: qa", &format!("name: {name}")))
        };
        let a = text("a", "  promotion: { from: b }\n");
        let b = text("b", "  dependsOn: [{ name: c }]\n");
        let c = text("c", "  dependsOn: [{ name: a }]\n");
        let d = text("d", "  dependsOn: [{ name: a }]\n");
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("a", &a), ("b", &b), ("c", &c), ("d", &d)] {
            std::fs::write(folder.path().join(format!("{name}.yaml")), text).expect("written");
        }
        let files = EnvironmentFiles::read(folder.path(), Path::new("e")).expect("read");
        let names: Vec<&str> = files.environments.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["d"]);
        let told: Vec<String> =
            files.problems.iter().map(|p| format!("{}: {}", p.location(), p.message)).collect();
        assert_eq!(
            told,
            [
                "e/a.yaml:6:16: environments wait for each other in a circle: a, b, c, a",
                "e/b.yaml:6:17: environments wait for each other in a circle: b, c, a, b",
                "e/c.yaml:6:17: environments wait for each other in a circle: c, a, b, c",
            ]
        );
    }

    #[test]
    fn of_two_of_one_name_the_names_are_marked() {
        let text = format!("{DOCUMENT}  prune: true\n");
        let flow = text.replace("metadata:\n  name: qa", "metadata: { name: qa }");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.yaml"), &text).expect("written");
        std::fs::write(folder.path().join("b.yaml"), &flow).expect("written");
        let files = EnvironmentFiles::read(folder.path(), Path::new("e")).expect("read");
        let marks: Vec<(String, u32)> = files.problems.iter().map(|p| (p.location(), p.length)).collect();
        assert_eq!(marks, [("e/a.yaml:4:9".to_owned(), 2), ("e/b.yaml:3:19".to_owned(), 2)]);
        assert_eq!(files.broken.len(), 1);

        std::fs::remove_file(folder.path().join("b.yaml")).expect("removed");
        std::fs::write(folder.path().join("a.yaml"), format!("{text}---\n{flow}")).expect("written");
        let files = EnvironmentFiles::read(folder.path(), Path::new("e")).expect("read");
        let told = |p: &Problem| (p.location(), p.message.rsplit(": ").next().unwrap_or_default().to_owned());
        let told: Vec<(String, String)> = files.problems.iter().map(told).collect();
        let expected = [("e/a.yaml:4:9", "e/a.yaml:10"), ("e/a.yaml:10:19", "e/a.yaml:4")];
        assert_eq!(told, expected.map(|(at, other)| (at.to_owned(), other.to_owned())));
    }
}
