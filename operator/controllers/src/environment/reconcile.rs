//! One reconcile of one Environment.

use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt as _};
use sower_core::promotion::Waiting;
use sower_core::report;
use sower_core::rollout::Rollout;
use sower_core::snapshot::Tree as _;
use sower_crds::{Environment, EnvironmentStatus, RESOLVE, TAKE_OVER};
use sower_store::{Store, Which};
use tokio::sync::SemaphorePermit;
use tracing::Instrument as _;

use super::neighbours::LetIn;
use super::{
    Context, Guarded, approving, deletion, dereference, drifting, neighbours, outcome, rollback, rollouts,
    take_over,
};
use crate::drift::{self, Round, Rounded};
use crate::integration::Holding;
use crate::metrics::EnvironmentLabels;
use crate::notify;
use crate::reason::Reason;
use crate::rollout::{Stepped, Steps};
use crate::secrets::PATIENCE;
use crate::seeding::{Job, Kind, Seeded, SeedingError};
use crate::status::{
    Notice, Outcome, RollbackOutcome, RolloutCommandOutcome, Tone, Verdict, compose, kind, notices,
};
use crate::writing::write_status;

/// How soon the API server is asked again when it did not answer.
const RETRY: Duration = Duration::from_secs(5);
/// How soon the newest revision is planned after a plan was applied that somebody approved.
const AT_ONCE: Duration = Duration::from_millis(50);
/// How long a seeding that was told to end may take to do so.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// Waits for its turn, then does it in a span of its own.
pub async fn reconcile(environment: &Guarded, context: &Context) -> Action {
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let turn = tokio::select! {
        () = context.term.over.cancelled() => return Action::await_change(),
        turn = turn(context, &namespace, &name) => turn,
    };
    let span =
        tracing::info_span!("reconcile", environment = name, namespace, revision = tracing::field::Empty);
    whole(context, &namespace, &name, turn).instrument(span).await
}

/// A permit, once no deletion of what the environment's sources select is under way: the whole of it is one plan, which
/// `pruneLimit` then sees.
async fn turn<'a>(context: &'a Context, namespace: &str, name: &str) -> Option<SemaphorePermit<'a>> {
    loop {
        while let Some(at) = context.scope.quiet_at(namespace, name) {
            tokio::time::sleep_until(at).await;
        }
        // Nobody closes the permits.
        let turn = context.shared.permits.acquire().await.ok();
        if context.scope.quiet_at(namespace, name).is_none() {
            return turn;
        }
    }
}

async fn whole(context: &Context, namespace: &str, name: &str, turn: Option<SemaphorePermit<'_>>) -> Action {
    let environment = match current(context, namespace, name).await {
        Ok(Some(environment)) => environment,
        Ok(None) => return Action::await_change(),
        Err(action) => return action,
    };
    match deletion::finalizer(context, &environment).await {
        Ok(deletion::Next::Reconcile) => {}
        Ok(deletion::Next::Gone) => return Action::await_change(),
        Ok(deletion::Next::Again(kind)) => {
            return Action::requeue(context.shared.patience.after(namespace, name, &environment.spec, kind));
        }
        Err(error) => return unanswered(&error),
    }
    let began = Timestamp::now();
    let (outcome, kind) = attempt(context, &environment).await;
    // What is told may wait for servers elsewhere; nobody waits for that.
    drop(turn);
    let watch = context.shared.watches.of(namespace, name);
    let outcome = outcome.map(|outcome| Outcome { drift: drift::locked(&watch).found(), ..outcome });
    let Some(outcome) = outcome.filter(|_| !context.term.lost.is_cancelled()) else {
        return Action::await_change();
    };
    if let Err(error) = tell(context, &environment, &outcome).await {
        return unanswered(&error);
    }
    if context.scope.environment(namespace, name).is_none() {
        // It went meanwhile: what was noted of it since goes, too.
        context.shared.forget(namespace, name);
        return Action::await_change();
    }
    let patience = &context.shared.patience;
    let look = drifting::look_in(&environment, &watch);
    let look = [look, outcome.due_in(began, Timestamp::now())].into_iter().flatten().min();
    let again = match kind {
        // What was approved need not be the newest: that is planned now.
        None if outcome.was_approved() => AT_ONCE,
        None => patience.until(namespace, name, &environment.spec, outcome.opens(), Timestamp::now()),
        Some(_) if outcome.misses_database_secret() => patience.soon(namespace, name, &environment.spec),
        Some(kind) => patience.after(namespace, name, &environment.spec, kind),
    };
    Action::requeue(look.map_or(again, |look| again.min(look)))
}

