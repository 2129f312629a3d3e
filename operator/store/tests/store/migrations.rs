//! How the tables come to be, and when they are left alone.

use sower_store::*;
use sower_tests::postgres::{PASSWORD, Postgres};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    tables_are_made_once,
    a_newer_schema_stalls,
    tables_of_somebody_else_are_refused,
    a_table_that_is_lost_is_named,
    the_script_does_for_those_who_migrate_themselves,
);

async fn tables_are_made_once(bed: Bed) {
    let (url, options) = (bed.url.clone(), Options::default());
    assert_eq!(bed.count("sower_migrations").await, SCHEMA);
    bed.forget_tables().await;
    let opened = futures::future::join_all((0..8).map(|_| Store::open(&url, &options))).await;
    for store in opened {
        store.unwrap().close().await;
    }
    assert_eq!(bed.count("sower_migrations").await, SCHEMA);
}

async fn a_newer_schema_stalls(bed: Bed) {
    bed.run("INSERT INTO sower_migrations (version, name, applied_at) VALUES (99, 'later', '2027-01-01T00:00:00Z')").await;
    let error = Store::open(&bed.url, &Options::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Stalled, "SchemaIncompatible"));
    assert_eq!(
        error.to_string(),
        format!("the tables of {} are of schema 99; this Sower knows {SCHEMA}", bed.url)
    );
}

async fn tables_of_somebody_else_are_refused(bed: Bed) {
    bed.forget_tables().await;
    bed.run("CREATE TABLE action_registry (id text)").await;
    let error = Store::open(&bed.url, &Options::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} has a table `action_registry` that Sower did not make", bed.url)
    );
    assert!(error.hint().unwrap().contains("of its own"));
    assert_eq!(bed.count("action_registry").await, 0);
}

async fn a_table_that_is_lost_is_named(bed: Bed) {
    bed.run("DROP TABLE integration_links").await;
    for migrate in [Migrate::Auto, Migrate::Never] {
        let error = Store::open(&bed.url, &Options { migrate, ..Options::default() }).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Stalled, "SchemaIncompatible"));
        assert_eq!(error.to_string(), format!("{} has lost its table `integration_links`", bed.url));
        assert!(error.hint().unwrap().contains("restore it whole"));
    }
}

async fn the_script_does_for_those_who_migrate_themselves(bed: Bed) {
    bed.forget_tables().await;
    let never = Options { migrate: Migrate::Never, ..Options::default() };
    let error = Store::open(&bed.url, &never).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled);
    assert!(error.hint().unwrap().contains("sower generate migrations"), "{error}");

    bed.run(&migrations_sql(bed.url.engine())).await;
    Store::open(&bed.url, &never).await.unwrap().environments().await.unwrap();
}

#[tokio::test]
async fn a_version_that_was_run_stops_at_its_record() {
    let bed = Bed::postgres().await;
    let mut connection = PgConnection::connect(&bed.database.as_ref().unwrap().url()).await.unwrap();
    let script = migrations_sql(bed.url.engine());
    let error = sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.unwrap_err();
    assert!(error.to_string().contains("sower_migrations_pkey"), "{error}");
    drop(connection);
    bed.store.environments().await.unwrap();
}

#[tokio::test]
async fn programs_of_one_environment_read_the_views() {
    let bed = Bed::postgres().await;
    let (slack, other) = (manifest("slack", "1.0.0", 2), manifest("slack", "2.0.0", 3));
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let fence = bed.store.claim("staging", KEEPER, false).await.unwrap();
    let seeding = bed.begin_with(&fence).await.unwrap();
    bed.apply(&seeding, vec![create("slack", &other)]).await.unwrap();

    let database = bed.database.as_ref().unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    for (environment, version, actions) in [("production", "1.0.0", 2_i64), ("staging", "2.0.0", 3)] {
        let set = format!("SET search_path = sower, public; SET sower.environment = '{environment}'");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await.unwrap();
        let sql = "SELECT version, (SELECT count(*) FROM action_registry) FROM integration_definitions WHERE id = 'slack'";
        let row = sqlx::raw_sql(sql).fetch_one(&mut connection).await.unwrap();
        assert_eq!((row.get::<String, _>(0), row.get::<i64, _>(1)), (version.to_owned(), actions));
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_says_so_without_its_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = DatabaseUrl::parse(&format!("postgres://sower:{PASSWORD}@127.0.0.1:{port}/catalog")).unwrap();
    let error = Store::open(&url, &Options::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(
        error.to_string(),
        format!(
            "the database does not answer: postgres://sower@127.0.0.1:{port}/catalog: connection refused (3 tries in 4s)"
        )
    );

    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let wrong = database.url().replace(PASSWORD, "s3cret-and-wrong");
    let error = Store::open(&DatabaseUrl::parse(&wrong).unwrap(), &Options::default()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("password authentication failed for user \"sower\" (28P01)"),
        "{error}"
    );
    assert!(!format!("{error:?} {error}").contains("s3cret"));
}

#[tokio::test]
async fn a_role_that_may_not_make_tables_is_told_what_to_do() {
    let server = Postgres::shared().await.unwrap();
    let database = server.database().await.unwrap();
    let mut admin = server.admin(&database.name).await.unwrap();
    sqlx::raw_sql("CREATE ROLE weak LOGIN PASSWORD 'weak'").execute(&mut admin).await.unwrap();
    let weak = database.url().replace(&format!("sower:{PASSWORD}"), "weak:weak");
    let error = Store::open(&DatabaseUrl::parse(&weak).unwrap(), &Options::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled);
    assert!(error.to_string().ends_with("permission denied for schema public (42501)"), "{error}");
    assert!(error.hint().unwrap().contains("sower generate migrations"));
}

#[tokio::test]
async fn a_migration_that_waits_too_long_for_another_is_tried_again() {
    let bed = Bed::postgres().await;
    bed.forget_tables().await;
    let mut other = PgConnection::connect(&bed.database.as_ref().unwrap().url()).await.unwrap();
    let lock = i64::from_be_bytes(*b"\0\0\0sower");
    sqlx::raw_sql(AssertSqlSafe(format!("SELECT pg_advisory_lock({lock})")))
        .execute(&mut other)
        .await
        .unwrap();
    let hasty = Options { lock_timeout: std::time::Duration::from_millis(50), ..Options::default() };
    let error = Store::open(&bed.url, &hasty).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Transient, "DatabaseUnavailable"), "{error}");
    assert!(error.to_string().contains("waiting for another migration: "), "{error}");
    assert!(error.to_string().ends_with("(55P03)"), "{error}");
    other.close().await.unwrap();
    Store::open(&bed.url, &hasty).await.unwrap();
}

#[tokio::test]
async fn a_migration_of_a_locked_file_is_tried_again() {
    let bed = Bed::sqlite().await;
    bed.forget_tables().await;
    let mut other = sqlx::SqliteConnection::connect(&bed.url.to_string()).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let hasty = Options { lock_timeout: std::time::Duration::from_millis(50), ..Options::default() };
    let error = Store::open(&bed.url, &hasty).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Transient, "DatabaseUnavailable"), "{error}");
    other.close().await.unwrap();
    Store::open(&bed.url, &hasty).await.unwrap();
}

#[tokio::test]
async fn a_folder_of_ours_hides_itself_from_git() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse(&format!("sqlite://{}/.sower/sower.db", folder.path().display())).unwrap();
    let store = Store::open(&url, &Options::default()).await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join(".sower/.gitignore")).unwrap(), "*\n");
    store.close().await;
    assert!(folder.path().join(".sower/sower.db").exists());
}
