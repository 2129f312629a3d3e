//! Opening a database: few connections, a bounded patience, and the tables as this Sower needs them.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::address::{DatabaseUrl, Engine, Tls};
use crate::error::{StoreError, cause, tables_gone, tries};
use crate::session::{Row, Tx, dialect, within};

/// How often a server that does not answer is asked, and how long is waited in between.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Most connections of this process that are at work at a time, over all databases.
const AT_WORK: usize = 48;
/// How much longer than the server's own time-out an answer is waited for.
const MARGIN: Duration = Duration::from_secs(5);
/// How long one attempt to connect may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// For the pool's first connection, before it is found out why there is none.
const AT_ONCE: Duration = Duration::from_millis(500);

static PERMITS: Semaphore = Semaphore::const_new(AT_WORK);

/// Whether the tables may be made or brought up to date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Migrate {
    /// On first contact.
    #[default]
    Auto,
    /// Somebody else does it, with the output of `sower generate migrations`.
    Never,
}

/// How a database is opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// Whether the tables may be made.
    pub migrate: Migrate,
    /// Most connections at a time.
    pub connections: u32,
    /// Certificates and keys.
    pub tls: Tls,
    /// The longest one statement may take.
    pub statement_timeout: Duration,
    /// The longest a lock is waited for.
    pub lock_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            migrate: Migrate::Auto,
            connections: 4,
            tls: Tls::default(),
            statement_timeout: Duration::from_secs(120),
            lock_timeout: Duration::from_secs(20),
        }
    }
}

/// A database with Sower's tables. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub enum Store {
    /// PostgreSQL.
    Postgres(PgStore),
    /// SQLite.
    Sqlite(SqliteStore),
}

/// A PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PgStore {
    url: DatabaseUrl,
    tls: Tls,
    pool: PgPool,
    /// Begins a transaction that writes: `sower.seeding` says to triggers of our own whose hand it is.
    begin_writing: String,
    begin_reading: String,
    patience: Duration,
}

/// A SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    url: DatabaseUrl,
    /// One connection: SQLite has one writer at a time, and waiting in line beats failing.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Connects, and makes the tables or brings them up to date where that is allowed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where nothing answers after a few tries; [`StoreError::SchemaMissing`],
    /// [`StoreError::SchemaIncompatible`], [`StoreError::SchemaForeign`] or [`StoreError::Migration`] where the tables
    /// are not as they must be.
    pub async fn open(url: &DatabaseUrl, options: &Options) -> Result<Self, StoreError> {
        let store = Self::connect(url, options).await?;
        crate::migrate::ensure(&store, options.migrate).await?;
        Ok(store)
    }

    /// Connects, and does not look at the tables.
    pub(crate) async fn connect(url: &DatabaseUrl, options: &Options) -> Result<Self, StoreError> {
        Ok(match url.engine() {
            Engine::Postgres => Self::Postgres(PgStore::connect(url, options).await?),
            Engine::Sqlite => Self::Sqlite(SqliteStore::connect(url, options).await?),
        })
    }

    /// Whether anything answers there, in one try and without looking at the tables. A SQLite file that is not there
    /// yet answers: it will be made.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::BadUrl`].
    pub async fn reach(url: &DatabaseUrl, options: &Options) -> Result<(), StoreError> {
        match url.file() {
            None => {
                let store = PgStore::lazy(url, options)?;
                store.probe().await.map_err(|refusal| store.silent(refusal.cause))
            }
            Some(path) if path.exists() => SqliteStore::connect(url, options).await.map(drop),
            Some(_) => Ok(()),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        match self {
            Self::Postgres(store) => &store.url,
            Self::Sqlite(store) => &store.url,
        }
    }

    /// The certificates and keys of its connections.
    #[must_use]
    pub fn tls(&self) -> Tls {
        match self {
            Self::Postgres(store) => store.tls.clone(),
            Self::Sqlite(_) => Tls::default(),
        }
    }

    /// Closes its connections, once nothing uses them.
    pub async fn close(&self) {
        match self {
            Self::Postgres(store) => store.pool.close().await,
            Self::Sqlite(store) => {
                store.readers.close().await;
                store.writer.close().await;
            }
        }
    }

    /// A transaction that writes.
    pub(crate) async fn write(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Postgres(store) => store.begin(&store.begin_writing).await,
            Self::Sqlite(store) => match store.writer.begin_with("BEGIN IMMEDIATE").await {
                Ok(tx) => Ok(Tx::Sqlite(tx)),
                Err(error) => Err(store.unavailable(&error)),
            },
        }
    }

    /// A transaction that reads: one state of the database, whatever is committed meanwhile.
    pub(crate) async fn read(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Postgres(store) => store.begin(&store.begin_reading).await,
            Self::Sqlite(store) => match store.readers.begin().await {
                Ok(tx) => Ok(Tx::Sqlite(tx)),
                Err(error) => Err(store.unavailable(&error)),
            },
        }
    }

    /// The rows of one statement without parameters: one round trip, and no transaction around it. It names its tables
    /// with their schema.
    pub(crate) async fn ask(&self, what: &'static str, sql: &str) -> Result<Vec<Row>, StoreError> {
        let sql = dialect(self.url().engine(), sql);
        match self {
            Self::Postgres(store) => {
                let _permit = permit().await;
                let mut connection = store.acquire().await?;
                let answer = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection);
                let rows = within(store.patience, what, answer).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            Self::Sqlite(store) => {
                let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&store.readers).await;
                let rows = rows.map_err(|error| match tables_gone(&error) {
                    true => StoreError::TablesGone { what, cause: cause(&error) },
                    false => store.unavailable(&error),
                })?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
        }
    }
}