fn unanswered(error: &kube::Error) -> Action {
    tracing::warn!(%error, "the API server does not do as it is asked; trying again");
    Action::requeue(RETRY)
}

/// The Environment as it is now, not as a cache remembers it: what is said is compared with what was said. One that
/// this Sower cannot read is told so.
async fn current(context: &Context, namespace: &str, name: &str) -> Result<Option<Environment>, Action> {
    let kind = ApiResource::erase::<Environment>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.shared.client.clone(), namespace, &kind);
    let found = tokio::time::timeout(PATIENCE, api.get_opt(name)).await;
    let found = found.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())));
    let Some(object) = found.map_err(|error| unanswered(&error))? else { return Ok(None) };
    if context.term.lost.is_cancelled() {
        return Err(Action::await_change());
    }
    match read(object) {
        Ok(environment) => Ok(Some(environment)),
        // It goes, and nobody knows whether with its rows: they stay, and nothing holds it up.
        Err((environment, _)) if environment.metadata.deletion_timestamp.is_some() => {
            deletion::finalizer(context, &environment).await.map_err(|error| unanswered(&error))?;
            Err(Action::await_change())
        }
        Err((environment, cause)) => {
            let error = SeedingError::invalid_spec(format!("This Sower cannot read the spec: {cause}"));
            if let Err(error) = tell(context, &environment, &outcome::of_error(&environment, &error)).await {
                return Err(unanswered(&error));
            }
            Err(Action::requeue(context.shared.patience.rest(namespace, name, &environment.spec)))
        }
    }
}

/// The typed object; where its spec is of another version of the CRD, all but the spec, and why.
fn read(object: DynamicObject) -> Result<Environment, (Box<Environment>, String)> {
    let DynamicObject { types: _, metadata, data } = object;
    let part = |name: &str| data.get(name).cloned().unwrap_or_default();
    let status = serde_json::from_value(part("status")).unwrap_or_default();
    match serde_json::from_value(part("spec")) {
        Ok(spec) => Ok(Environment { metadata, spec, status }),
        Err(error) => {
            Err((Box::new(Environment { metadata, status, ..Environment::default() }), error.to_string()))
        }
    }
}

/// A pause or an abort of a rollout, which are obeyed although nothing is seeded.
async fn held_back(
    context: &Context,
    environment: &Environment,
) -> Result<(Option<RolloutCommandOutcome>, Vec<Rollout>), SeedingError> {
    let shared = &context.shared;
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let (database, migrate) = dereference::database(&shared.client, environment, &shared.rules).await?;
    let store = shared.stores.open(&namespace, &name, database, migrate).await?;
    let keeper = dereference::keeper(environment, &shared.rules.cluster_name);
    let epoch = context.term.epoch(&store, &name, &keeper, false).await?;
    let secrets = rollouts::OfNamespace { client: &shared.client, namespace: &namespace };
    let steps = rollouts::steps(environment, &name, &keeper, epoch, &secrets);
    let command = rollouts::obey(&shared.seeder, environment, &store, &steps, &context.term).await?;
    Ok((command, store.rollouts(Some(&name), Which::Standing).await?))
}

/// What comes of it, and when to try again; no outcome where this time of leading ended meanwhile.
async fn attempt(context: &Context, environment: &Environment) -> (Option<Outcome>, Option<Kind>) {
    if environment.spec.suspend {
        let outcome = Outcome::of(Verdict::Suspended);
        return match rollouts::holds_back(environment) {
            false => (Some(outcome), None),
            true => match held_back(context, environment).await {
                Ok((command, rollouts)) => {
                    (Some(Outcome { command, rollouts: Some(rollouts), ..outcome }), None)
                }
                Err(error) => (Some(outcome), Some(error.kind)),
            },
        };
    }
    let started = Instant::now();
    // What a rollback and rollouts came to is told, whatever comes of the seeding after them.
    let answers = Answers::default();
    match bounded(context, environment, &answers).await {
        Some(Ok(outcome)) => {
            tracing::debug!(reason = %outcome.verdict.reason(), took = ?started.elapsed(), "reconciled");
            (Some(answers.beside(outcome)), None)
        }
        Some(Err(error)) => {
            tracing::debug!(reason = %error.reason, took = ?started.elapsed(), "failed");
            let (namespace, environment_name) =
                (environment.namespace().unwrap_or_default(), environment.name_any());
            let labels = EnvironmentLabels { namespace, environment: environment_name };
            context.shared.metrics.ended(&labels, report::Outcome::Failed, started.elapsed());
            let outcome = outcome::of_error(environment, &error);
            (Some(answers.beside(outcome)), Some(error.kind))
        }
        None => {
            tracing::info!("stopped in the middle; nothing is half written");
            (None, None)
        }
    }
}

