//! The environments that one waits for, with files: whether they are as it wants them, and what they show.

use futures::future::BoxFuture;
use sower_controllers::seeding::Upstream;
use sower_core::manifest::LoadedEnvironment;
use sower_core::promotion::depends;
use sower_core::sentence;
use sower_store::Store;

use crate::databases::Databases;
use crate::session::Member;
use crate::settings::Settings;
use crate::standing::{self, Standing};

/// All environments of the files, with where their rows are.
#[derive(Clone, Copy)]
pub struct Neighbours<'a> {
    /// What is set.
    pub settings: &'a Settings,
    /// Their databases.
    pub databases: &'a Databases,
    /// Every one that can be read.
    pub all: &'a [LoadedEnvironment],
}

/// Where the other environments are found, each with its rows; or why one is not, in a clause.
pub trait Others: Sync {
    /// The one of this name.
    fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(LoadedEnvironment, Store), String>>;
}

impl Others for Neighbours<'_> {
    fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(LoadedEnvironment, Store), String>> {
        Box::pin(async move {
            let other = self.all.iter().find(|other| other.name == name);
            let Some(other) = other else { return Err("no environment is called so".to_owned()) };
            match self.databases.of(self.settings, other).await {
                Ok(store) => Ok((other.clone(), store)),
                Err(error) => Err(sentence::cut(&error.to_string())),
            }
        })
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
}

/// An environment that is not as another wants it.
pub struct Unmet {
    /// Its name.
    pub on: String,
    /// One sentence.
    pub why: String,
}

/// What keeps an environment from being seeded: another that is not as `dependsOn` wants it. Who waits itself is not ready;
/// none waits in a circle.
pub fn unmet<'a>(others: &'a dyn Others, environment: &'a LoadedEnvironment) -> BoxFuture<'a, Option<Unmet>> {
    Box::pin(async move {
        for on in &environment.spec.depends_on {
            if let Err(why) = look(others, &on.name, on.expression.as_deref()).await {
                let why = sentence::cut(&format!("Waits for {}: {why}", on.name));
                return Some(Unmet { on: on.name.clone(), why });
            }
        }
        None
    })
}

async fn look(others: &dyn Others, name: &str, expression: Option<&str>) -> Result<(), String> {
    let (loaded, store) = others.open(name).await?;
    let member = Member { loaded, resource: None };
    let mut standing = standing::read(&store, &member).await.map_err(|error| error.to_string())?;
    if let Some(unmet) = unmet(others, &member.loaded).await {
        standing.waits_for(&unmet);
    }
    is_met(&standing, expression)
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
