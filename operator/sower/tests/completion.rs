//! The completion scripts in the shells that they are for: what each of them makes of a line that is not yet whole.
//!
//! bash and zsh sit on a terminal and are typed at; fish is asked for what it would offer.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

mod checkout;

use checkout::Checkout;

/// A line as it is typed, and the words that its last one may become.
const LINES: &[(&str, &[&str])] = &[
    ("sower status -e ", &["development", "production", "staging"]),
    ("sower seed --environment ", &["development", "production", "staging"]),
    ("sower plan -e pro", &["production"]),
    ("sower explain ", &["monday", "slack", "stripe", "wordpress"]),
    ("sower explain sl", &["slack"]),
    ("sower -q explain -e production s", &["slack", "stripe"]),
    ("sower explain slack -e st", &["staging"]),
    ("sower plan --only mon", &["monday"]),
    ("sower rule bad-v", &["bad-version"]),
    ("sower diff ", &["development", "production", "staging"]),
    ("sower diff staging pro", &["production"]),
    ("sower get int", &["integrations"]),
    ("sower get intg s", &["slack", "stripe"]),
    ("sower get env ", &["development", "production", "staging"]),
    ("sower get versions s", &["slack", "stripe"]),
    ("sower blame mon", &["monday"]),
    ("sower get intg stripe --at pro", &["production-1"]),
    ("sower rollout pau", &["pause"]),
    ("sower rollout status str", &["stripe"]),
    ("sower rollout abort s", &["slack", "stripe"]),
    ("sower rollout abort stripe -e pro", &["production"]),
    ("sower stat", &["status"]),
    ("sower generate cr", &["crds"]),
    ("sower status --outp", &["--output"]),
];

/// Completes with everything that fits at Ctrl-X, which is the shell's own way to do so, and writes words to a file.
const BASHRC: &str = r#"PS1='ready> '
bind 'set enable-bracketed-paste off'
bind '"\C-x": insert-completions'
. ~/sower.bash
record() { printf '%s\n' "$@" >"$ANSWER"; exit; }
"#;

const ZSHRC: &str = r#"PS1='ready> '
unset zle_bracketed_paste
fpath=(~/functions $fpath)
autoload -Uz compinit
compinit -u -D
zle -C insert-all complete-word _generic
bindkey '^X' insert-all
zstyle ':completion:insert-all:*' insert yes
zstyle ':completion:insert-all::::' completer _all_matches _complete
record() { printf '%s\n' "$@" >"$ANSWER"; exit }
"#;

/// Ctrl-X completes; Ctrl-A goes to the start of the line, where the command that writes its words is put.
const COMPLETE_AND_RECORD: &[u8] = b"\x18\x01record \r";

/// A home with the script where the shell looks for it.
fn home(checkout: &Checkout, shell: &str, files: &[(&str, Option<&str>)]) -> String {
    let home = format!(".{shell}-home");
    let script = checkout.run(&format!("completion {shell}"));
    assert_eq!(script.exit, 0, "{}", script.err);
    assert_eq!(checkout.run("seed -e production -q").exit, 0);
    for (file, text) in files {
        checkout.write(&format!("{home}/{file}"), text.unwrap_or(&script.out));
    }
    checkout.path().join(home).display().to_string()
}

/// A program in the checkout that finds `sower` on its path. A shell that is not there fails the test: `tests/install`
/// brings it.
fn shell(checkout: &Checkout, program: &str, home: &str) -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_sower")).parent().expect("a folder").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.current_dir(checkout.path()).env_clear().envs([
        ("HOME", home),
        ("PATH", &format!("{built}:{path}")),
        ("TERM", "dumb"),
        ("LC_ALL", "C.UTF-8"),
    ]);
    command
}

/// The words of a line after the shell completed it, typed on a terminal.
fn typed(checkout: &Checkout, program: &str, home: &str, line: &str) -> Vec<String> {
    let answer = Path::new(home).join("answer");
    let _ = std::fs::remove_file(&answer);
    let mut terminal = shell(checkout, "script", home)
        .args(["--quiet", "--return", "--flush", "--command", program, "/dev/null"])
        .env("ANSWER", &answer)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut keyboard = terminal.stdin.take().expect("a keyboard");
    let mut screen = terminal.stdout.take().expect("a screen");
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"ready> ") && screen.read(&mut byte).expect("readable") > 0 {
        seen.push(byte[0]);
    }
    keyboard.write_all(line.as_bytes()).expect("typed");
    keyboard.write_all(COMPLETE_AND_RECORD).expect("typed");
    screen.read_to_end(&mut seen).expect("readable");
    terminal.wait().expect("it ends");
    let words = std::fs::read_to_string(&answer)
        .unwrap_or_else(|error| panic!("{program}, {line:?}: {error}\n{}", String::from_utf8_lossy(&seen)));
    words.lines().map(str::to_owned).collect()
}

/// A whole line: what was typed, with all that its last word may become.
fn whole(line: &str, becomes: &[&str]) -> Vec<String> {
    let (typed, _) = line.rsplit_once(' ').expect("words");
    typed.split(' ').chain(becomes.iter().copied()).map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    let checkout = Checkout::new();
    let home = home(&checkout, "bash", &[("sower.bash", None), (".bashrc", Some(BASHRC))]);
    let only_bash: &[(&str, &[&str])] = &[
        // bash takes the value for a word of its own.
        ("sower status --environment=pro", &["--environment=production"]),
        ("sower plan --only slack,st", &["slack,stripe"]),
    ];
    for (line, becomes) in LINES.iter().chain(only_bash) {
        let mut words = typed(&checkout, "bash -i", &home, line);
        // The order is the shell's.
        let kept = line.split(' ').count() - 1;
        words[kept..].sort();
        assert_eq!(words, whole(line, becomes), "{line:?}");
    }
}

#[test]
fn zsh_completes() {
    let checkout = Checkout::new();
    let home = home(&checkout, "zsh", &[("functions/_sower", None), (".zshrc", Some(ZSHRC))]);
    let only_zsh: &[(&str, &[&str])] = &[
        ("sower status --environment=pro", &["--environment=production"]),
        ("sower status -epro", &["-eproduction"]),
        ("sower plan --only slack,st", &["slack,stripe"]),
    ];
    for (line, becomes) in LINES.iter().chain(only_zsh) {
        assert_eq!(typed(&checkout, "zsh -i", &home, line), whole(line, becomes), "{line:?}");
    }
}

#[test]
fn fish_completes() {
    let checkout = Checkout::new();
    let home = home(&checkout, "fish", &[(".config/fish/completions/sower.fish", None)]);
    let only_fish: &[(&str, &[&str])] = &[
        ("sower status --environment=pro", &["--environment=production"]),
        ("sower status -epro", &["-eproduction"]),
        ("sower plan --only slack,st", &["slack,stripe"]),
        // Files only where a command takes files.
        ("sower status ", &[]),
        ("sower validate integ", &["integrations/"]),
    ];
    for (line, becomes) in LINES.iter().chain(only_fish) {
        let asked = shell(&checkout, "fish", &home).args(["-c", "complete -C $argv", line]).output();
        let asked = asked.expect("fish runs");
        let offered = String::from_utf8(asked.stdout).expect("text");
        let mut offered: Vec<&str> = offered.lines().filter_map(|line| line.split('\t').next()).collect();
        offered.sort_unstable();
        assert_eq!(offered, *becomes, "{line:?}: {}", String::from_utf8_lossy(&asked.stderr));
    }
}
