//! What an Environment's annotation says of conflicts: obeyed once.

use kube::ResourceExt as _;
use sower_core::resolution::{Once, read_once};
use sower_crds::{Environment, RESOLVE};

use crate::seeding::SeedingError;

/// What is asked for.
///
/// # Errors
/// Where it cannot be read: who asked learns that nothing came of it.
pub fn asked(environment: &Environment) -> Result<Once, SeedingError> {
    let Some(said) = environment.annotations().get(RESOLVE) else { return Ok(Once::new()) };
    read_once(said).map_err(|why| SeedingError::invalid_spec(format!("{RESOLVE}: {why}")))
}
