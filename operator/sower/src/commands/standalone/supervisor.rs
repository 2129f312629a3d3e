//! The environments of a checkout under watch: each is one task; files that come, change and go are followed.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use sower_controllers::metrics::EnvironmentLabels;
use sower_core::problem::Problem;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::line::Line;
use super::member::{Member, Round, Shared, Spec};
use super::watching::{Places, Watching};
use crate::environments::EnvironmentFiles;
use crate::job;
use crate::origin::{self, Secrets};
use crate::project::Project;

/// All environments.
pub struct Supervisor {
    shared: Arc<Shared>,
    running: BTreeMap<String, Running>,
    /// Environments that came, and are not seeded yet.
    waiting: Vec<(String, Member)>,
    /// The first outcome of each, for the table.
    pub first: Vec<(Arc<Spec>, Round)>,
    /// What that table has no room for.
    pub more: Vec<Line>,
    watching: Watching,
    problems: Vec<Problem>,
}

struct Running {
    spec: watch::Sender<Arc<Spec>>,
    bell: Arc<Notify>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Begins to watch, then seeds every environment once, side by side.
    pub async fn start(shared: Arc<Shared>, project: Project) -> Self {
        let mut supervisor = Self {
            watching: Watching::start(Places::default()),
            shared,
            running: BTreeMap::new(),
            waiting: Vec::new(),
            first: Vec::new(),
            more: Vec::new(),
            problems: Vec::new(),
        };
        // Before the first look, so that no edit falls between the two.
        supervisor.take_in(project.files);
        let mut members = std::mem::take(&mut supervisor.waiting);
        let rounds = join_all(members.iter_mut().map(|(_, member)| member.round())).await;
        for ((name, mut member), round) in members.into_iter().zip(rounds) {
            let Some(running) = supervisor.running.get_mut(&name) else { continue };
            supervisor.more.extend(member.open(&round));
            running.task = Some(tokio::spawn(member.watch(round.again)));
            supervisor.first.push((running.spec.borrow().clone(), round));
        }
        supervisor
    }

    /// The specs in force, by name.
    pub fn specs(&self) -> Vec<Arc<Spec>> {
        self.running.values().map(|running| running.spec.borrow().clone()).collect()
    }

    /// Follows what changes until the end.
    pub async fn watch(&mut self) {
        loop {
            tokio::select! {
                () = self.shared.stop.cancelled() => return,
                () = self.watching.changed() => {}
            }
            match origin::environment_files(&self.shared.settings) {
                Ok(files) => self.take_in(files),
                // The folder is on its way: an editor or a checkout puts it in place anew.
                Err(failure) => tracing::debug!("{}", failure.message),
            }
            for running in self.running.values() {
                running.bell.notify_one();
            }
            for (name, member) in std::mem::take(&mut self.waiting) {
                if let Some(running) = self.running.get_mut(&name) {
                    running.task = Some(tokio::spawn(member.begin()));
                }
            }
        }
    }

    /// Compares what the files say with what runs.
    fn take_in(&mut self, files: EnvironmentFiles) {
        self.tell_problems(&files);
        let secrets = Arc::new(Secrets::of(&files));
        let broken =
            |path: &str| files.problems.iter().any(|problem| problem.is_error() && problem.file == path);
        let there: Vec<&str> = files.environments.iter().map(|one| one.name.as_str()).collect();
        let gone: Vec<String> = self
            .running
            .iter()
            // An environment whose file is broken stays as it was.
            .filter(|(name, running)| {
                !there.contains(&name.as_str()) && !broken(&running.spec.borrow().environment.path)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.let_go(&name);
        }
        files.environments.clone_into(&mut self.shared.all.lock().unwrap_or_else(PoisonError::into_inner));
        for environment in files.environments {
            let settings = &self.shared.settings;
            let name = environment.name.clone();
            let place =
                environment.lines.get("/suspend").map(|(line, _)| format!(":{line}")).unwrap_or_default();
            let suspended_at = format!("{}{place}", environment.path);
            let job = job::job(settings, &environment, &secrets);
            self.shared.files.note(&environment);
            let spec = Arc::new(Spec { environment, suspended_at, job, secrets: secrets.clone() });
            match self.running.get(&name) {
                Some(running) => {
                    running.spec.send_if_modified(|known| {
                        // Lines move with every edit of the file: they are told, and wake nobody.
                        let same = known.environment.spec == spec.environment.spec
                            && known.environment.path == spec.environment.path
                            && known.secrets == spec.secrets
                            && format!("{:?}", known.job) == format!("{:?}", spec.job);
                        *known = spec;
                        !same
                    });
                }
                None => self.take_up(name, spec),
            }
        }
        let specs = self.specs();
        let places =
            Places::of(self.shared.settings.environments.value.clone(), specs.iter().map(Arc::as_ref));
        self.watching.change(places);
    }

    fn take_up(&mut self, name: String, spec: Arc<Spec>) {
        let (sender, receiver) = watch::channel(spec);
        let (bell, stop) = (Arc::new(Notify::new()), self.shared.stop.child_token());
        let member = Member::new(self.shared.clone(), receiver, bell.clone(), stop.clone());
        self.running.insert(name.clone(), Running { spec: sender, bell, stop, task: None });
        self.waiting.push((name, member));
    }

    fn let_go(&mut self, name: &str) {
        let Some(running) = self.running.remove(name) else { return };
        running.stop.cancel();
        self.shared.files.forget(name);
        self.shared.hearing.forget("", name);
        self.shared
            .metrics
            .forget(&EnvironmentLabels { namespace: String::new(), environment: name.to_owned() });
        let path = running.spec.borrow().environment.path.clone();
        let told = format!("no longer in {path}: its rows stay");
        self.shared.log.line(&Line { environment: name.to_owned(), told, ..Line::default() });
    }

    fn tell_problems(&mut self, files: &EnvironmentFiles) {
        let errors: Vec<Problem> =
            files.problems.iter().filter(|problem| problem.is_error()).cloned().collect();
        for problem in errors.iter().filter(|problem| !self.problems.contains(problem)) {
            self.shared.log.problem(problem, files.line(&problem.file, problem.line).as_deref());
        }
        self.problems = errors;
    }

    /// Ends every environment; whether nothing was being written.
    pub async fn end(&mut self, patience: Duration) -> bool {
        let tasks = self.running.values_mut().filter_map(|running| running.task.take());
        let ended = tokio::time::timeout(patience, join_all(tasks)).await;
        ended.is_ok() && self.shared.was_idle()
    }
}
