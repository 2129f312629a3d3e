//! Who leads: the holder of the Lease, as long as it is seen to be renewed.
//!
//! The lease library renews and takes over, but says nothing while the API server is away. So the Lease itself is looked
//! at, and leading ends when it was not seen renewed within its duration, whatever the library thinks.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, Client};
use kube_lease_manager::{LeaseManagerBuilder, LeaseManagerError, LeaseParams};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::secrets::PATIENCE;

/// How long releasing it may take.
const RELEASE: Duration = Duration::from_secs(5);
/// The first pause after a failure to begin.
const PAUSE: Duration = Duration::from_secs(2);

/// Who leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Leadership {
    /// Somebody else, or nobody.
    #[default]
    Follower,
    /// This process, for the n-th time.
    Leader(u64),
}

/// How an election is held.
#[derive(Debug, Clone)]
pub struct Election {
    /// The namespace of the Lease; none: this process leads always.
    pub namespace: Option<String>,
    /// Its name there.
    pub name: String,
    /// How long the Lease lasts once it was renewed.
    pub duration: Duration,
    /// This process.
    pub identity: String,
}

impl Election {
    /// Holds it until stopped, then releases the Lease. `told` hears of every change.
    pub async fn hold(&self, client: &Client, told: &watch::Sender<Leadership>, stop: &CancellationToken) {
        let Some(namespace) = &self.namespace else {
            told.send_replace(Leadership::Leader(1));
            stop.cancelled().await;
            told.send_replace(Leadership::Follower);
            return;
        };
        let mut term = Term::default();
        while let Some((hint, library)) = self.begin(client, namespace, stop).await {
            let (hint, library) = self.watch(client, namespace, (hint, library), &mut term, told, stop).await;
            told.send_replace(Leadership::Follower);
            if stop.is_cancelled() {
                release(hint, library).await;
                return;
            }
            // The library cannot go on from here: its Lease was deleted, or it broke.
            tracing::warn!("the Lease is gone; beginning anew");
            library.abort();
            term.saw(Some(Duration::ZERO), Instant::now());
        }
    }

    /// Whether the Lease is this process's right now. Where it cannot be seen, it is not.
    pub async fn leads(&self, client: &Client) -> bool {
        let Some(namespace) = &self.namespace else { return true };
        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
        let seen = tokio::time::timeout(self.tick(), leases.get_opt(&self.name)).await;
        let lease = seen.ok().and_then(Result::ok).flatten().and_then(|lease| lease.spec);
        lease.is_some_and(|lease| !valid_for(&lease, &self.identity, Timestamp::now()).is_zero())
    }

    /// Looks at the Lease until stopped, or until the library can do nothing more with it.
    async fn watch(
        &self,
        client: &Client,
        namespace: &str,
        (mut hint, library): Library,
        term: &mut Term,
        told: &watch::Sender<Leadership>,
        stop: &CancellationToken,
    ) -> Library {
        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
        while !library.is_finished() {
            // An answer that comes when the Lease has run out is none.
            let limit = Instant::now() + self.tick();
            let limit = term.until.map_or(limit, |until| limit.min(until));
            let seen = tokio::time::timeout_at(limit, leases.get_opt(&self.name)).await;
            let seen = seen.ok().and_then(Result::ok);
            if matches!(seen, Some(None)) {
                break;
            }
            let lease = seen.flatten().and_then(|lease| lease.spec);
            term.saw(
                lease.as_ref().map(|lease| valid_for(lease, &self.identity, Timestamp::now())),
                Instant::now(),
            );
            told.send_if_modified(|before| std::mem::replace(before, term.leadership()) != term.leadership());
            let next = Instant::now() + self.tick();
            let next = term.until.map_or(next, |until| next.min(until));
            tokio::select! {
                () = stop.cancelled() => break,
                // A channel that is closed is seen in the loop's condition.
                changed = hint.changed() => if changed.is_err() { break },
                () = tokio::time::sleep_until(next) => {}
            }
        }
        (hint, library)
    }

    /// How often the Lease is looked at.
    fn tick(&self) -> Duration {
        (self.duration / 5).max(Duration::from_millis(500))
    }

