//! Colour and streams. Marks carry the meaning, colour only helps.

use std::io::{IsTerminal as _, Write as _};

use crate::cli::{ColorChoice, Looks};

/// What may be coloured, and what may be said at all.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Standard output takes colour.
    pub out: bool,
    /// Standard error takes colour.
    pub err: bool,
    /// No `from:` line, no progress, no hints.
    pub quiet: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
}

impl Style {
    /// From the flags, NO_COLOR, CLICOLOR_FORCE and the terminals.
    #[must_use]
    pub fn new(looks: &Looks) -> Self {
        let set =
            |name| std::env::var_os(name).is_some_and(|v: std::ffi::OsString| !v.is_empty() && v != "0");
        let colour = |terminal: bool| match looks.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) => false,
            ColorChoice::Auto => terminal || set("CLICOLOR_FORCE"),
        };
        let terminal = std::io::stdout().is_terminal();
        Self {
            out: colour(terminal),
            err: colour(std::io::stderr().is_terminal()),
            quiet: looks.quiet,
            terminal,
        }
    }

    /// Writes to standard output. A closed pipe is silent: what was to be done goes on, and has its exit status.
    pub fn say(&self, text: &str) {
        if self.out { self.raw(&coloured(text)) } else { self.raw(text) }
    }

    /// Writes to standard output as it is: a document, or what is coloured already.
    pub fn raw(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(error) => {
                self.note(&format!("error: the result cannot be written: {error}"));
                std::process::exit(1);
            }
        }
    }

    /// Writes a line to standard error.
    pub fn note(&self, text: &str) {
        let text = if self.err { coloured(text) } else { text.to_string() };
        let _ = writeln!(std::io::stderr(), "{}", text.trim_end_matches('\n'));
    }

    /// Writes to standard error as it is: what is coloured already.
    pub fn note_raw(&self, text: &str) {
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Writes a line to standard error unless silenced.
    pub fn hint(&self, text: &str) {
        if !self.quiet {
            self.note(text);
        }
    }
}

/// Colours the lines that begin with a mark or with `error:`, `refused:`, `warning:`.
fn coloured(text: &str) -> String {
    text.split_inclusive('\n').map(coloured_line).collect()
}

fn coloured_line(line: &str) -> String {
    let body = line.trim_start();
    let colour = match body.as_bytes() {
        [b'+', b' ', ..] => "32",
        [b'~', b' ', ..] => "33",
        [b'-', b' ', ..] => "31",
        [b'=', b' ', ..] => "2",
        [b'!', b' ', ..] => "35",
        _ => {
            for (word, colour) in [("error:", "1;31"), ("refused:", "1;31"), ("warning:", "1;33")] {
                if let Some(rest) = line.strip_prefix(word) {
                    return format!("\u{1b}[{colour}m{word}\u{1b}[0m{rest}");
                }
            }
            return line.to_string();
        }
    };
    let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    format!("\u{1b}[{colour}m{text}\u{1b}[0m{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_coloured_and_nothing_else() {
        assert_eq!(coloured("+ a\nplain\n"), "\u{1b}[32m+ a\u{1b}[0m\nplain\n");
        assert_eq!(coloured("error: x"), "\u{1b}[1;31merror:\u{1b}[0m x");
    }
}
