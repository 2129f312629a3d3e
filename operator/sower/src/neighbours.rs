//! The environments that one waits for, with files: whether they are as it wants them, and what they show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use sower_controllers::seeding::{Job, SeedingError, Upstream};
use sower_core::manifest::LoadedEnvironment;
use sower_core::promotion::depends;
use sower_core::sentence;
use sower_store::{Store, StoreError};
use tokio::sync::OnceCell;

use crate::databases::Databases;
use crate::session::Member;
use crate::settings::Settings;
use crate::standing::{self, Standing};
use crate::trouble::Trouble;

/// Why an environment is not found that another names.
pub const NOWHERE: &str = "no environment is called so";

/// All environments of the files, with where their rows are.
pub struct Neighbours<'a> {
    /// What is set.
    pub settings: &'a Settings,
    /// Their databases.
    pub databases: &'a Databases,
    /// Every one that can be read.
    pub all: &'a [LoadedEnvironment],
    /// What was found of them so far.
    pub found: Found,
}

/// Where the other environments are found, each with its rows; or why one is not, in a clause.
pub trait Others: Sync {
    /// The one of this name.
    fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(LoadedEnvironment, Store), String>>;

    /// What was found so far.
    fn found(&self) -> &Found;
}

/// How the others stand, by name: each is looked at once, however many wait for it.
#[derive(Default)]
pub struct Found(Mutex<BTreeMap<String, Arc<Look>>>);

/// How one stands, once it was looked at; or why that cannot be told, in a clause.
type Look = OnceCell<Result<Standing, String>>;

impl Found {
    fn of(&self, name: &str) -> Arc<Look> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.to_owned()).or_default().clone()
    }
}

impl Others for Neighbours<'_> {
    fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(LoadedEnvironment, Store), String>> {
        Box::pin(async move {
            let other = self.all.iter().find(|other| other.name == name);
            let Some(other) = other else { return Err(NOWHERE.to_owned()) };
            match self.databases.of(self.settings, other).await {
                Ok(store) => Ok((other.clone(), store)),
                Err(error) => Err(sentence::cut(&error.to_string())),
            }
        })
    }

    fn found(&self) -> &Found {
        &self.found
    }
}

impl Neighbours<'_> {
    /// The environment that this one is promoted from.
    pub async fn upstream(&self, environment: &LoadedEnvironment) -> Option<Upstream> {
        let from = &environment.spec.promotion.as_ref()?.from;
        Some(match self.open(from).await {
            Ok((other, store)) => Upstream::Open { environment: other.name, store },
            Err(why) => Upstream::Away(why),
        })
    }

    /// What keeps this one from being seeded. One sentence.
    pub async fn unmet(&self, environment: &LoadedEnvironment) -> Option<String> {
        Some(unmet(self, environment).await?.why)
    }

    /// What keeps this one from being seeded by a job, before its sources are read. Who else keeps it says what it waits for.
    pub async fn holds(&self, environment: &LoadedEnvironment, store: &Store, job: &Job) -> Option<Holds> {
        let why = self.unmet(environment).await?;
        let name = &environment.name;
        let other = match store.environment(name).await {
            Ok(row) => {
                row.and_then(|row| row.keeper).filter(|keeper| *keeper != job.keeper && !job.take_over)
            }
            Err(error) => return Some(Holds::Else(Trouble::database(error, name))),
        };
        Some(match other {
            Some(keeper) => {
                let elsewhere = StoreError::KeptElsewhere { environment: name.clone(), keeper };
                Holds::Else(Trouble::new(&SeedingError::from(elsewhere), name))
            }
            None => Holds::Waits(why),
        })
    }
}

/// What keeps an environment from being seeded before its sources are read.
pub enum Holds {
    /// Another that is not as this one wants it: one sentence.
    Waits(String),
    /// Something else, which comes before that.
    Else(Trouble),
}

/// An environment that is not as another wants it.
pub struct Unmet {
    /// Its name; none: it is not there.
    pub on: Option<String>,
    /// One sentence.
    pub why: String,
}

/// What keeps an environment from being seeded: another that is not as `dependsOn` wants it. Who waits itself is not ready;
/// none waits in a circle.
pub fn unmet<'a>(others: &'a dyn Others, environment: &'a LoadedEnvironment) -> BoxFuture<'a, Option<Unmet>> {
    Box::pin(async move {
        for on in &environment.spec.depends_on {
            if let Err(why) = look(others, &on.name, on.expression.as_deref()).await {
                let there = (why != NOWHERE).then(|| on.name.clone());
                let why = sentence::cut(&format!("Waits for {}: {why}", on.name));
                return Some(Unmet { on: there, why });
            }
        }
        None
    })
}

async fn look(others: &dyn Others, name: &str, expression: Option<&str>) -> Result<(), String> {
    let look = others.found().of(name);
    match look.get_or_init(|| standing(others, name)).await {
        Ok(standing) => is_met(standing, expression),
        Err(why) => Err(why.clone()),
    }
}

async fn standing(others: &dyn Others, name: &str) -> Result<Standing, String> {
    let (loaded, store) = others.open(name).await?;
    let member = Member { loaded, resource: None };
    let mut standing = standing::read(&store, &member).await.map_err(|error| error.to_string())?;
    if let Some(unmet) = unmet(others, &member.loaded).await {
        standing.waits_for(&unmet);
    }
    Ok(standing)
}

fn is_met(standing: &Standing, expression: Option<&str>) -> Result<(), String> {
    let Some(expression) = expression else {
        return match standing.ready.as_str() {
            "True" => Ok(()),
            _ => Err(standing.message.clone()),
        };
    };
    let status = serde_json::to_value(standing.described()).unwrap_or_default();
    match depends::holds(expression, &status) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("`{expression}` is not true of it")),
        Err(why) => Err(format!("`{expression}` cannot be told: {why}")),
    }
}
