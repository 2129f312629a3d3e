//! What can go wrong with a database, and what it means for whoever waits.

use std::time::Duration;

/// What is to be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing helps until the user changes something.
    Stalled,
    /// Trying again may help.
    Transient,
}

/// An error of the store. No message holds a password.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL cannot be used.
    #[error("the database URL cannot be used: {0}")]
    BadUrl(String),
    /// The database does not answer.
    #[error("the database does not answer: {database}: {cause}")]
    Unavailable {
        /// The URL with its port, without a password: `postgres://sower@db.internal:5432/catalog`.
        database: String,
        /// `db.internal:5432`, or the file.
        host: String,
        /// `connection refused (3 tries in 4s)`.
        cause: String,
    },
    /// There are no tables, or older ones, and migrating is not allowed.
    #[error("{database} has no tables of schema {needs}{}", found.map(|v| format!(" (they are at {v})")).unwrap_or_default())]
    SchemaMissing {
        /// The URL without a password.
        database: String,
        /// Version of the schema this Sower needs.
        needs: i64,
        /// Version that was found.
        found: Option<i64>,
    },
    /// The tables are newer than this Sower.
    #[error("the tables of {database} are of schema {found}; this Sower knows {knows}")]
    SchemaIncompatible {
        /// The URL without a password.
        database: String,
        /// Version that was found.
        found: i64,
        /// Version of the schema this Sower has.
        knows: i64,
    },
    /// Tables of our names are there, and no record of ours says who made them.
    #[error("{database} has a table `{table}` that Sower did not make")]
    SchemaForeign {
        /// The URL without a password.
        database: String,
        /// The first such table.
        table: String,
    },
    /// The tables of somebody else have not the form that a catalog needs, or a row of theirs cannot be copied.
    #[error("the tables of {database} cannot be taken over: {}", why.join("; "))]
    Unadoptable {
        /// The URL without a password.
        database: String,
        /// What is off.
        why: Vec<String>,
    },
    /// The record says that our tables are there, and one is not: a restore of a part, or a table that was dropped.
    #[error("{database} has lost its table `{table}`")]
    SchemaBroken {
        /// The URL without a password.
        database: String,
        /// The first table that is missing.
        table: &'static str,
    },
    /// The tables could not be made.
    #[error("the tables of {database} cannot be made: {cause}")]
    Migration {
        /// The URL without a password.
        database: String,
        /// What the database said.
        cause: String,
    },
    /// Somebody else seeds this environment.
    #[error("{environment} in this database is kept by {keeper}")]
    KeptElsewhere {
        /// The environment.
        environment: String,
        /// `files`, or `<clusterName>/<namespace>/<name>`.
        keeper: String,
    },
    /// A new leader has the environment: this process is to stop writing.
    #[error("{environment} was taken over by another process (epoch {found}, not {epoch})")]
    Fenced {
        /// The environment.
        environment: String,
        /// The epoch this process writes under.
        epoch: i64,
        /// The one in the database.
        found: i64,
    },
    /// The environment's row was deleted since it was read, or let go by its keeper.
    #[error("{environment} is not in this database any more, or nobody keeps it")]
    Gone {
        /// The environment.
        environment: String,
    },
    /// Another process changed the environment's row since it was read, though it wrote no seeding.
    #[error("{environment} was moved on by another process meanwhile")]
    Moved {
        /// The environment.
        environment: String,
    },
    /// Another seeding came first.
    #[error("seeding {found} of {environment} came first; this one stands on {base}")]
    Stale {
        /// The environment.
        environment: String,
        /// The seeding that the plan stands on.
        base: i64,
        /// The last one in the database.
        found: i64,
    },
    /// Rows that a plan touches are not what they were when it was made.
    #[error("rows of {} were changed by somebody else since", integrations.join(", "))]
    RowsChanged {
        /// The integrations that they belong to.
        integrations: Vec<String>,
    },
    /// Another process closed the running log row: it seeds now.
    #[error("another seeding of {environment} began and closed this one")]
    Superseded {
        /// The environment.
        environment: String,
    },
    /// Somebody changed rows that were to be merged since they were read; nothing was written.
    #[error("rows of {} were changed by somebody else meanwhile", integrations.join(", "))]
    Edited {
        /// The integrations.
        integrations: Vec<String>,
    },
    /// Rows that Sower did not write hold a wanted id; nothing was written.
    #[error("rows that Sower did not write hold ids of {}", integrations.join(", "))]
    ForeignRow {
        /// The integrations whose ids they hold.
        integrations: Vec<String>,
    },
    /// Records of usage that cannot be counted, so none of their batch was.
    #[error("the usage is refused: {}", why.join("; "))]
    UsageRefused {
        /// Each of them, and why; at most some of many.
        why: Vec<String>,
    },
    /// A stored document cannot be read: somebody else wrote there, or this is a mistake of ours.
    #[error("{what} cannot be read: {cause}")]
    Unreadable {
        /// Which document.
        what: String,
        /// Why.
        cause: String,
    },
    /// The connection was lost in the middle; what was begun is rolled back. Where it was lost while committing, nobody
    /// here knows whether it was: the next seeding sees it.
    #[error("the connection to the database was lost while {what}: {cause}")]
    Lost {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        cause: String,
    },
    /// A statement failed; its transaction was rolled back.
    #[error("{what}: {cause}")]
    Query {
        /// What was being done.
        what: &'static str,
        /// What the database said.
        cause: String,
    },
    /// A table or column is not there any more: the database was made anew or restored. Opening it again makes the tables.
    #[error("{what}: {cause}")]
    TablesGone {
        /// What was being done.
        what: &'static str,
        /// What the database said.
        cause: String,
    },
    /// The database cannot do it now: a lock is held, or it has too much to do. Nothing is wrong with what was asked.
    #[error("{what}: {cause}")]
    Busy {
        /// What was being done.
        what: &'static str,
        /// What the database said.
        cause: String,
    },
}

