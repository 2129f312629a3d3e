//! Waiting for a condition, never for a time.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep, timeout_at};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` returns a value, and returns it.
///
/// `look` fails for as long as the condition does not hold, with what it saw instead; the last such
/// reason stands in the error once `limit` is over. A `look` that hangs is cut off at the limit.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut seen = "nothing".to_owned();
    loop {
        match timeout_at(deadline, look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(reason)) => seen = format!("{reason:#}"),
            Err(_) => bail!("{what}: not within {limit:?}, and the last look did not end; before it: {seen}"),
        }
        if Instant::now() + PAUSE > deadline {
            bail!("{what}: not within {limit:?}; last seen: {seen}");
        }
        sleep(PAUSE).await;
    }
}

/// Fails if `look` fails at any time within `period`: for what must stay as it is.
pub async fn throughout(
    what: &str,
    period: Duration,
    mut look: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let end = Instant::now() + period;
    while Instant::now() < end {
        if let Err(reason) = look().await {
            bail!("{what}: did not hold: {reason:#}");
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