/// The seeding, ended by `spec.timeout` and by the end of this time of leading.
async fn bounded(
    context: &Context,
    environment: &Environment,
    answers: &Answers,
) -> Option<Result<Outcome, SeedingError>> {
    let limit = environment.spec.timeout.duration().unwrap_or(Duration::from_secs(300));
    let cancel = context.term.over.child_token();
    let mut seeding = Box::pin(seed(context, environment, &cancel, answers));
    let timed_out = tokio::select! {
        done = &mut seeding => return settled(context, done),
        () = tokio::time::sleep(limit) => true,
        () = context.term.over.cancelled() => false,
    };
    cancel.cancel();
    // What is being committed is committed; all else ends now.
    let last_words = tokio::select! {
        last = tokio::time::timeout(LAST_WORDS, seeding) => last,
        // Somebody else may lead by now: what is not committed is dropped, which rolls it back.
        () = context.term.lost.cancelled() => return None,
    };
    match last_words {
        Ok(Ok(outcome)) => Some(Ok(outcome)),
        last if timed_out && !context.term.over.is_cancelled() => {
            Some(Err(late(environment, last.ok().and_then(Result::err))))
        }
        _ => None,
    }
}

/// `spec.timeout` has passed. What was cut short may say more: a source that did not answer, a database that is away.
fn late(environment: &Environment, cut: Option<SeedingError>) -> SeedingError {
    let limit = &environment.spec.timeout;
    match cut {
        Some(SeedingError { reason: Reason::FetchFailed, source_name: Some(source), .. }) => {
            let text = format!("{source} did not answer within {limit}; retrying");
            let error = SeedingError::new(Reason::FetchFailed, Kind::Transient, text);
            SeedingError { source_name: Some(source), ..error }
        }
        Some(error) if error.reason != Reason::SeedingFailed => error,
        _ => SeedingError::new(
            Reason::SeedingFailed,
            Kind::Transient,
            format!("No end within {limit}; retrying"),
        ),
    }
}

fn settled(context: &Context, done: Result<Outcome, SeedingError>) -> Option<Result<Outcome, SeedingError>> {
    // An error while stopping is of our own making.
    if done.is_err() && context.term.over.is_cancelled() { None } else { Some(done) }
}

/// dereference → seed → what is held.
async fn seed(
    context: &Context,
    environment: &Environment,
    cancel: &tokio_util::sync::CancellationToken,
    answers: &Answers,
) -> Result<Outcome, SeedingError> {
    let shared = &context.shared;
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let begun = tokio::time::Instant::now();
    let (job, database) = loop {
        let followed = tokio::join!(
            dereference::job(
                &shared.client,
                dereference::Resources::Watched(&context.scope),
                environment,
                &shared.rules.cluster_name
            ),
            dereference::database(&shared.client, environment, &shared.rules),
        );
        // What went while they were followed is the beginning of a deletion, whose whole is one plan.
        match context.scope.quiet_at(&namespace, &name) {
            Some(at) => tokio::time::sleep_until(at).await,
            None => break followed,
        }
    };
    // Where several things are wrong, the first reason of the list is said: the spec, then the database, then sources. A
    // rollback is held by none but the database, and so is the end of a rollout.
    let invalid = job.as_ref().is_err_and(|error| error.reason == Reason::InvalidSpec);
    let waits = rollback::is_asked(environment) || rollouts::are_under_way(environment);
    if invalid && (database.is_err() || !waits) {
        job.as_ref().map_err(Clone::clone)?;
    }
    let (database, migrate) = database?;
    let store = shared.stores.open(&namespace, &name, database, migrate).await?;
    let (keeper, take_over) =
        (dereference::keeper(environment, &shared.rules.cluster_name), take_over::wanted(environment));
    let times = (begun, answers);
    let done = seed_into(context, environment, &store, job, (&keeper, take_over), cancel, times).await;
    if done.as_ref().is_err_and(|error| error.tables_gone) {
        shared.stores.reopen(&namespace, &name);
        context.term.forget(&store, &name, &keeper).await;
    }
    done
}

