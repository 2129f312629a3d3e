//! What PostgreSQL tells of other hands at the catalog.

use std::time::Duration;

use sower_store::{Hint, Hints};
use sower_tests::postgres::Postgres;

use crate::bed::*;

/// The next hint; it is on its way, or the test is wrong.
async fn next(hints: &mut Hints) -> Hint {
    tokio::time::timeout(Duration::from_secs(20), hints.next()).await.unwrap().unwrap()
}

fn of(environment: &str) -> Hint {
    Hint::Environment(environment.to_owned())
}

/// A row that no seeding wrote, in any environment.
fn foreign(environment: &str) -> String {
    format!(
        "INSERT INTO integration_definitions (id, name, version, manifest, environment) \
         VALUES ('mine', 'by hand', '9.0.0', '{{}}', {environment})"
    )
}

#[tokio::test]
async fn another_s_hand_is_told_of_and_ours_is_not() {
    let bed = Bed::postgres().await;
    let mut hints = bed.store.hints().await.unwrap().unwrap();
    let (first, second) = (manifest("slack", "1.0.0", 3), manifest("slack", "2.0.0", 2));
    bed.seed(vec![create("slack", &first)]).await.unwrap();
    bed.seed(vec![update("slack", &first, &second)]).await.unwrap();
    bed.seed(vec![remove("slack", &second)]).await.unwrap();
    bed.seed(vec![create("slack", &first)]).await.unwrap();
    // What is told first is what came after all of that.
    bed.run(&foreign("'elsewhere'")).await;
    assert_eq!(next(&mut hints).await, of("elsewhere"));

    for (statement, told) in [
        ("UPDATE action_registry SET name = 'by hand' WHERE id = 'slack/act-1'", of(ENV)),
        ("DELETE FROM trigger_registry", of(ENV)),
        ("UPDATE integration_definitions SET environment = 'other' WHERE id = 'mine'", of("other")),
        ("SELECT 1", of("elsewhere")),
        ("TRUNCATE event_registry", Hint::All),
        // Our setting ends with its transaction, and leaves an empty one.
        (
            "BEGIN; SET LOCAL sower.seeding = 'on'; UPDATE connection_registry SET name = 'ours'; COMMIT; \
             DELETE FROM connection_registry",
            of(ENV),
        ),
    ] {
        bed.run(statement).await;
        assert_eq!(next(&mut hints).await, told, "{statement}");
    }
    // A statement is one hint, however many rows it is about.
    bed.run("UPDATE action_registry SET name = 'by hand'").await;
    bed.run(&foreign("'last'")).await;
    assert_eq!((next(&mut hints).await, next(&mut hints).await), (of(ENV), of("last")));
}

#[tokio::test]
async fn a_hint_is_nobody_s_failure() {
    let bed = Bed::postgres().await;
    let mut hints = bed.store.hints().await.unwrap().unwrap();
    // Longer than a notification may be.
    bed.run(&foreign("repeat('x', 9000)")).await;
    assert_eq!(bed.count("integration_definitions").await, 1);

    // A writer that may do nothing else.
    let database = bed.database.as_ref().unwrap();
    let mut admin = Postgres::shared().await.unwrap().admin(&database.name).await.unwrap();
    let writer = format!("writer_{}", database.name);
    let sql = format!(
        "CREATE ROLE {writer}; GRANT INSERT ON public.integration_definitions TO {writer}; SET ROLE {writer}; {}; RESET ROLE; \
         DROP OWNED BY {writer}; DROP ROLE {writer}",
        foreign("'theirs'").replace("INTO ", "INTO public.")
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    assert_eq!(next(&mut hints).await, of("theirs"));

    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN \"sower_drift\"' \
               AND datname = current_database()";
    sqlx::raw_sql(cut).execute(&mut admin).await.unwrap();
    let cut = tokio::time::timeout(Duration::from_secs(20), hints.next()).await.unwrap();
    assert!(cut.is_err(), "{cut:?}");
    let mut hints = bed.store.hints().await.unwrap().unwrap();
    bed.run(&foreign("'again'")).await;
    assert_eq!(next(&mut hints).await, of("again"));
}

#[tokio::test]
async fn sqlite_tells_nobody() {
    assert!(Bed::sqlite().await.store.hints().await.unwrap().is_none());
}
