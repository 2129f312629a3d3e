//! Programs under test: each in its own process group, without input, its output in a file.
//!
//! *Invariant: no program outlives the test binary.* A [`Process`] that is dropped is stopped. Statics are
//! never dropped and a test binary may be killed, so there is also a watchdog: a shell that waits for the
//! end of its input, which only the test binary holds, then ends what is left and removes the folder.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, kill_process_group};

pub use rustix::process::Signal;

use crate::wait::until;

/// Ends every process that `pids` names (the file's text is the signal it likes best), then the folder.
const WATCHDOG: &str = r#"
cat >/dev/null
cd "$1/pids" || exit
for pid in *; do kill -s "$(cat "$pid")" -- "-$pid"; done
tries=0
while [ $tries -lt 100 ]; do
  left=
  for pid in *; do kill -0 "$pid" && left=yes; done
  [ "$left" ] || break
  tries=$((tries + 1)); sleep 0.05
done
for pid in *; do kill -s KILL -- "-$pid"; done
[ "$SOWER_TEST_KEEP" ] || rm -rf "$1"
"#;

/// Leaves its pid where the watchdog looks, before there is anything to be watched.
const REGISTER: &str = r#"printf %s "$1" >"$2/pids/$$"; shift 2; exec "$@""#;

/// How long a program has to end after it was asked to.
const GRACE: Duration = Duration::from_secs(40);

/// The folder of this test binary: everything its servers write. It goes with the binary, unless
/// `SOWER_TEST_KEEP` is set. Other users may pass through, since PostgreSQL does not run as root.
pub fn home() -> &'static Path {
    static HOME: OnceLock<(PathBuf, Child)> = OnceLock::new();
    &HOME.get_or_init(|| make_home().expect("a folder for the test servers")).0
}

fn make_home() -> Result<(PathBuf, Child)> {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let folder = tempfile::Builder::new().prefix("sower-tests-").tempdir()?.keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    for name in ["pids", "logs", "home"] {
        fs::create_dir(folder.join(name))?;
    }
    let watchdog = Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("the watchdog")?;
    Ok((folder, watchdog))
}

/// A folder of its own below [`home`], whose name starts with `name`.
pub fn folder(name: &str) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let path = home().join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&path)?;
    Ok(path)
}

/// A loopback port that nobody listens on, given out once.
///
/// Ports below the ephemeral range are taken, so that no outgoing connection can get there first.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1_000).unwrap_or_default();
    for _ in 0..12_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (start * 12 + step) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free loopback port between 20000 and 32000")
}

/// What [`home`]'s programs may see of this one's environment: where programs are, and nothing else.
pub fn clean(command: &mut Command) -> &mut Command {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
        .env("HOME", home().join("home"))
        .env("LANG", "C.UTF-8")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
}

/// Runs a command to its end; its standard output, or an error that holds its standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}{}", output.status, said, String::from_utf8_lossy(&output.stdout));
    }
    String::from_utf8(output.stdout).context("output that is not UTF-8")
}

/// A program to be started.
pub struct Launch {
    name: String,
    stop: Signal,
    command: Command,
}

impl Launch {
    /// `name` stands in messages and in the name of the log.
    pub fn new(name: &str, program: impl AsRef<OsStr>) -> Self {
        Self::stopped_by(name, Signal::TERM, "TERM", program)
    }

    /// A program that has nothing to end well: it is killed where another would be asked.
    pub fn killed(name: &str, program: impl AsRef<OsStr>) -> Self {
        Self::stopped_by(name, Signal::KILL, "KILL", program)
    }

    /// A program that ends cleanly on another signal than TERM.
    pub fn stopped_by(name: &str, stop: Signal, stop_name: &str, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new("sh");
        clean(&mut command).args(["-c", REGISTER, "register", stop_name]).arg(home()).arg(program);
        Self { name: name.to_owned(), stop, command }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Adds a variable to the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts in this folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Result<Process> {
        use std::os::unix::process::CommandExt;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let log = home().join("logs").join(format!("{}-{number}.log", self.name));
        let file = fs::File::create(&log)?;
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", self.name))?;
        let pid = child.id();
        Ok(Process { name: self.name, stop: self.stop, log, pid, child: Mutex::new(child) })
    }
}

/// A program that was started, and is stopped when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    stop: Signal,
    log: PathBuf,
    pid: u32,
    child: Mutex<Child>,
}

impl Process {
    /// The process id, which is also the id of its group.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The end of what it has printed, for messages.
    pub fn last_lines(&self) -> String {
        let log = self.log();
        let mut last = VecDeque::new();
        for line in log.lines() {
            if last.len() == 20 {
                last.pop_front();
            }
            last.push_back(line);
        }
        Vec::from(last).join("\n")
    }

    /// How it ended, if it did.
    pub fn exited(&self) -> Option<ExitStatus> {
        let status = self.child().try_wait().ok().flatten()?;
        self.forget();
        Some(status)
    }

    /// Looks until `look` succeeds; fails at once if the program ends before.
    pub async fn ready(&self, limit: Duration, mut look: impl AsyncFnMut() -> Result<()>) -> Result<()> {
        let what = format!("{} is ready", self.name);
        let ended = until(&what, limit, async || match self.exited() {
            Some(status) => Ok(Some(status)),
            None => look().await.map(|()| None),
        })
        .await
        .with_context(|| self.last_lines())?;
        match ended {
            None => Ok(()),
            Some(status) => Err(anyhow!("{} ended ({status}):\n{}", self.name, self.last_lines())),
        }
    }

    /// Waits for its end.
    pub async fn ended(&self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} ended", self.name);
        until(&what, limit, async || self.exited().context("still running")).await
    }

    /// Sends a signal to its whole group: STOP and CONT make it hang and go on.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.child();
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a pid")?;
        Ok(kill_process_group(pid, signal)?)
    }

    /// Asks it to end, waits, and kills it if it takes longer than ten seconds.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.signal(self.stop)?;
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if let Some(status) = self.exited() {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill()
    }

    /// Kills its group with SIGKILL and waits for its end.
    pub fn kill(&self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        let status = self.child().wait()?;
        self.forget();
        Ok(status)
    }

    fn forget(&self) {
        // Best effort: a stale entry names a group that is gone.
        let _ = fs::remove_file(home().join("pids").join(self.pid.to_string()));
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about it here, and the watchdog comes after.
        let _ = self.stop();
    }
}
