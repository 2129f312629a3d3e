//! Hints of other hands at the catalog: what the triggers of PostgreSQL send.
//!
//! A hint says where to look, and nothing depends on it: one that is lost is made good by the next look.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Executor as _, Row as _};

use crate::error::{During as _, StoreError};
use crate::open::{CONNECT, PgStore, Store};
use crate::session::within;

const WHAT: &str = "listening for hints";
/// Where the triggers send them.
const CHANNEL: &str = "sower_drift";
/// No environment is called so: a question of ours to ourselves.
const QUESTION: char = '?';
/// How long our own question may be on its way.
const HEARD: Duration = Duration::from_secs(3);
/// After so long a silence the server is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(60);

/// A hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Rows of this environment were written by somebody else.
    Environment(String),
    /// A whole table was emptied: any environment may be meant.
    All,
}

/// A connection that hears hints.
pub struct Hints(PgListener);

impl Store {
    /// Begins to listen, with a connection of its own. None where nothing can be heard: SQLite tells nobody, and a pooler
    /// that gives every transaction another connection passes nothing on.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn hints(&self) -> Result<Option<Hints>, StoreError> {
        let Self::Postgres(store) = self else { return Ok(None) };
        let mut listener = within(CONNECT * 2, WHAT, listener(store)?).await?;
        if self.is_pooled(&mut listener).await? {
            return Ok(None);
        }
        within(CONNECT, WHAT, listener.listen(CHANNEL)).await?;
        let mut hints = Hints(listener);
        if self.is_heard(&mut hints).await? {
            return Ok(Some(hints));
        }
        within(CONNECT, WHAT, hints.0.unlisten_all()).await?;
        Ok(None)
    }

    /// Whether a pooler stands in between that gives every transaction another connection. Asked before anything is listened
    /// to: what such a connection is told would reach whoever has it then, and not everybody can bear that.
    async fn is_pooled(&self, listener: &mut PgListener) -> Result<bool, StoreError> {
        const SELF: &str = "SELECT pg_catalog.pg_backend_pid()::bigint";
        let mut own: Option<i64> = None;
        // However a pooler chooses among its connections: ours changes, or somebody else has it.
        for ours in [true, true, false, true, false, false, true] {
            let process = if ours {
                let row = sqlx::raw_sql(SELF).fetch_one(&mut *listener);
                within(CONNECT, WHAT, row).await?.try_get(0).during(WHAT)?
            } else {
                let rows = self.ask(WHAT, SELF).await?;
                rows.first().map(|row| row.int(0)).transpose()?.unwrap_or_default()
            };
            match own {
                None => own = Some(process),
                Some(own) if (own == process) != ours => return Ok(true),
                Some(_) => {}
            }
        }
        Ok(false)
    }

    /// Whether what another connection says is heard.
    async fn is_heard(&self, hints: &mut Hints) -> Result<bool, StoreError> {
        let question = format!("{QUESTION}{}", uuid::Uuid::now_v7());
        let asked = self.ask(WHAT, &format!("SELECT pg_catalog.pg_notify('{CHANNEL}', '{question}')")).await;
        match asked {
            // It was told itself, and does not know what to do with it.
            Err(StoreError::Query { .. }) => return Ok(false),
            asked => drop(asked?),
        }
        let heard = async {
            // Another's hint is not lost: whoever has just begun to listen looks anyway.
            while let Some(notification) = hints.0.try_recv().await? {
                if notification.payload() == question {
                    return Ok(true);
                }
            }
            Ok::<_, sqlx::Error>(false)
        };
        match tokio::time::timeout(HEARD, heard).await {
            Ok(heard) => heard.during(WHAT),
            Err(_) => Ok(false),
        }
    }
}

fn listener(
    store: &PgStore,
) -> Result<impl Future<Output = Result<PgListener, sqlx::Error>> + use<>, StoreError> {
    let connect = store.address()?;
    Ok(async move {
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let mut listener = PgListener::connect_with(&pool.connect_with(connect).await?).await?;
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        Ok(listener)
    })
}

impl Hints {
    /// Waits for the next one. Dropped while it waits, it has lost none.
    ///
    /// # Errors
    /// Where the connection is gone. What was sent meanwhile nobody heard: listen anew, and look.
    pub async fn next(&mut self) -> Result<Hint, StoreError> {
        loop {
            match tokio::time::timeout(SILENCE, self.0.try_recv()).await {
                Ok(Ok(Some(notification))) => match notification.payload() {
                    "" => return Ok(Hint::All),
                    ours if ours.starts_with(QUESTION) => {}
                    environment => return Ok(Hint::Environment(environment.to_owned())),
                },
                Ok(Ok(None)) => {
                    return Err(StoreError::Lost { what: WHAT, cause: "the connection is gone".to_owned() });
                }
                Ok(Err(error)) => return Err(error).during(WHAT),
                Err(_) => {
                    within(CONNECT, WHAT, self.0.execute("SELECT 1")).await?;
                }
            }
        }
    }
}