/// rollback → rollouts → seed → what is held, in a database that is open. Neither a rollback nor a rollout needs a source: where
/// none can be read, they are done all the same.
async fn seed_into(
    context: &Context,
    environment: &Environment,
    store: &Store,
    job: Result<Job, SeedingError>,
    (keeper, take_over): (&str, bool),
    cancel: &tokio_util::sync::CancellationToken,
    (begun, answers): (tokio::time::Instant, &Answers),
) -> Result<Outcome, SeedingError> {
    let shared = &context.shared;
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let epoch = context.term.epoch(store, &name, keeper, take_over).await?;
    let doubt = async |error: &SeedingError| {
        let leads = async || shared.election.leads(&shared.client).await;
        context.term.doubt(store, &name, keeper, error, leads).await;
    };
    match rollback::obey(&shared.seeder, environment, store, keeper, epoch, &context.term).await {
        Ok(Some(told)) => drop(answers.rollback.set(told)),
        Ok(None) => {}
        Err(error) if rollback::waits_for_take_over(&error, take_over) => {}
        Err(error) => {
            doubt(&error).await;
            return Err(error);
        }
    }
    let secrets = rollouts::OfNamespace { client: &shared.client, namespace: &namespace };
    let steps = rollouts::steps(environment, &name, keeper, epoch, &secrets);
    let moved = roll_out(context, environment, store, &steps, answers).await;
    if let Err(error) = &moved {
        doubt(error).await;
    }
    let let_in = neighbours::let_in(context, environment, store, (keeper, take_over, epoch)).await;
    if let Err(error) = &let_in {
        doubt(error).await;
    }
    let LetIn { without, not, away } = let_in?;
    if let Some(told) = not {
        drop(answers.not_promoted.set(told));
    }
    let environment = without.as_ref().unwrap_or(environment);
    let unmet = neighbours::look(context, environment).await;
    if let Err(error) = &unmet
        && error.reason != Reason::DependencyNotReady
    {
        return Err(error.clone());
    }
    let job = match (job, &unmet) {
        (Ok(job), _) => Job { epoch, upstream: neighbours::upstream(context, environment).await, ..job },
        (Err(_), Err(unmet)) => return Err(unmet.clone()),
        (Err(error), Ok(())) => return Err(error),
    };
    if let Err(unmet) = unmet {
        match shared.seeder.look(store, &job, cancel).await {
            Ok(Some(waiting)) => drop(answers.waiting.set(waiting)),
            Ok(None) => {}
            Err(error) => {
                doubt(&error).await;
                tracing::warn!(%error, "what the sources offer meanwhile is not noted");
            }
        }
        return Err(unmet);
    }
    approving::withdraw(&shared.seeder, store, environment, &job).await?;
    let watch = shared.watches.of(&namespace, &name);
    drifting::listen(context, environment, store, &watch).await;
    let round = Round {
        seeder: &shared.seeder,
        store,
        job: job.clone(),
        watch: &watch,
        metrics: &shared.metrics,
        asked: drifting::is_asked(environment),
    };
    let (seeded, corrected, approval, made) = match round.go(cancel).await {
        Ok(Rounded { seeded, corrected }) => {
            let made = seeded.planned().map(|planned| planned.plan.hash.clone());
            let (seeded, approval) =
                approving::answer(&shared.seeder, store, environment, &job, seeded, cancel).await?;
            (seeded, corrected, approval, made)
        }
        Err(error) => {
            doubt(&error).await;
            match approving::in_spite(&shared.seeder, store, environment, &job, cancel).await {
                Some((seeded, approval)) => (seeded, None, approval, None),
                None => return Err(error),
            }
        }
    };
    // One that cannot move keeps nothing else from being seeded.
    moved?;
    // A seeding begins rollouts, and ends what it takes the place of.
    if matches!(seeded, Seeded::Applied { .. }) && (seeded.report().staged > 0 || answers.some_under_way()) {
        step(context, environment, store, &steps, answers).await?;
    }
    if !matches!(seeded, Seeded::Held { .. }) {
        context.scope.applied(&namespace, &name, begun);
        // An earlier plan, which somebody approved, knows nothing of what is asked for once.
        let done = seeded.planned().is_none_or(|planned| made.as_ref() == Some(&planned.plan.hash));
        let spent = [(take_over, TAKE_OVER), (done && !job.resolve.is_empty(), RESOLVE)];
        let spent: Vec<&str> = spent.into_iter().filter(|(asked, _)| *asked).map(|(_, name)| name).collect();
        if !spent.is_empty() {
            take_over::spend(&shared.client, environment, &spent).await;
        }
    }
    if let Some(revision) = &seeded.report().revision {
        tracing::Span::current().record("revision", revision.as_str());
    }
    shared.metrics.reconciled(&job.labels(), seeded.report());
    // With nothing read, the row is as the seeding found it: what it stands at is what the sources stand at.
    let row = match seeded.planned() {
        Some(_) => store.environment(&name).await?,
        None => None,
    };
    let holding = hold(context, environment, store, &seeded).await?;
    let commit = match outcome::first_gone(&seeded) {
        // History is read from the disk; where that fails, no commit is named. What is only outside the source's path
        // now, no commit took away.
        Some((tree, path)) => tokio::task::spawn_blocking(move || match tree.entry(&path) {
            Ok(None) => tree.log(&path, 1),
            Ok(Some(_)) | Err(_) => Vec::new(),
        })
        .await
        .unwrap_or_default(),
        None => Vec::new(),
    };
    if let Some(row) = &row {
        shared.metrics.waiting(&job.labels(), row.waiting);
    }
    // Who cannot be promoted from is told once there is nothing else to tell.
    if let (Seeded::Unchanged { .. }, Some(away)) = (&seeded, away) {
        return Err(away);
    }
    let outcome = outcome::of_seeded(environment, &seeded, row.as_ref(), &holding, commit.first());
    Ok(Outcome { approval, corrected, ..outcome })
}

