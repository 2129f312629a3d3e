//! Which versions of an integration are live, and whose they are.

use sower_core::rollout::Variant;
use sower_core::rollout::bucket::Live;

use crate::error::StoreError;
use crate::open::Store;

impl Store {
    /// The versions of an integration that are live in an environment, read in one statement: who asks for many consumers
    /// reads them once. None where the environment does not carry it.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn live(&self, environment: &str, integration: &str) -> Result<Option<Live>, StoreError> {
        let mut tx = self.read().await?;
        let row = tx
            .row(
                "reading which versions are live",
                "SELECT d.version, r.from_version, r.salt, r.variants::text FROM (SELECT 1) AS asked \
                 LEFT JOIN integration_definitions d ON d.environment = $1 AND d.id = $2 AND d.status <> 'removed' \
                 LEFT JOIN integration_rollouts r ON r.environment = $1 AND r.integration_id = $2 \
                   AND r.ended_at IS NULL",
                &[environment.into(), integration.into()],
            )
            .await?;
        tx.done();
        let Some(row) = row else { return Ok(None) };
        if let Some(stable) = row.maybe_text(1)? {
            let variants: Vec<Variant> = row.json(3, "the variants of a rollout")?;
            return Ok(Some(Live::rolling(stable, &row.text(2)?, variants)));
        }
        Ok(row.maybe_text(0)?.map(Live::stable))
    }
}
