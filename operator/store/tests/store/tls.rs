//! A server proves who it is, or nothing is sent to it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use sower_store::*;
use sower_tests::certificates::Certificates;
use sower_tests::postgres::{Durability, PASSWORD, Postgres};
use sqlx::AssertSqlSafe;

/// A server that takes connections with this certificate.
async fn server(certificates: &Certificates) -> Postgres {
    let server = Postgres::start(Durability::Lax).await.unwrap();
    let mut admin = server.admin("postgres").await.unwrap();
    let (folder,): (String,) =
        sqlx::query_as("SELECT current_setting('data_directory')").fetch_one(&mut admin).await.unwrap();
    let owner = fs::metadata(&folder).unwrap();
    for (name, from) in [("tls.crt", certificates.server()), ("tls.key", certificates.server_key())] {
        let file = Path::new(&folder).join(name);
        fs::copy(from, &file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
        let setting = if name == "tls.crt" { "ssl_cert_file" } else { "ssl_key_file" };
        let set = format!("ALTER SYSTEM SET {setting} = '{name}'");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut admin).await.unwrap();
    }
    sqlx::raw_sql("ALTER SYSTEM SET ssl = on").execute(&mut admin).await.unwrap();
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut admin).await.unwrap();
    server
}

#[tokio::test]
async fn a_server_is_trusted_for_its_certificate() {
    let (certificates, others) = (Certificates::make().unwrap(), Certificates::make().unwrap());
    let server = server(&certificates).await;
    let url = server.database().await.unwrap().url();
    let url = DatabaseUrl::parse(&format!("{url}?sslmode=verify-full")).unwrap();
    let trusting = |ca: Option<&Certificates>| {
        let ca = ca.map(|made| made.ca_pem().unwrap().into_bytes());
        Options { tls: Tls { ca, ..Tls::default() }, ..Options::default() }
    };

    let options = trusting(Some(&certificates));
    let reached = async || Ok(Store::reach(&url, &options).await?);
    sower_tests::wait::until("TLS is on", std::time::Duration::from_secs(20), reached).await.unwrap();
    Store::open(&url, &options).await.unwrap();
    for wrong in [Some(&others), None] {
        let error = Store::open(&url, &trusting(wrong)).await.unwrap_err();
        assert_eq!(error.code(), "DatabaseUnavailable");
        let said = error.to_string();
        assert!(said.contains("TLS: ") && !said.contains(PASSWORD), "{said}");
    }
}