    async fn begin(&self, client: &Client, namespace: &str, stop: &CancellationToken) -> Option<Library> {
        // Renewed after two thirds of the duration.
        let seconds = self.duration.as_secs().max(3);
        let params = LeaseParams::new(&self.identity, seconds, (seconds / 3).max(1))
            .with_field_manager(&self.identity);
        loop {
            let builder = LeaseManagerBuilder::new(client.clone(), &self.name).with_namespace(namespace);
            let built = tokio::time::timeout(PATIENCE, builder.with_parameters(params.clone()).build());
            tokio::select! {
                () = stop.cancelled() => return None,
                built = built => match built {
                    Ok(Ok(manager)) => return Some(manager.watch().await),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, namespace, "the Lease cannot be had; trying again")
                    }
                    Err(_) => {
                        tracing::warn!(namespace, "the API server says nothing of the Lease; trying again")
                    }
                },
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

type Library =
    (watch::Receiver<bool>, JoinHandle<Result<kube_lease_manager::LeaseManager, LeaseManagerError>>);

async fn release(
    hint: watch::Receiver<bool>,
    library: JoinHandle<Result<kube_lease_manager::LeaseManager, LeaseManagerError>>,
) {
    drop(hint);
    match tokio::time::timeout(RELEASE, library).await {
        Ok(Ok(Ok(_))) => tracing::info!("released the Lease"),
        Ok(Ok(Err(error))) => {
            tracing::warn!(%error, "the Lease could not be released; it runs out by itself")
        }
        Ok(Err(error)) => tracing::warn!(%error, "the lease task broke"),
        Err(_) => tracing::warn!("the Lease was not released in time; it runs out by itself"),
    }
}

/// How long a Lease is this holder's still; zero: it is not. Never longer than it lasts: where the clock stepped back,
/// it was renewed in the future.
fn valid_for(lease: &LeaseSpec, identity: &str, now: Timestamp) -> Duration {
    let ours = lease.holder_identity.as_deref() == Some(identity);
    match (&lease.renew_time, lease.lease_duration_seconds) {
        (Some(renewed), Some(seconds)) if ours => {
            let whole = i64::from(seconds) * 1000;
            let left = (renewed.0.as_millisecond() + whole - now.as_millisecond()).min(whole);
            Duration::from_millis(u64::try_from(left).unwrap_or(0))
        }
        _ => Duration::ZERO,
    }
}

/// What is known of our own leading.
#[derive(Debug, Default)]
struct Term {
    number: u64,
    until: Option<Instant>,
}

impl Term {
    /// The Lease was looked at; none: it could not be.
    fn saw(&mut self, valid_for: Option<Duration>, now: Instant) {
        let before = self.until.is_some();
        match valid_for {
            Some(left) => self.until = (!left.is_zero()).then(|| now + left),
            None => self.until = self.until.filter(|until| now < *until),
        }
        if !before && self.until.is_some() {
            self.number += 1;
        }
    }

    fn leadership(&self) -> Leadership {
        if self.until.is_some() { Leadership::Leader(self.number) } else { Leadership::Follower }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_is_ours_until_its_duration_has_passed() {
        let now: Timestamp = "2026-11-21T14:00:10Z".parse().expect("a time");
        let lease = |holder: &str, renewed: &str| LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            renew_time: Some(MicroTime(renewed.parse().expect("a time"))),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        assert_eq!(valid_for(&lease("me", "2026-11-21T14:00:00Z"), "me", now), 5 * SECOND);
        assert_eq!(valid_for(&lease("me", "2026-11-21T13:59:50Z"), "me", now), Duration::ZERO);
        assert_eq!(valid_for(&lease("me", "2026-11-21T15:00:00Z"), "me", now), 15 * SECOND);
        assert_eq!(valid_for(&lease("other", "2026-11-21T14:00:00Z"), "me", now), Duration::ZERO);
        assert_eq!(valid_for(&LeaseSpec::default(), "me", now), Duration::ZERO);
    }

    #[test]
    fn leading_outlasts_silence_until_the_lease_runs_out_and_begins_anew_afterwards() {
        let start = Instant::now();
        let mut term = Term::default();
        let mut check = |seen: Option<Duration>, after: u32, expect: Leadership| {
            term.saw(seen, start + after * SECOND);
            assert_eq!(term.leadership(), expect, "after {after} s");
        };
        check(Some(Duration::ZERO), 0, Leadership::Follower);
        check(Some(15 * SECOND), 1, Leadership::Leader(1));
        check(None, 10, Leadership::Leader(1));
        check(None, 15, Leadership::Leader(1));
        check(None, 16, Leadership::Follower);
        check(Some(15 * SECOND), 20, Leadership::Leader(2));
        check(Some(Duration::ZERO), 21, Leadership::Follower);
        check(None, 22, Leadership::Follower);
    }

    /// An API server that takes connections and says nothing.
    fn deaf() -> (std::net::TcpListener, Client) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let config = kube::Config::new(url.parse().expect("a URL"));
        (listener, Client::try_from(config).expect("a client"))
    }

    #[tokio::test]
    async fn nobody_leads_beyond_the_lease_while_the_server_says_nothing() {
        let (_listener, client) = deaf();
        // It is looked at every 2 s.
        let election = Election {
            namespace: Some("n".into()),
            name: "sower".into(),
            duration: 10 * SECOND,
            identity: "me".into(),
        };
        let (_sender, hint) = watch::channel(true);
        let library = tokio::spawn(std::future::pending());
        let until = Instant::now() + SECOND / 2;
        let mut term = Term { number: 1, until: Some(until) };
        let (told, mut heard) = watch::channel(Leadership::Leader(1));
        let stop = CancellationToken::new();
        let watching = election.watch(&client, "n", (hint, library), &mut term, &told, &stop);
        tokio::select! {
            _ = watching => panic!("it goes on"),
            changed = heard.changed() => changed.expect("told"),
        }
        assert_eq!(*heard.borrow(), Leadership::Follower);
        let late = Instant::now().duration_since(until);
        assert!(late < SECOND, "{late:?} late");
    }

    #[tokio::test]
    async fn whoever_is_stopped_waits_for_no_answer() {
        let (_listener, client) = deaf();
        let election = Election {
            namespace: Some("n".into()),
            name: "sower".into(),
            duration: 10 * SECOND,
            identity: "me".into(),
        };
        let stop = CancellationToken::new();
        let begun = election.begin(&client, "n", &stop);
        tokio::pin!(begun);
        assert!(tokio::time::timeout(SECOND / 10, &mut begun).await.is_err());
        stop.cancel();
        assert!(tokio::time::timeout(SECOND, begun).await.expect("at once").is_none());
    }
}
