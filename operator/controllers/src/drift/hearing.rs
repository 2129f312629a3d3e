//! Listening for hints of other hands at the catalog: one connection for each database, with whoever wants to hear of it.
//!
//! A hint only wakes: what is there is looked at. A connection that comes back after it was lost wakes everybody.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sower_store::{Engine, Hint, Hints, Store, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::doors::Database;

/// Hints that come within this time are one.
const BURST: Duration = Duration::from_millis(500);
/// How long it is waited for the first connection before the first look.
const FIRST: Duration = Duration::from_secs(2);
/// The first and the longest pause before a lost connection is made anew.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// What is done when an environment is hinted at.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Namespace, empty with files, and name.
type Key = (String, String);
type Wakers = Arc<Mutex<BTreeMap<Key, Waker>>>;

/// Everything that is listened to.
#[derive(Default)]
pub struct Hearing(Mutex<HashMap<Database, Line>>);

/// A connection to one database.
struct Line {
    wakers: Wakers,
    /// Whether it was tried to connect.
    tried: watch::Receiver<bool>,
    _ends: DropGuard,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hearing {
    /// From now on `waker` hears of an environment. Returns once hints are heard, or it was tried: whoever looks after that
    /// misses nothing.
    pub async fn follow(&self, namespace: &str, environment: &str, store: &Store, waker: Waker) {
        let key = (namespace.to_owned(), environment.to_owned());
        // With other certificates it is another line: those of the old one may have run out.
        let database = Database { url: store.url().clone(), tls: store.tls() };
        let mut tried = {
            let mut lines = locked(&self.0);
            leave(&mut lines, &key, Some(&database));
            if database.url.engine() == Engine::Sqlite {
                return;
            }
            let line = lines.entry(database).or_insert_with(|| Line::open(store.clone()));
            locked(&line.wakers).insert(key, waker);
            line.tried.clone()
        };
        // Whoever ends it needs no word.
        let _ = tokio::time::timeout(FIRST, tried.wait_for(|tried| *tried)).await;
    }

    /// Nobody wants to hear of an environment any more.
    pub fn forget(&self, namespace: &str, environment: &str) {
        leave(&mut locked(&self.0), &(namespace.to_owned(), environment.to_owned()), None);
    }

    /// Nobody wants to hear of anything any more.
    pub fn clear(&self) {
        locked(&self.0).clear();
    }
}

/// Ends what an environment hears of any database but this one; a line without anybody ends, too.
fn leave(lines: &mut HashMap<Database, Line>, key: &Key, but: Option<&Database>) {
    lines.retain(|database, line| {
        if Some(database) == but {
            return true;
        }
        let mut wakers = locked(&line.wakers);
        wakers.remove(key);
        !wakers.is_empty()
    });
}

impl Line {
    fn open(store: Store) -> Self {
        let (wakers, ends) = (Wakers::default(), CancellationToken::new());
        let (tell, tried) = watch::channel(false);
        let (heard, ended) = (wakers.clone(), ends.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = listen(&store, &heard, &tell) => {}
            }
        });
        Self { wakers, tried, _ends: ends.drop_guard() }
    }
}

/// Connects, hears, and connects anew, until nothing can be heard there at all.
async fn listen(store: &Store, wakers: &Wakers, tried: &watch::Sender<bool>) {
    let mut pause = PAUSES.0;
    loop {
        match store.hints().await {
            Ok(Some(hints)) => {
                pause = PAUSES.0;
                // What happened while nobody listened, nobody was told of.
                wake(wakers, None);
                tried.send_replace(true);
                let error = hear(hints, wakers).await;
                tracing::debug!(%error, database = %store.url(), "hints are not heard for a moment");
            }
            Ok(None) => {
                tried.send_replace(true);
                tracing::info!(
                    database = %store.url(),
                    "drift is noticed at each interval alone: notifications do not pass, as behind a pooler"
                );
                return;
            }
            Err(error) => {
                tried.send_replace(true);
                tracing::debug!(%error, database = %store.url(), "hints are not heard");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Wakes whoever is hinted at, until the connection is lost; why it was.
async fn hear(mut hints: Hints, wakers: &Wakers) -> StoreError {
    loop {
        let mut heard = Heard::default();
        let mut ended = match hints.next().await {
            Ok(hint) => {
                heard.take(hint);
                None
            }
            Err(error) => return error,
        };
        let until = Instant::now() + BURST;
        while let Ok(next) = tokio::time::timeout_at(until, hints.next()).await {
            match next {
                Ok(hint) => heard.take(hint),
                Err(error) => {
                    ended = Some(error);
                    break;
                }
            }
        }
        wake(wakers, heard.only());
        if let Some(error) = ended {
            return error;
        }
    }
}

/// The environments of one burst.
#[derive(Default)]
struct Heard {
    all: bool,
    environments: BTreeSet<String>,
}

impl Heard {
    fn take(&mut self, hint: Hint) {
        match hint {
            Hint::All => self.all = true,
            Hint::Environment(environment) => {
                self.environments.insert(environment);
            }
        }
    }

    fn only(&self) -> Option<&BTreeSet<String>> {
        (!self.all).then_some(&self.environments)
    }
}

/// Wakes these environments, or all.
fn wake(wakers: &Wakers, only: Option<&BTreeSet<String>>) {
    let all = locked(wakers).clone();
    let meant = |name: &String| only.is_none_or(|only| only.contains(name));
    all.iter().filter(|((_, name), _)| meant(name)).for_each(|(_, waker)| waker());
}
