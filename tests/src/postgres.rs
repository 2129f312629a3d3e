//! A PostgreSQL server, and a database for each test.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::process::{Launch, Process, clean, folder, free_port, output};

/// Who owns every test's database: no superuser.
pub const USER: &str = "sower";
/// Its password, which may appear in no output.
pub const PASSWORD: &str = "database-password-to-be-kept";

const READY: Duration = Duration::from_secs(60);

/// Whether the disk is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// For tests: a crash of the machine may lose everything, a crash of the server nothing.
    Lax,
    /// For measurements: as in production.
    Fsync,
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    durability: Durability,
    process: Option<Process>,
}

impl Postgres {
    /// The server that the tests of this binary share. Each takes a [`Database`] of its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(Durability::Lax)).await
    }

    /// Starts one for a single test or a bench.
    pub async fn start(durability: Durability) -> Result<Self> {
        let (programs, folder, port) = (programs()?, folder("postgres")?, free_port()?);
        if let Some((user, group)) = other_user()? {
            chown(&folder, Some(user), Some(group))?;
        }
        let mut command = Command::new("env");
        clean(&mut command).current_dir(&folder).args(as_user()?);
        command.arg(programs.join("initdb")).arg("-D").arg(folder.join("data"));
        command.args(["-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256"]);
        command.args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        output(&mut command)?;
        let mut server = Self { programs, folder, port, durability, process: None };
        server.resume().await?;
        let mut connection = server.admin("postgres").await?;
        let role = format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'");
        sqlx::query(AssertSqlSafe(role)).execute(&mut connection).await?;
        Ok(server)
    }

    /// Starts the server again after [`Self::crash`], on the same port and the same data.
    pub async fn resume(&mut self) -> Result<()> {
        let mut launch = Launch::stopped_by("postgres", Signal::QUIT, "QUIT", "env").args(as_user()?);
        launch = launch.arg(self.programs.join("postgres")).arg("-D").arg(self.folder.join("data"));
        let socket = format!("unix_socket_directories={}", self.folder.display());
        for setting in
            [&format!("port={}", self.port), &socket, "listen_addresses=127.0.0.1", "max_connections=200"]
        {
            launch = launch.args(["-c", setting]);
        }
        if self.durability == Durability::Lax {
            launch = launch.args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off"]);
        } else {
            // A measurement asks what was asked of the server.
            launch = launch.args(["-c", "shared_preload_libraries=pg_stat_statements"]);
        }
        let process = launch.current_dir(&self.folder).start()?;
        process.ready(READY, async || self.admin("postgres").await.map(drop)).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends the server at once: connections break, open transactions are lost, committed ones are not.
    pub fn crash(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |process| process.stop().map(drop))
    }

    /// The server's process, to make it hang.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// A new, empty database.
    pub async fn database(&self) -> Result<Database> {
        self.create("template0").await
    }

    /// A new database with the content of another, which nobody may be connected to.
    pub async fn copy(&self, template: &Database) -> Result<Database> {
        self.create(&template.name).await
    }

    async fn create(&self, template: &str) -> Result<Database> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.admin("postgres").await?;
        let create = format!("CREATE DATABASE {name} OWNER {USER} TEMPLATE {template}");
        sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await?;
        Ok(Database { name, port: self.port })
    }

    /// A connection as superuser, over the server's socket.
    pub async fn admin(&self, database: &str) -> Result<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .port(self.port)
            .username("postgres")
            .database(database);
        Ok(PgConnection::connect_with(&options).await?)
    }
}

/// A database for one test, which ends with its server.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name.
    pub name: String,
    port: u16,
}

impl Database {
    /// Its URL, password included.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{}", self.port, self.name)
    }

    /// A small pool that sees the tables, not the views of the schema that is called as the role is. It belongs to the
    /// runtime of the test that asks for it.
    pub async fn connect(&self) -> Result<PgPool> {
        let options = self.url().parse::<PgConnectOptions>()?.options([("search_path", "public")]);
        Ok(PgPoolOptions::new().max_connections(4).connect_with(options).await?)
    }
}

/// Debian keeps a folder for each major version; the newest is taken.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed: tests/install")? {
        let entry = entry?;
        if let Ok(version) = entry.file_name().to_string_lossy().parse()
            && entry.path().join("bin/initdb").exists()
        {
            found.push((version, entry.path().join("bin")));
        }
    }
    found.sort();
    Ok(found.pop().context("no initdb below /usr/lib/postgresql: tests/install")?.1)
}

/// PostgreSQL refuses root: there, it runs as the user that its package made.
fn other_user() -> Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let id = |what: &str| -> Result<u32> {
        Ok(output(Command::new("id").args([what, "postgres"]))?.trim().parse()?)
    };
    Ok(Some((id("-u")?, id("-g")?)))
}

/// What stands before a command line so that it runs as that user, in the same process.
fn as_user() -> Result<Vec<String>> {
    let Some((user, group)) = other_user()? else { return Ok(Vec::new()) };
    ensure!(Path::new("/usr/bin/setpriv").exists(), "setpriv is missing: it comes with util-linux");
    let ids = [format!("--reuid={user}"), format!("--regid={group}")];
    Ok([vec!["setpriv".to_owned(), "--clear-groups".to_owned()], ids.to_vec()].concat())
}
