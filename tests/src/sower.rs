//! The built `sower` binary, run to its end or left running.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{Launch, clean};

/// Where the binary lies: `SOWER_BIN`, or beside the test binary, where `cargo build -p sower` puts it.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SOWER_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(2).context("a test binary in target/PROFILE/deps")?;
    let path = target.join("sower");
    ensure!(path.exists(), "{} is not built: cargo build -p sower", path.display());
    Ok(path)
}

/// One call of the command line, with nothing of this process's environment but PATH.
pub struct Sower {
    command: Command,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit status.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Sower {
    /// A call in a folder.
    pub fn within(folder: impl AsRef<Path>) -> Result<Self> {
        let mut command = Command::new(binary()?);
        clean(&mut command).current_dir(folder).stdin(Stdio::null());
        Ok(Self { command })
    }

    /// Adds a variable to the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end.
    pub fn run(mut self, args: &[&str]) -> Result<Ran> {
        let output = self.command.args(args).output().context("run sower")?;
        Ok(Ran {
            code: output.status.code().with_context(|| format!("sower {args:?}: {}", output.status))?,
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    }
}

impl Ran {
    /// Fails unless it ended with this status; the error shows both streams.
    pub fn expect(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == code,
            "exit {} instead of {code}\n--- out\n{}--- err\n{}",
            self.code,
            self.out,
            self.err
        );
        Ok(self)
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("not JSON: {}", self.out))
    }
}

/// A server without a cluster (`run --standalone`) in a folder.
pub fn standalone(name: &str, folder: &Path) -> Result<Launch> {
    Ok(Launch::new(name, binary()?).args(["run", "--standalone"]).current_dir(folder))
}
