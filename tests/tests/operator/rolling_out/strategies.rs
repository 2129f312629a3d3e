//! Comparisons, and what waits for somebody: who has what meanwhile, and how it ends.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::json;
use sower_tests::bed::Bed;
use sower_tests::catalog::with;

use super::{analysis, command, kept_out, live, planted, release, says, shown, stands, used};

/// What these consumers of the oak get, by SQL.
async fn get(bed: &Bed, keys: &[&str]) -> Result<Vec<String>> {
    let sql = "SELECT sower_resolve('production', 'oak', key) FROM unnest($1) WITH ORDINALITY AS k (key, n) ORDER BY n";
    Ok(sqlx::query_scalar(sql).bind(keys).fetch_all(&bed.pool).await?)
}

/// How many of a thousand consumers get each version.
async fn shares(bed: &Bed) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT sower_resolve('production', 'oak', n::text), count(*) FROM generate_series(1, 1000) n GROUP BY 1";
    Ok(sqlx::query_as::<_, (String, i64)>(sql).fetch_all(&bed.pool).await?.into_iter().collect())
}

#[tokio::test]
async fn what_is_manual_reaches_who_is_named_and_everybody_at_a_word() -> Result<()> {
    let bed = Bed::make("manual").await?;
    let overrides = json!([{ "keys": ["acme"] }]);
    let manual = json!({ "rollout": { "default": { "type": "Manual", "overrides": overrides } } });
    let catalog = planted(&bed, manual).await?;
    let pushed = release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Paused", 1).await?;
    bed.seeded("production", &pushed).await?;
    ensure!(get(&bed, &["acme", "other"]).await? == ["1.1.0", "1.0.0"]);
    let (_, one) = shown(&bed, "1.1.0", "Paused").await?;
    ensure!(one.reason == "waits until somebody advances it", "{one:?}");
    // Nothing becomes of it by itself.
    bed.reconcile("production").await?;
    stands(&bed, "1.1.0", "Paused", 1).await?;
    let said = command(&bed, "oak=advance").await?;
    ensure!(!said.failed, "{said:?}");
    stands(&bed, "1.1.0", "Completed", 2).await?;
    ensure!(live(&bed).await? == ("1.1.0".into(), None));
    ensure!(get(&bed, &["acme", "other"]).await? == ["1.1.0", "1.1.0"]);
    Ok(())
}

/// It is compared until its time has come, and then everybody has it; where it is worse, nobody.
#[tokio::test]
async fn a_comparison_ends_with_its_time_or_with_what_it_shows() -> Result<()> {
    let bed = Bed::make("compared").await?;
    let compared = |until: &str| {
        let variants = json!([{ "range": "^1.1.0", "weight": 30, "match": { "keys": ["acme"] } }]);
        let default = json!({ "type": "AB", "until": until, "variants": variants, "analysis": analysis() });
        json!({ "rollout": { "default": default } })
    };
    let catalog = planted(&bed, compared("1h")).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    ensure!(get(&bed, &["acme"]).await? == ["1.1.0"]);
    let shares = shares(&bed).await?;
    ensure!(shares.len() == 2 && (250..350).contains(&shares["1.1.0"]), "{shares:?}");
    used(&bed, "1.1.0", 100, 30).await?;
    stands(&bed, "1.1.0", "RolledBack", 1).await?;
    ensure!(live(&bed).await? == ("1.0.0".into(), None) && kept_out(&bed).await? == ["1.1.0"]);
    ensure!(get(&bed, &["acme"]).await? == ["1.0.0"]);
    says(&bed, "Healthy", "False", "RolledBack").await?;

    bed.environment("production", with(catalog.spec(), compared("3s"))).await?;
    release(&catalog, "1.2.0")?;
    stands(&bed, "1.2.0", "Progressing", 1).await?;
    used(&bed, "1.2.0", 100, 0).await?;
    stands(&bed, "1.2.0", "Completed", 2).await?;
    ensure!(live(&bed).await? == ("1.2.0".into(), None));
    says(&bed, "Healthy", "True", "Healthy").await?;
    Ok(())
}
