//! A checkout in a temporary folder, and the built binary run in it.

use std::path::Path;
use std::process::{Command, Stdio};

/// The binary.
const SOWER: &str = env!("CARGO_BIN_EXE_sower");

/// A checkout of the shipped integrations and environments, with a commit.
pub struct Checkout {
    folder: tempfile::TempDir,
}

/// What a command printed.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status; -1 where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Checkout {
    /// The repository's own environments, integrations and settings, committed.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for part in ["environments", "integrations"] {
            copy(&root.join(part), &folder.path().join(part));
        }
        std::fs::copy(root.join("sower.toml"), folder.path().join("sower.toml")).expect("copied");
        let checkout = Self { folder };
        checkout.git(&["init", "--quiet", "--initial-branch=main"]);
        checkout.commit("Start");
        checkout
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn git(&self, arguments: &[&str]) {
        let identity =
            ["-c", "user.name=AUTHOR", "-c", "user.email=author@example.com", "-c", "commit.gpgsign=false"];
        let status =
            clean(Command::new("git")).args(identity).args(arguments).current_dir(self.path()).status();
        assert!(status.expect("git").success(), "git {arguments:?}");
    }

    /// Commits everything.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Replaces a text in a file; it has to be there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(path, text.replacen(from, to, 1)).expect("written");
    }

    /// Writes a file.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// Runs `sower` with these words, in this folder.
    pub fn sower(&self, words: &str) -> Ran {
        self.sower_in("", words, &[])
    }

    /// Runs it in a folder below, with variables.
    pub fn sower_in(&self, folder: &str, words: &str, variables: &[(&str, &str)]) -> Ran {
        run(&self.path().join(folder), words, variables)
    }

    /// The command with its output, as a transcript shows it, with figures masked.
    pub fn transcript(&self, words: &str) -> String {
        let Ran { code, out, err } = self.sower(words);
        let err: String = err.lines().map(|line| format!("(2) {line}\n")).collect();
        mask(&format!("$ sower {words}\n{err}{out}exit {code}\n"))
    }
}

/// Runs `sower` somewhere.
pub fn run(folder: &Path, words: &str, variables: &[(&str, &str)]) -> Ran {
    let output = clean(Command::new(SOWER))
        .args(words.split(' ').filter(|word| !word.is_empty()))
        .envs(variables.iter().copied())
        .current_dir(folder)
        .output()
        .expect("sower runs");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A command with nothing of this process's environment but PATH.
pub fn clean(mut command: Command) -> Command {
    command.env_clear().stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// The binary as a command, for tests that need its pipes.
pub fn command(folder: &Path, words: &str) -> Command {
    let mut command = clean(Command::new(SOWER));
    command.args(words.split(' ')).current_dir(folder);
    command
}

/// Hashes and times as `#`. Columns with times are as wide as those are, so their spaces are three.
pub fn mask(text: &str) -> String {
    let columns = ["WHEN ", "SINCE", "SEEDED "].iter().any(|head| text.contains(head));
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut line: String = words(line).into_iter().map(masked).collect();
        for unit in ["min", "hour", "hours"] {
            if let Some(at) = line.find(&format!(" {unit} ago")) {
                let digits = line[..at].chars().rev().take_while(char::is_ascii_digit).count();
                line.replace_range(at - digits..at + 1 + unit.len(), "#");
            }
        }
        while columns && line.trim_start().contains("    ") {
            line = line.replacen("    ", "   ", 1);
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

/// Words and what stands between them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut within = true;
    for character in line.chars() {
        let part = character.is_alphanumeric() || character == '@' || character == '.';
        if part != within {
            words.push(String::new());
            within = part;
        }
        if let Some(last) = words.last_mut() {
            last.push(character);
        }
    }
    words
}

fn masked(word: String) -> String {
    let hex = |text: &str, length: usize| text.len() == length && text.chars().all(|c| c.is_ascii_hexdigit());
    if let Some(commit) = word.strip_prefix("main@").filter(|commit| hex(commit, 7)) {
        return word.replace(commit, "#######");
    }
    for length in [7, 12, 40] {
        if hex(&word, length) {
            return "#".repeat(length);
        }
    }
    match word.strip_suffix("ms").or_else(|| word.strip_suffix('s')) {
        Some(figure) if !figure.is_empty() && figure.chars().all(|c| c.is_ascii_digit() || c == '.') => {
            "#".to_owned()
        }
        _ => word,
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