impl PgStore {
    fn lazy(url: &DatabaseUrl, options: &Options) -> Result<Self, StoreError> {
        let connect = url.postgres(&options.tls)?;
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(CONNECT)
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(connect);
        // The tables are in `public`, whatever the role's search path: a role called sower would find the views first.
        let settings = format!(
            "SET LOCAL search_path = public; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = 60000",
            options.statement_timeout.as_millis(),
            options.lock_timeout.as_millis(),
        );
        Ok(Self {
            url: url.clone(),
            tls: options.tls.clone(),
            pool,
            begin_writing: format!("BEGIN; {settings}; SET LOCAL sower.seeding = 'on'"),
            begin_reading: format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}"),
            patience: options.statement_timeout + MARGIN,
        })
    }

    async fn connect(url: &DatabaseUrl, options: &Options) -> Result<Self, StoreError> {
        let store = Self::lazy(url, options)?;
        if let Ok(Ok(_)) = tokio::time::timeout(AT_ONCE, store.pool.acquire()).await {
            return Ok(store);
        }
        let started = Instant::now();
        let mut count = 0;
        loop {
            count += 1;
            match store.probe().await {
                Ok(()) => return Ok(store),
                Err(refusal) => match PAUSES.get(count as usize - 1) {
                    Some(pause) if refusal.again => tokio::time::sleep(*pause).await,
                    _ if refusal.again => {
                        return Err(store.silent(format!(
                            "{} ({})",
                            refusal.cause,
                            tries(count, started.elapsed())
                        )));
                    }
                    _ => return Err(store.silent(refusal.cause)),
                },
            }
        }
    }

    /// Connects once, beside the pool, whose own errors do not say why.
    async fn probe(&self) -> Result<(), Refusal> {
        let options = self
            .url
            .postgres(&self.tls)
            .map_err(|error| Refusal { cause: error.to_string(), again: false })?;
        match tokio::time::timeout(CONNECT, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => {
                // The answer was all that was wanted.
                let _ = connection.close().await;
                Ok(())
            }
            Ok(Err(error)) => Err(Refusal { cause: cause(&error), again: may_pass(&error) }),
            Err(_) => Err(Refusal { cause: "no answer in time".to_owned(), again: true }),
        }
    }

    fn silent(&self, cause: String) -> StoreError {
        StoreError::Unavailable { database: self.url.with_port(), host: self.url.host(), cause }
    }

    async fn refused(&self, error: &sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::PoolTimedOut => match self.probe().await {
                Err(refusal) => self.silent(refusal.cause),
                Ok(()) => self.silent(cause(error)),
            },
            other => self.silent(cause(other)),
        }
    }

    /// How a connection beside the pool is made.
    pub(crate) fn address(&self) -> Result<sqlx::postgres::PgConnectOptions, StoreError> {
        self.url.postgres(&self.tls)
    }

    async fn acquire(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, StoreError> {
        match self.pool.acquire().await {
            Ok(connection) => Ok(connection),
            Err(error) => Err(self.refused(&error).await),
        }
    }

    async fn begin(&self, begin: &str) -> Result<Tx, StoreError> {
        let permit = permit().await;
        let begun = self.pool.begin_with(AssertSqlSafe(begin.to_owned()));
        match tokio::time::timeout(CONNECT * 2, begun).await {
            Ok(Ok(tx)) => Ok(Tx::Postgres { tx, patience: self.patience, _permit: permit }),
            Ok(Err(error)) => Err(self.refused(&error).await),
            Err(_) => Err(self.silent("no answer in time".to_owned())),
        }
    }
}

/// Leave to use a connection. It is never asked for by whoever holds one, so nobody waits in a circle.
async fn permit() -> Option<SemaphorePermit<'static>> {
    PERMITS.acquire().await.ok()
}

/// Why a server did not take us, and whether it may do so later.
struct Refusal {
    cause: String,
    again: bool,
}

/// A wrong password, certificate or name of a database stays wrong; a server that starts up does not.
fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => false,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("53"))
        }
        _ => false,
    }
}

impl SqliteStore {
    async fn connect(url: &DatabaseUrl, options: &Options) -> Result<Self, StoreError> {
        let path = url.file().ok_or_else(|| StoreError::BadUrl("it is no file".to_owned()))?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_folder(folder).await.map_err(|error| StoreError::Unavailable {
                database: url.to_string(),
                host: url.host(),
                cause: error.to_string(),
            })?;
        }
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(options.lock_timeout);
        let pool = |connections: u32| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(options.statement_timeout)
                .connect_lazy_with(connect.clone())
        };
        let store = Self { url: url.clone(), writer: pool(1), readers: pool(options.connections.max(1)) };
        // The first connection makes the file and sets its journal.
        store.writer.acquire().await.map_err(|error| store.unavailable(&error))?;
        Ok(store)
    }

    fn unavailable(&self, error: &sqlx::Error) -> StoreError {
        StoreError::Unavailable { database: self.url.to_string(), host: self.url.host(), cause: cause(error) }
    }
}

/// Makes the folder of a database. A folder called `.sower` hides itself from git.
async fn make_folder(folder: &Path) -> std::io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    if folder.file_name().is_some_and(|name| name == ".sower") {
        let ignore = folder.join(".gitignore");
        if !tokio::fs::try_exists(&ignore).await? {
            tokio::fs::write(&ignore, "*\n").await?;
        }
    }
    Ok(())
}
