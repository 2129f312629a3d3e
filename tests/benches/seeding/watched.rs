//! The `sower` binary, run to its end with an eye on its memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sower_tests::process::clean;
use sower_tests::sower::binary;

/// One call that ended well.
pub struct Ran {
    /// From start to end, the process's own start included.
    pub took: Duration,
    /// The most memory of the process.
    pub peak: u64,
    /// The most memory of one of its children, which fetch.
    pub child: u64,
}

/// Runs it in a folder; memory is looked at every two milliseconds.
pub fn run(folder: &Path, args: &[&str]) -> Result<Ran> {
    let mut command = Command::new(binary()?);
    let errors = tempfile::NamedTempFile::new()?;
    clean(&mut command)
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.reopen()?);
    let started = Instant::now();
    let mut child = command.spawn().context("start sower")?;
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let (mut peak, mut most) = (0, 0);
    let status = loop {
        peak = high_water(&process).unwrap_or(0).max(peak);
        for process in children(&process) {
            most = high_water(&process).unwrap_or(0).max(most);
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let took = started.elapsed();
    let said = fs::read_to_string(errors.path())?;
    ensure!(status.success(), "sower {args:?}: {status}\n{said}");
    Ok(Ran { took, peak, child: most })
}

/// VmHWM in bytes.
fn high_water(process: &Path) -> Option<u64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn children(process: &Path) -> Vec<PathBuf> {
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().filter_map(Result::ok);
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| Path::new("/proc").join(pid)).collect::<Vec<_>>())
        .collect()
}
