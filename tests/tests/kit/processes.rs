//! Nothing outlives the test binary, and a wait says what it waited for.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sower_tests::process::Launch;
use sower_tests::wait::until;

/// Set in the process that is killed.
const KILLED: &str = "SOWER_TEST_TO_BE_KILLED";
const LIMIT: Duration = Duration::from_secs(20);

/// Not a test: what [`nothing_outlives_a_killed_test_binary`] runs in another process and kills.
#[test]
#[ignore = "runs only inside another test"]
fn starts_a_program_and_hangs() -> Result<()> {
    if std::env::var_os(KILLED).is_none() {
        return Ok(());
    }
    let process = Launch::new("sleep", "sleep").arg("600").start()?;
    println!("{} {}", process.pid(), sower_tests::process::home().display());
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn nothing_outlives_a_killed_test_binary() -> Result<()> {
    let output = tempfile::NamedTempFile::new()?;
    let mut other = Command::new(std::env::current_exe()?)
        .args(["--ignored", "--exact", "--nocapture", "kit::processes::starts_a_program_and_hangs"])
        .env(KILLED, "yes")
        .stdin(Stdio::null())
        .stdout(output.reopen()?)
        .spawn()?;
    let (pid, home) = until("the other process started a program", LIMIT, async || {
        let text = std::fs::read_to_string(output.path())?;
        let line = text.lines().find(|line| line.contains("sower-tests-")).context("no line")?;
        let words: Vec<_> = line.split_whitespace().rev().map(str::to_owned).collect();
        Ok((words[1].trim_start_matches("... ").to_owned(), words[0].clone()))
    })
    .await?;
    ensure!(Path::new("/proc").join(&pid).exists());
    other.kill()?;
    other.wait()?;
    until("the program is gone, and the folder", LIMIT, async || {
        ensure!(!Path::new("/proc").join(&pid).exists(), "process {pid} is there");
        ensure!(!Path::new(&home).exists(), "{home} is there");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dropped_process_is_gone_with_its_children() -> Result<()> {
    let process = Launch::new("nest", "sh").args(["-c", "sleep 601 & echo $!; wait"]).start()?;
    let child = until("a child", LIMIT, async || Ok(process.log().trim().parse::<u32>()?)).await?;
    drop(process);
    until("the child is gone", LIMIT, async || {
        ensure!(!Path::new(&format!("/proc/{child}")).exists(), "process {child} is there");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn waiting_for_a_program_that_ended_fails_at_once() -> Result<()> {
    let process = Launch::new("loser", "sh").args(["-c", "echo port taken; exit 3"]).start()?;
    let error =
        process.ready(Duration::from_secs(600), async || anyhow::bail!("never")).await.expect_err("it ended");
    let message = format!("{error:#}");
    ensure!(message.contains("port taken") && message.contains("exit status: 3"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_wait_says_what_was_seen_last() -> Result<()> {
    let waited =
        until("rain", Duration::from_millis(100), async || -> Result<()> { anyhow::bail!("only sun") }).await;
    let message = waited.expect_err("no rain").to_string();
    ensure!(message == "rain: not within 100ms; last seen: only sun", "{message}");
    Ok(())
}