impl StoreError {
    /// What is to be done about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::BadUrl(_)
            | Self::SchemaMissing { .. }
            | Self::SchemaIncompatible { .. }
            | Self::SchemaForeign { .. }
            | Self::Unadoptable { .. }
            | Self::SchemaBroken { .. }
            | Self::Migration { .. }
            | Self::KeptElsewhere { .. }
            | Self::UsageRefused { .. }
            | Self::Unreadable { .. } => ErrorKind::Stalled,
            Self::Unavailable { .. }
            | Self::Fenced { .. }
            | Self::Stale { .. }
            | Self::Gone { .. }
            | Self::Moved { .. }
            | Self::Superseded { .. }
            | Self::RowsChanged { .. }
            | Self::Edited { .. }
            | Self::ForeignRow { .. }
            | Self::Lost { .. }
            | Self::Query { .. }
            | Self::TablesGone { .. }
            | Self::Busy { .. } => ErrorKind::Transient,
        }
    }

    /// What to do, where one line can say it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::SchemaMissing { .. } => {
                Some("run the output of `sower generate migrations` there, or allow `migrate: Auto`")
            }
            Self::SchemaIncompatible { .. } => Some("upgrade this Sower"),
            Self::SchemaForeign { .. } => Some(
                "`sower adopt DIR -e ENVIRONMENT` takes such tables over (--dry-run says how); or give Sower a database of its own",
            ),
            Self::SchemaBroken { .. } => {
                Some("restore it whole; or drop what is left, `sower_migrations` too, and it is made anew")
            }
            Self::Migration { .. } => Some(
                "its user must own the database, or run the output of `sower generate migrations` as one who does",
            ),
            _ => None,
        }
    }

    /// A short word for the kind of failure: failures of one kind in a row share a log row.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadUrl(_) | Self::Unavailable { .. } | Self::Lost { .. } => "DatabaseUnavailable",
            Self::SchemaMissing { .. }
            | Self::SchemaIncompatible { .. }
            | Self::SchemaForeign { .. }
            | Self::Unadoptable { .. }
            | Self::SchemaBroken { .. }
            | Self::Migration { .. } => "SchemaIncompatible",
            Self::KeptElsewhere { .. } => "KeptElsewhere",
            Self::ForeignRow { .. } => "foreign-row",
            Self::Fenced { .. }
            | Self::Stale { .. }
            | Self::Gone { .. }
            | Self::Moved { .. }
            | Self::Superseded { .. }
            | Self::RowsChanged { .. }
            | Self::Edited { .. }
            | Self::UsageRefused { .. }
            | Self::Unreadable { .. }
            | Self::Query { .. }
            | Self::TablesGone { .. }
            | Self::Busy { .. } => "SeedingFailed",
        }
    }
}

