//! Which folders and repositories are watched, and the news of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sower_source::Watch;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::member::Spec;
use crate::job;

/// What is watched on this disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    folders: BTreeSet<PathBuf>,
    repositories: BTreeSet<PathBuf>,
}

impl Places {
    /// The folder of the Environments, and what their sources are read from.
    pub fn of<'a>(environments: PathBuf, specs: impl Iterator<Item = &'a Spec>) -> Self {
        let mut places = Self::default();
        // Of a single file its folder is watched: an editor puts a new file in its place.
        let folder = if environments.is_file() {
            environments.parent().map(PathBuf::from).unwrap_or_default()
        } else {
            environments
        };
        places.folders.insert(folder);
        for job in specs.filter_map(|spec| spec.job.as_ref().ok()) {
            let watched = job::watched(job);
            places.folders.extend(watched.folders);
            places.repositories.extend(watched.repositories);
        }
        places
    }
}

/// The watchers of some places.
pub struct Watching {
    places: Places,
    news: mpsc::Receiver<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watching {
    /// Starts watching. What cannot be watched is left to the interval.
    pub fn start(places: Places) -> Self {
        let (tell, news) = mpsc::channel(1);
        let folders: Vec<PathBuf> = places.folders.iter().cloned().collect();
        let mut bases: Vec<PathBuf> = places.repositories.iter().cloned().collect();
        if bases.is_empty() {
            // No repository is read: the folders alone.
            bases.extend(folders.first().cloned());
        }
        let mut tasks = Vec::new();
        for (index, base) in bases.iter().enumerate() {
            let folders: &[PathBuf] = if index == 0 { &folders } else { &[] };
            match Watch::start(base, folders) {
                Ok(watch) => tasks.push(tokio::spawn(follow(watch, tell.clone()))),
                Err(error) => tracing::warn!(%error, "changes are noticed at each interval alone"),
            }
        }
        Self { places, news, tasks }
    }

    /// Watches other places from now on.
    pub fn change(&mut self, places: Places) {
        if self.places != places {
            *self = Self::start(places);
        }
    }

    /// Waits for the next news. Never ends by itself.
    pub async fn changed(&mut self) {
        if self.news.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn follow(mut watch: Watch, tell: mpsc::Sender<()>) {
    loop {
        watch.changed().await;
        // A full channel holds news that says the same.
        if let Err(mpsc::error::TrySendError::Closed(())) = tell.try_send(()) {
            return;
        }
    }
}