/// What is said to rollouts, and what is due of them.
async fn roll_out(
    context: &Context,
    environment: &Environment,
    store: &Store,
    steps: &Steps<'_>,
    answers: &Answers,
) -> Result<(), SeedingError> {
    let seeder = &context.shared.seeder;
    if let Some(told) = rollouts::obey(seeder, environment, store, steps, &context.term).await? {
        drop(answers.command.set(told));
    }
    step(context, environment, store, steps, answers).await
}

/// Moves what is due. What moved is told although something else cannot move.
async fn step(
    context: &Context,
    environment: &Environment,
    store: &Store,
    steps: &Steps<'_>,
    answers: &Answers,
) -> Result<(), SeedingError> {
    let mut stepped = Stepped::default();
    let done = context.shared.seeder.step_each(store, steps, &mut stepped).await;
    // Of rollouts that could not be read nothing is known.
    if done.is_ok() || stepped != Stepped::default() {
        match rollouts::to_tell(environment, store, stepped).await {
            Ok(told) => answers.stepped(told),
            Err(error) => return done.and(Err(error)),
        }
    }
    done
}

/// What came of what is done beside the seeding.
#[derive(Default)]
struct Answers {
    rollback: OnceLock<RollbackOutcome>,
    command: OnceLock<RolloutCommandOutcome>,
    rollouts: Mutex<Option<Vec<Rollout>>>,
    not_promoted: OnceLock<String>,
    /// What waits for another environment, where nothing is seeded.
    waiting: OnceLock<Vec<Waiting>>,
}

impl Answers {
    fn stepped(&self, rollouts: Vec<Rollout>) {
        *drift::locked(&self.rollouts) = Some(rollouts);
    }

    fn some_under_way(&self) -> bool {
        drift::locked(&self.rollouts).iter().flatten().any(|rollout| !rollout.state.is_over())
    }