/// `1 try in 0s`, `3 tries in 4s`.
pub(crate) fn tries(count: u32, took: Duration) -> String {
    let noun = if count == 1 { "try" } else { "tries" };
    format!("{count} {noun} in {}s", took.as_secs_f32().round())
}

/// What a driver's error says to people: the server's own words, or the system's.
pub(crate) fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => format!("{} ({code})", error.message()),
            None => error.message().to_owned(),
        },
        sqlx::Error::Io(error) => io_cause(error),
        sqlx::Error::Tls(error) => format!("TLS: {error}"),
        sqlx::Error::PoolTimedOut => "every connection is busy".to_owned(),
        other => other.to_string(),
    }
}

fn io_cause(error: &std::io::Error) -> String {
    use std::io::ErrorKind as Io;

    match error.kind() {
        Io::ConnectionRefused => "connection refused".to_owned(),
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof => {
            "the connection was cut".to_owned()
        }
        Io::TimedOut => "no answer in time".to_owned(),
        // What the driver makes of an answer that breaks TLS.
        Io::InvalidData => format!("TLS: {error}"),
        _ => error.to_string(),
    }
}

/// Whether the same statement may do at another time. PostgreSQL, by the classes of its appendix A: 40 a transaction that
/// others crossed, 53 too few resources, 55P03 a lock that was not free in time, 57 an operator's intervention, such as
/// a statement's time-out. SQLite, by the low byte of its result code: busy, locked, interrupted, I/O error, full.
fn busy(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let Some(code) = error.code() else { return false };
    match code.parse::<u32>() {
        Ok(number) if code.len() != 5 => matches!(number & 0xff, 5 | 6 | 9 | 10 | 13),
        _ => code == "55P03" || ["40", "53", "57"].iter().any(|class| code.starts_with(class)),
    }
}

/// Whether a table, a column or their schema is missing. SQLite has no code of its own for it.
pub(crate) fn tables_gone(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let gone = |code: &str| matches!(code, "42P01" | "42703" | "3F000");
    error.code().is_some_and(|code| gone(&code))
        || ["no such table", "no such column"].iter().any(|words| error.message().starts_with(words))
}

/// Wraps a driver's error with what was being done.
pub(crate) trait During<T> {
    /// Names what was being done.
    fn during(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| {
            let cause = cause(&error);
            let lost = match &error {
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
                // 57P: the server goes down, or an administrator ended the connection; 25P03: idle for too long.
                sqlx::Error::Database(error) => error
                    .code()
                    .is_some_and(|code| code.starts_with("57P") || code == "25P03" || code.starts_with("08")),
                _ => false,
            };
            match () {
                () if lost => StoreError::Lost { what, cause },
                () if busy(&error) => StoreError::Busy { what, cause },
                () if tables_gone(&error) => StoreError::TablesGone { what, cause },
                () => StoreError::Query { what, cause },
            }
        })
    }
}
