//! Many keys, one a line: read, answered and forgotten one by one, so that a million take no more memory than ten.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::Path;

use sower_core::rollout::bucket::{LONGEST_KEY, Live, Resolved};

use super::{Asked, is_plain};
use crate::cli::Format;
use crate::failure::{Exit, Failure};
use crate::output::document::Fields;
use crate::output::style::Style;

/// Bytes that are read or written at a time.
const PIECE: usize = 1 << 16;

/// Answers each line of a file, or of standard input (`-`): `key<TAB>version`, or a list of documents. What goes wrong after
/// the first answer ends the list, which stays whole.
///
/// # Errors
/// Where the file cannot be opened.
pub fn resolve(
    style: &Style,
    format: Format,
    file: &Path,
    live: &Live,
    asked: &Asked<'_>,
) -> Result<Exit, Failure> {
    let unread = |error: std::io::Error| Failure::failed(format!("{}: {error}", file.display()));
    let mut out =
        Answers { out: BufWriter::with_capacity(PIECE, std::io::stdout().lock()), format, count: 0 };
    let told = if file == Path::new("-") {
        each(std::io::stdin().lock(), |key| out.answer(asked, key, live.resolve(key, &asked.labels)))
    } else {
        let opened = File::open(file).map_err(unread)?;
        if opened.metadata().is_ok_and(|data| data.is_dir()) {
            return Err(Failure::failed(format!("{} is a folder", file.display())));
        }
        let lines = BufReader::with_capacity(PIECE, opened);
        each(lines, |key| out.answer(asked, key, live.resolve(key, &asked.labels)))
    };
    let failure = match told {
        Ok(()) => None,
        Err(Stopped::Closed) => return Ok(Exit::Done),
        Err(Stopped::Unwritten(error)) => {
            return Err(Failure::failed(format!("the result cannot be written: {error}")));
        }
        Err(Stopped::Line(number, why)) => {
            let place =
                if file == Path::new("-") { "standard input".into() } else { file.display().to_string() };
            Some(Failure::failed(format!("{place}:{number}: {why}; what came before is answered")))
        }
    };
    match out.end(failure.as_ref()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Done),
        Err(error) => return Err(Failure::failed(format!("the result cannot be written: {error}"))),
    }
    Ok(failure.map_or(Exit::Done, |failure| {
        style.note(&failure.text());
        failure.exit
    }))
}

/// Why reading ended before the end.
enum Stopped {
    /// Nobody reads the answers any more.
    Closed,
    /// They cannot be written.
    Unwritten(std::io::Error),
    /// This line is no key.
    Line(u64, String),
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::Closed } else { Self::Unwritten(error) }
    }
}

/// Passes each line on, without its end. A line is a key of at most [`LONGEST_KEY`] bytes; an empty one is a key, too.
fn each(mut lines: impl BufRead, mut answer: impl FnMut(&str) -> std::io::Result<()>) -> Result<(), Stopped> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = LONGEST_KEY as u64 + 2;
        let read = std::io::Read::take(&mut lines, limit).read_until(b'\n', &mut line);
        if read.map_err(|error| Stopped::Line(number, error.to_string()))? == 0 {
            break;
        }
        let key = line.strip_suffix(b"\n").unwrap_or(&line);
        let key = key.strip_suffix(b"\r").unwrap_or(key);
        if key.len() > LONGEST_KEY {
            return Err(Stopped::Line(number, format!("a key of more than {LONGEST_KEY} bytes")));
        }
        let key = std::str::from_utf8(key).map_err(|_| Stopped::Line(number, "no UTF-8".to_owned()))?;
        answer(key)?;
    }
    Ok(())
}

/// What was answered so far.
struct Answers<W: Write> {
    out: BufWriter<W>,
    format: Format,
    count: u64,
}

impl<W: Write> Answers<W> {
    fn answer(&mut self, asked: &Asked<'_>, key: &str, resolved: Resolved<'_>) -> std::io::Result<()> {
        if is_plain(self.format) {
            return writeln!(self.out, "{key}\t{}", resolved.version);
        }
        self.document(&asked.described(key, resolved))
    }

    /// One more document of the list.
    fn document(&mut self, fields: &Fields) -> std::io::Result<()> {
        self.count += 1;
        match self.format {
            Format::Table => Ok(()),
            Format::Json => {
                self.out.write_all(if self.count == 1 { b"[\n  " } else { b",\n  " })?;
                Ok(serde_json::to_writer(&mut self.out, fields)?)
            }
            Format::Yaml => {
                let text = serde_saphyr::to_string(&[fields]).map_err(std::io::Error::other)?;
                writeln!(self.out, "{}", text.trim_end())
            }
        }
    }

    /// Ends the list, with what went wrong as its last document.
    fn end(mut self, failure: Option<&Failure>) -> std::io::Result<()> {
        if let Some(failure) = failure {
            let error = Fields::default().with("code", failure.coded()).with("message", &failure.message);
            self.document(&Fields::default().with("errors", [error]))?;
        }
        match (self.format, self.count) {
            (Format::Table, _) | (Format::Yaml, 1..) => {}
            (Format::Json | Format::Yaml, 0) => self.out.write_all(b"[]\n")?,
            (Format::Json, 1..) => self.out.write_all(b"\n]\n")?,
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, Option<(u64, String)>) {
        let mut keys = Vec::new();
        let ended = each(bytes, |key| {
            keys.push(key.to_owned());
            Ok(())
        });
        let stopped = match ended {
            Err(Stopped::Line(number, why)) => Some((number, why)),
            Err(Stopped::Closed | Stopped::Unwritten(_)) | Ok(()) => None,
        };
        (keys, stopped)
    }

    #[test]
    fn a_line_is_a_key() {
        let keys = |bytes: &[u8]| read(bytes).0;
        assert_eq!(keys(b""), Vec::<String>::new());
        assert_eq!(keys(b"a\nb"), ["a", "b"]);
        assert_eq!(keys("ü\r\n\n b \n".as_bytes()), ["ü", "", " b "]);
        let longest = "k".repeat(LONGEST_KEY);
        assert_eq!(keys(format!("{longest}\r\n{longest}\n{longest}").as_bytes()), vec![longest.clone(); 3]);
        for (bytes, number, why) in [
            (format!("a\n{longest}k\nb\n").into_bytes(), 2, "a key of more than 4096 bytes"),
            (format!("{longest}{longest}").into_bytes(), 1, "a key of more than 4096 bytes"),
            (b"a\nb\n\xff\n".to_vec(), 3, "no UTF-8"),
        ] {
            assert_eq!(read(&bytes).1, Some((number, why.to_owned())));
        }
    }
}
