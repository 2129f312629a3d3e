//! Secrets: read when they are needed, never kept, never leaving their namespace.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use sower_source::Credentials;
use sower_store::{DatabaseUrl, Engine, StoreError, Tls};

use crate::api_server;
use crate::reason::Reason;
use crate::seeding::{Kind, SeedingError};
use crate::stores::Database;

/// How long the API server may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// The data of a Secret.
///
/// # Errors
/// AuthenticationFailed where it is not there, FetchFailed where the API server does not answer.
pub async fn read(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<BTreeMap<String, Vec<u8>>, SeedingError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let missing = |what: &str| {
        SeedingError::new(Reason::AuthenticationFailed, Kind::Stalled, format!("The secret {name} {what}"))
    };
    match tokio::time::timeout(PATIENCE, api.get_opt(name)).await {
        Ok(Ok(Some(secret))) => {
            let data = secret.data.unwrap_or_default();
            Ok(data.into_iter().map(|(key, value)| (key, value.0)).collect())
        }
        Ok(Ok(None)) => Err(missing("is not there")),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => Err(missing("may not be read by Sower")),
        Ok(Err(error)) => Err(unanswered(name, &api_server::cause(&error))),
        Err(_) => Err(unanswered(name, "no answer in time")),
    }
}

fn unanswered(name: &str, cause: &str) -> SeedingError {
    SeedingError::new(
        Reason::FetchFailed,
        Kind::Transient,
        format!("The secret {name} cannot be read now: {cause}"),
    )
}

/// Credentials of a git source.
///
/// # Errors
/// AuthenticationFailed where a value is not text.
pub fn credentials(name: &str, data: &BTreeMap<String, Vec<u8>>) -> Result<Credentials, SeedingError> {
    Credentials::from_secret(data).map_err(|key| {
        SeedingError::new(
            Reason::AuthenticationFailed,
            Kind::Stalled,
            format!("The secret {name} has no text in {key}"),
        )
    })
}

/// The address in an environment's database Secret. What is this machine's own, a SQLite file among it, it names only where
/// `allow_local` says so.
///
/// # Errors
/// InvalidSpec, which never repeats the address.
pub fn database(
    of: &str,
    data: &BTreeMap<String, Vec<u8>>,
    allow_local: bool,
) -> Result<Database, SeedingError> {
    let database = address(of, data)?;
    if database.url.engine() == Engine::Sqlite && !allow_local {
        return Err(SeedingError::invalid_spec(format!(
            "{of} names a SQLite file: start Sower with --allow-local"
        )));
    }
    match database.url.clone().confined() {
        Ok(url) => Ok(Database { url, ..database }),
        Err(_) if allow_local => Ok(database),
        Err(error) => Err(unusable(of, &error)),
    }
}

fn address(of: &str, data: &BTreeMap<String, Vec<u8>>) -> Result<Database, SeedingError> {
    let url = data.get("url").or_else(|| data.get("uri"));
    let url = url.ok_or_else(|| SeedingError::invalid_spec(format!("{of} has neither `url` nor `uri`")))?;
    let text = std::str::from_utf8(url)
        .map_err(|_| SeedingError::invalid_spec(format!("{of} has no text in `url`")))?;
    let url = DatabaseUrl::parse(text).map_err(|error| unusable(of, &error))?;
    let pem = |key: &str| data.get(key).filter(|value| !value.is_empty()).cloned();
    Ok(Database { url, tls: Tls { ca: pem("ca.crt"), certificate: pem("tls.crt"), key: pem("tls.key") } })
}

fn unusable(of: &str, error: &StoreError) -> SeedingError {
    SeedingError::new(Reason::InvalidSpec, Kind::Stalled, format!("{of}: {error}"))
}

/// The database Secret that is mounted as a folder.
///
/// # Errors
/// DatabaseUnavailable where the folder cannot be read, InvalidSpec for what is no address.
pub fn mounted(folder: &Path) -> Result<Database, SeedingError> {
    let mut data = BTreeMap::new();
    for key in ["url", "uri", "ca.crt", "tls.crt", "tls.key"] {
        match std::fs::read(folder.join(key)) {
            Ok(value) => drop(data.insert(key.to_owned(), value)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("The operator's database secret cannot be read: {error}");
                return Err(SeedingError::new(Reason::DatabaseUnavailable, Kind::Transient, text));
            }
        }
    }
    address("The operator's database secret", &data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_database_secret_has_url_or_uri() {
        let postgres = "postgres://sower:s3cret@db.internal/catalog";
        for key in ["url", "uri"] {
            let database =
                database("x", &secret(&[(key, postgres), ("ca.crt", "PEM")]), false).expect("an address");
            assert_eq!(database.url.to_string(), "postgres://sower@db.internal/catalog");
            assert_eq!(database.tls.ca.as_deref(), Some(b"PEM".as_slice()));
        }
        for (entries, expect) in [
            (vec![], "The secret x has neither `url` nor `uri`"),
            (
                vec![("url", "sqlite:///tmp/a.db")],
                "The secret x names a SQLite file: start Sower with --allow-local",
            ),
            (
                vec![("url", "postgres://u@h/d?host=/run/postgresql")],
                "The secret x: the database URL cannot be used: its host is a file of this machine",
            ),
        ] {
            let error = database("The secret x", &secret(&entries), false).expect_err("refused");
            assert_eq!((error.reason, error.message.as_str()), (Reason::InvalidSpec, expect));
        }
        let error = database("x", &secret(&[("url", "mysql://u:s3cret@h/d")]), false).expect_err("refused");
        assert!(!error.full().contains("s3cret"));
        for local in ["sqlite:///tmp/a.db", "postgres://u@h/d?host=/run/postgresql"] {
            assert!(database("x", &secret(&[("url", local)]), true).is_ok());
        }
    }
}
