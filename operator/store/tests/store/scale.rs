//! Cost follows the change: statements are counted, and rows that do not differ are looked at from within.

use std::sync::Arc;

use sower_core::plan::Operation;
use sower_store::{Options, Store};
use sower_tests::postgres::Postgres;
use sqlx::AssertSqlSafe;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(a_thousand_integrations_go_in_and_one_changes);

type Operations = Vec<(Operation, Option<Arc<str>>)>;

fn catalog(integrations: usize) -> Operations {
    (0..integrations)
        .map(|n| {
            let id = format!("app-{n:05}");
            create(&id, &manifest(&id, "1.0.0", 10))
        })
        .collect()
}

async fn a_thousand_integrations_go_in_and_one_changes(bed: Bed) {
    let applied = bed.seed(catalog(1200)).await.unwrap();
    assert_eq!((applied.counts.created, applied.counts.actions_created), (1200, 12_000));

    let (old, new) = (manifest("app-00500", "1.0.0", 10), manifest("app-00500", "1.0.1", 10));
    let applied = bed.seed(vec![update("app-00500", &old, &new)]).await.unwrap();
    assert_eq!(applied.counts.rows_written, 1);
    assert_eq!(bed.store.state(ENV).await.unwrap().state.rows.len(), 1200);
    assert_eq!(bed.count("action_registry").await, 12_000);
}

/// How many statements the server has logged. Only databases that ask for it are logged.
fn logged(server: &Postgres) -> usize {
    let log = server.process().unwrap().log();
    log.matches("LOG:  execute ").count() + log.matches("LOG:  statement: ").count()
}

#[tokio::test]
async fn statements_follow_the_tables_and_not_the_rows() {
    let (server, mut bed) = (Postgres::shared().await.unwrap(), Bed::postgres().await);
    let name = bed.database.as_ref().unwrap().name.clone();
    let mut admin = server.admin(&name).await.unwrap();
    let log = format!("ALTER DATABASE {name} SET log_statement = 'all'");
    sqlx::raw_sql(AssertSqlSafe(log)).execute(&mut admin).await.unwrap();
    bed.store = Store::open(&bed.url, &Options::default()).await.unwrap();

    let operations = catalog(1000);
    let before = logged(server);
    bed.seed(operations).await.unwrap();
    // One chunk of definitions, ten of actions, one of everything else.
    let cold = logged(server) - before;
    assert!((15..40).contains(&cold), "{cold} statements");

    let updates = (0..1000)
        .map(|n| {
            let id = format!("app-{n:05}");
            update(&id, &manifest(&id, "1.0.0", 10), &manifest(&id, "1.0.1", 10))
        })
        .collect();
    let before = logged(server);
    bed.seed(updates).await.unwrap();
    let warm = logged(server) - before;
    assert!((15..30).contains(&warm), "{warm} statements");

    let before = logged(server);
    bed.store.environment(ENV).await.unwrap();
    assert_eq!(logged(server) - before, 1);
    bed.store.state(ENV).await.unwrap();
    // Two, between begin and commit.
    assert_eq!(logged(server) - before, 5);
}

#[tokio::test]
async fn rows_that_do_not_differ_are_not_written() {
    let bed = Bed::postgres().await;
    let old = manifest("slack", "1.0.0", 5);
    bed.seed(vec![create("slack", &old), create("other", &manifest("other", "1.0.0", 5))]).await.unwrap();
    let rows = "SELECT xmin || ' ' || xmax || ' ' || id FROM action_registry \
                UNION ALL SELECT xmin || ' ' || xmax || ' ' || id FROM event_registry ORDER BY 1";
    let before = bed.ask(rows).await;
    let new = Arc::from(manifest("slack", "1.0.1", 5).replace("\"Act 3\"", "\"Act three\""));
    bed.seed(vec![update("slack", &old, &new)]).await.unwrap();
    let after = bed.ask(rows).await;
    let changed: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].ends_with(" slack/act-3"));
    // Reading and claiming what is ours write nothing.
    let environment = bed.ask("SELECT xmin || ' ' || xmax FROM environments").await;
    bed.store.environment(ENV).await.unwrap();
    bed.store.state(ENV).await.unwrap();
    bed.store.claim(ENV, KEEPER, false).await.unwrap();
    assert_eq!(bed.ask("SELECT xmin || ' ' || xmax FROM environments").await, environment);
}
