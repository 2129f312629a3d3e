//! The questions of one look at an environment's rollouts, which are asked side by side.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long all questions may take together: whoever asks has other things to do.
const TOGETHER: Duration = Duration::from_secs(20);
/// Questions that one server is asked at a time.
const AT_A_TIME: usize = 8;
/// What is said of a server that does not answer.
pub(super) const SILENT: &str = "no answer in time";

/// Bounds what is asked: a server that does not answer is not waited for twice, and none waits for another.
pub struct Questions {
    until: Instant,
    servers: Mutex<BTreeMap<String, Arc<Server>>>,
}

struct Server {
    turns: Semaphore,
    silent: AtomicBool,
}

impl Questions {
    /// Of one look, whose environment is done with within `timeout`: it is looked at twice, and seeded besides.
    #[must_use]
    pub fn within(timeout: Duration) -> Self {
        Self { until: Instant::now() + TOGETHER.min(timeout / 4), servers: Mutex::default() }
    }

    /// What is to be had before all of it is over.
    pub(super) async fn in_time<T>(&self, asked: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.until, asked).await.ok()
    }

    /// What a server answers, once it is its turn.
    pub(super) async fn answer<T>(
        &self,
        address: &str,
        asked: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let server = self.server(address);
        let in_turn = async {
            // Nobody closes the turns.
            let _turn = server.turns.acquire().await;
            if server.silent.load(Ordering::Relaxed) {
                return Err(SILENT.to_owned());
            }
            timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
                server.silent.store(true, Ordering::Relaxed);
                Err(SILENT.to_owned())
            })
        };
        self.in_time(in_turn).await.unwrap_or_else(|| Err(SILENT.to_owned()))
    }

    fn server(&self, address: &str) -> Arc<Server> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Server { turns: Semaphore::new(AT_A_TIME), silent: AtomicBool::new(false) });
        servers.entry(address.to_owned()).or_insert_with(new).clone()
    }
}