    fn beside(self, outcome: Outcome) -> Outcome {
        let waiting = self.waiting.into_inner();
        Outcome {
            rollback: self.rollback.into_inner(),
            command: self.command.into_inner(),
            rollouts: self.rollouts.into_inner().unwrap_or_default(),
            not_promoted: self.not_promoted.into_inner(),
            all_waiting: waiting.as_ref().map(|all| outcome::number(all.len())).or(outcome.all_waiting),
            waiting: waiting.as_deref().map(outcome::waiting).or(outcome.waiting),
            ..outcome
        }
    }
}

/// What the environment holds now; wakes the Integrations for which that is news.
async fn hold(
    context: &Context,
    environment: &Environment,
    store: &Store,
    seeded: &Seeded,
) -> Result<Holding, SeedingError> {
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let (carriers, errors) = (&context.shared.carriers, &seeded.report().errors);
    let holding = match (seeded.planned(), carriers.of(&namespace, &name)) {
        (Some(planned), _) => {
            let applied = matches!(seeded, Seeded::Applied { .. }).then_some(&planned.plan);
            let beyond = planned.carried_beyond();
            Holding::of(&namespace, &environment.spec, &planned.state, applied, errors, beyond)
        }
        (None, Some(holding)) => return Ok(holding),
        (None, None) => {
            let state = store.state(&name).await?.state;
            Holding::of(&namespace, &environment.spec, &state, None, errors, 0)
        }
    };
    for integration in carriers.note(&namespace, &name, holding.clone()) {
        context.scope.integration_queue.wake(&namespace, &integration);
    }
    Ok(holding)
}

/// compose → write, if anything is new → notify → tell: what is news is an Event and a line of the log, each once.
async fn tell(context: &Context, environment: &Environment, outcome: &Outcome) -> Result<(), kube::Error> {
    let mut status = compose(environment, outcome, Timestamp::now());
    let before = environment.status.as_ref();
    write_if_new(context, environment, before, &status).await?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == kind::READY);
    if let Some(known) = ready.filter(|ready| ready.status != "Unknown") {
        let labels = EnvironmentLabels {
            namespace: environment.namespace().unwrap_or_default(),
            environment: environment.name_any(),
        };
        context.shared.metrics.ready(&labels, known.status == "True");
    }
    // Whoever waits for the status does not wait for servers elsewhere.
    let (told, unsent) = notify::tell(&context.shared.client, environment, outcome, &status).await;
    if status.notifications != told {
        let written = EnvironmentStatus { notifications: told, ..status };
        if !context.term.lost.is_cancelled() {
            write_if_new(context, environment, None, &written).await?;
        }
        status = written;
    }
    let mut notices = notices(before, &status, outcome);
    notices.extend(unsent);
    for Notice { tone, reason, message } in &notices {
        match tone {
            Tone::Normal => tracing::info!(reason, "{message}"),
            Tone::Warning => tracing::warn!(reason, "{message}"),
        }
    }
    context.shared.events.say(environment, &notices).await;
    Ok(())
}

async fn write_if_new(
    context: &Context,
    environment: &Environment,
    before: Option<&EnvironmentStatus>,
    status: &EnvironmentStatus,
) -> Result<(), kube::Error> {
    if before == Some(status) {
        return Ok(());
    }
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    write_status::<Environment>(&context.shared.client, &namespace, &name, status).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_another_version_keeps_its_status() {
        let object = |spec: serde_json::Value| -> DynamicObject {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "sower.dev/v1alpha1", "kind": "Environment",
                "metadata": { "namespace": "n", "name": "e", "generation": 4 },
                "spec": spec, "status": { "revision": "main@3f2c1a9" },
            }))
            .expect("an object")
        };
        let good = read(object(serde_json::json!({ "suspend": true }))).expect("readable");
        assert!(good.spec.suspend);
        let (bad, cause) = read(object(serde_json::json!({ "sowing": true }))).expect_err("unreadable");
        assert!(cause.contains("sowing"), "{cause}");
        for environment in [&good, &*bad] {
            assert_eq!(environment.metadata.generation, Some(4));
            assert_eq!(environment.status.as_ref().and_then(|s| s.revision.as_deref()), Some("main@3f2c1a9"));
        }
        let object: DynamicObject = serde_json::from_value(serde_json::json!({
            "apiVersion": "sower.dev/v1alpha1", "kind": "Environment", "metadata": { "name": "e" }, "spec": {},
        }))
        .expect("an object");
        assert_eq!(read(object).expect("readable").status, None);
    }
}
