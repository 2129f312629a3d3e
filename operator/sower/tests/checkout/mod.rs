//! A checkout of four small integrations and three environments, in a folder of its own, for the built binary.

#![allow(dead_code)] // each suite takes what it needs

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A checkout that goes with its value.
pub struct Checkout {
    dir: TempDir,
}

/// What a command printed.
pub struct Ran {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit status.
    pub exit: i32,
}

const SETTINGS: &str = r#"environments = "environments"
source       = ".#HEAD"
database     = "sqlite://.sower/sower.db"
[environment.development]
source       = "."
"#;

/// An integration with one action, in eight lines; its version stands in line 6, its description in line 7.
pub fn manifest(id: &str, version: &str, description: &str) -> String {
    format!(
        "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata: {{ name: {id} }}\nspec:\n  name: {id}\n  version: {version}\n  \
         description: {description}\n  author: Sower\n  license: Apache-2.0\n  category: [test]\n  baseUrl: https://{id}.example\n  \
         permissions: [\"network:{id}.example\"]\n  actions:\n  - id: list\n    name: List\n    description: Lists.\n    \
         inputSchema: {{ type: object, properties: {{}} }}\n    request: {{ method: GET, path: /things }}\n"
    )
}

/// An environment that lets in `allowed`.
pub fn environment(name: &str, allowed: &str, more: &str) -> String {
    format!(
        "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: {name} }}\nspec:\n  allowedIntegrations: [{allowed}]\n{more}"
    )
}

impl Checkout {
    /// Files and their first commit.
    pub fn new() -> Self {
        let checkout = Self::uncommitted();
        checkout.git(&["init", "--quiet", "--initial-branch=main"]);
        checkout.commit("First");
        checkout
    }

    /// The files alone.
    pub fn uncommitted() -> Self {
        let checkout = Self { dir: TempDir::new().expect("a folder") };
        checkout.write("sower.toml", SETTINGS);
        let overriding = "  conflicts: { version: override }\n";
        checkout.write("environments/development.yaml", &environment("development", "\"*\"", overriding));
        checkout.write(
            "environments/production.yaml",
            &environment("production", "stripe, wordpress", "  seedingStrategy: selective\n"),
        );
        let incremental = "  seedingStrategy: incremental\n";
        checkout.write(
            "environments/staging.yaml",
            &environment("staging", "monday, stripe, wordpress", incremental),
        );
        for id in ["monday", "slack", "stripe", "wordpress"] {
            checkout.integration(id, "1.0.0", "As it was");
        }
        checkout
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, as editors do: whoever watches sees the old or the new, and no half of it.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        let folder = path.parent().expect("in a folder");
        std::fs::create_dir_all(folder).expect("made");
        let beside = tempfile::NamedTempFile::new_in(std::env::temp_dir()).expect("made");
        std::fs::write(beside.path(), text).expect("written");
        std::fs::set_permissions(beside.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .expect("set");
        beside.persist(path).expect("renamed");
    }

    /// Writes an integration.
    pub fn integration(&self, id: &str, version: &str, description: &str) {
        self.write(&format!("integrations/{id}/integration.yaml"), &manifest(id, version, description));
    }

    /// Removes a file or a folder.
    pub fn remove(&self, path: &str) {
        let path = self.path().join(path);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
            .expect("removed");
    }

    /// Commits everything.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Sets one of git's own settings of this checkout.
    pub fn configure(&self, key: &str, value: &str) {
        self.git(&["config", key, value]);
    }

    pub fn git(&self, arguments: &[&str]) {
        let done = Command::new("git")
            .args([
                "-c",
                "user.name=AUTHOR",
                "-c",
                "user.email=author@example.com",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(self.path())
            .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")])
            .output()
            .expect("git runs");
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Writes to the database behind Sower's back.
    pub fn sql(&self, statement: &str) {
        let done = Command::new("sqlite3").arg(self.path().join(".sower/sower.db")).arg(statement).output();
        let done = done.expect("sqlite3 runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// What a query of the database says, in one line.
    pub fn read(&self, query: &str) -> String {
        let done = Command::new("sqlite3").arg(self.path().join(".sower/sower.db")).arg(query).output();
        String::from_utf8(done.expect("sqlite3 runs").stdout).expect("text").trim_end().to_owned()
    }

    /// The binary, in this checkout, knowing nothing of the machine's own settings.
    pub fn sower(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sower"));
        command.current_dir(self.path()).env_clear().envs([
            ("HOME", self.path().join(".home")),
            ("PATH", PathBuf::from(std::env::var_os("PATH").unwrap_or_default())),
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_CONFIG_SYSTEM", "/dev/null".into()),
            ("TZ", "UTC".into()),
        ]);
        command
    }

    /// Runs a command line to its end.
    pub fn run(&self, line: &str) -> Ran {
        let Output { status, stdout, stderr } =
            self.sower().args(line.split_whitespace()).output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ran { out: text(stdout), err: text(stderr), exit: status.code().unwrap_or(-1) }
    }

    /// What a user reads: the command, standard error marked with `(2)`, standard output, the exit status; figures masked.
    pub fn transcript(&self, line: &str) -> String {
        let Ran { out, err, exit } = self.run(line);
        let err: String =
            err.lines().map(|line| format!("(2) {line}").trim_end().to_owned() + "\n").collect();
        let text = format!("$ sower {line}\n{err}{out}exit {exit}");
        masked(&text.replace(&self.path().display().to_string(), "/CHECKOUT"))
    }

    /// Several commands.
    pub fn transcripts(&self, lines: &[&str]) -> String {
        lines.iter().map(|line| self.transcript(line)).collect::<Vec<_>>().join("\n")
    }

    /// Runs a command that prints JSON.
    pub fn json(&self, line: &str) -> serde_json::Value {
        let ran = self.run(line);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.out, ran.err))
    }
}

/// Hashes by their length, durations by their unit.
pub fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut word = String::new();
    let end = |masked: &mut String, word: &mut String| {
        masked.push_str(&mask(word));
        word.clear();
    };
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || (character == '.' && word.chars().all(|c| c.is_ascii_digit()))
        {
            word.push(character);
        } else {
            end(&mut masked, &mut word);
            masked.push(character);
        }
    }
    end(&mut masked, &mut word);
    masked
}

fn mask(word: &str) -> String {
    let hex = word.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    match word.len() {
        7 if hex => return "COMMIT7".into(),
        12 if hex => return "PLANPLANPLAN".into(),
        40 if hex => return "COMMIT40".into(),
        64 if hex => return "HASH64".into(),
        _ => {}
    }
    let number = word.trim_end_matches("ms").trim_end_matches('s');
    let timed = !number.is_empty()
        && number.len() < word.len()
        && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    if timed { "TOOK".into() } else { word.to_owned() }
}
