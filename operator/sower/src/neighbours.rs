//! The environments that one waits for, with files: whether they are as it wants them, and what they show.

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

impl Neighbours<'_> {
    async fn store(&self, name: &str) -> Result<(LoadedEnvironment, Store), String> {
        let other = self.all.iter().find(|other| other.name == name);
        let Some(other) = other else { return Err("no environment is called so".to_owned()) };
        match self.databases.of(self.settings, other).await {
            Ok(store) => Ok((other.clone(), store)),
            Err(error) => Err(sentence::cut(&error.to_string())),
        }
    }

    /// The environment that this one is promoted from.
    pub async fn upstream(&self, environment: &LoadedEnvironment) -> Option<Upstream> {
        let from = &environment.spec.promotion.as_ref()?.from;
        Some(match self.store(from).await {
            Ok((other, store)) => Upstream::Open { environment: other.name, store },
            Err(why) => Upstream::Away(why),
        })
    }

    /// What keeps this one from being seeded: another that is not as `dependsOn` wants it. One sentence.
    pub async fn unmet(&self, environment: &LoadedEnvironment) -> Option<String> {
        for on in &environment.spec.depends_on {
            let waits = |why: &str| sentence::cut(&format!("Waits for {}: {why}", on.name));
            let (loaded, store) = match self.store(&on.name).await {
                Ok(found) => found,
                Err(why) => return Some(waits(&why)),
            };
            let standing = match standing::read(&store, &Member { loaded, resource: None }).await {
                Ok(standing) => standing,
                Err(error) => return Some(waits(&error.to_string())),
            };
            if let Err(why) = is_met(&standing, on.expression.as_deref()) {
                return Some(waits(&why));
            }
        }
        None
    }
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
