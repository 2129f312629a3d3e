//! Behind PgBouncer in transaction mode every transaction may get another connection, and none keeps anything.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use sower_store::*;
use sower_tests::postgres::{PASSWORD, Postgres, USER};
use sower_tests::process::{Launch, Process, folder, free_port};

use crate::bed::*;

/// PgBouncer before a database, with two connections for all its clients.
async fn pooler(database: &DatabaseUrl, name: &str) -> (DatabaseUrl, Process) {
    let (folder, port) = (folder("pgbouncer").unwrap(), free_port().unwrap());
    let host = database.host();
    let (host, server_port) = host.split_once(':').unwrap();
    let settings = format!(
        "[databases]\n{name} = host={host} port={server_port} dbname={name} user={USER} password={PASSWORD}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\nserver_round_robin = 1\n"
    );
    let file = folder.join("pgbouncer.ini");
    std::fs::write(&file, settings).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    // As root it refuses to start; as anybody else it cannot change.
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let user: &[&str] = if root { &["-u", "postgres"] } else { &[] };
    let process = Launch::new("pgbouncer", "/usr/sbin/pgbouncer").args(user).arg(&file).start().unwrap();
    let url = DatabaseUrl::parse(&format!("postgres://{USER}@127.0.0.1:{port}/{name}")).unwrap();
    let answers = async || Ok(Store::reach(&url, &Options::default()).await?);
    process.ready(Duration::from_secs(20), answers).await.unwrap();
    (url, process)
}

#[tokio::test]
async fn everything_works_behind_a_pooler() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let direct = DatabaseUrl::parse(&database.url()).unwrap();
    let (url, _process) = pooler(&direct, &database.name).await;

    // Migrations at once, then environments at once, over fewer connections than there are clients.
    let options = Options::default();
    let stores = (0..6).map(|_| Store::open(&url, &options));
    let stores: Vec<Store> =
        futures::future::join_all(stores).await.into_iter().collect::<Result<_, _>>().unwrap();
    let seedings = stores.iter().enumerate().map(async |(number, store)| {
        let environment = format!("environment-{number}");
        let (mut last, applied) = (None, applied("a"));
        for version in 0..10 {
            let fence = store.claim(&environment, KEEPER, false).await?;
            let begin = Begin {
                fence: &fence,
                holder: "tests",
                reason: "test",
                applied: &applied,
                metadata: serde_json::Map::new(),
                started: jiff::Timestamp::now(),
            };
            let seeding = store.begin(begin).await?;
            let next = manifest("slack", &format!("1.0.{version}"), 10 + version);
            let operation = match &last {
                None => create("slack", &next),
                Some(last) => update("slack", last, &next),
            };
            store.apply(&seeding, write(&[operation], &applied, &serde_json::Value::Null)).await?;
            last = Some(next);
            let row = store.environment(&environment).await?.unwrap();
            assert_eq!(row.seq, i64::try_from(version).unwrap() + 1);
            assert_eq!(store.state(&environment).await?.state.rows.len(), 1);
        }
        Ok::<_, StoreError>(())
    });
    for ended in futures::future::join_all(seedings).await {
        ended.unwrap();
    }
    assert!(stores[0].hints().await.unwrap().is_none(), "a pooler passes nothing on");
    let listed = stores[0].integrations(None).await.unwrap();
    assert_eq!(listed.iter().map(|line| line.actions).collect::<Vec<_>>(), [19; 6]);
}
