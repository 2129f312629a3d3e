//! Where a database is: its URL, read and printed without a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::confined::on_its_own;
use crate::error::StoreError;

/// What stands for the environment's name in a URL.
const PLACEHOLDER: &str = "{environment}";
/// The parameters of a PostgreSQL URL that are understood.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "host",
    "port",
    "user",
    "password",
    "dbname",
];

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// PostgreSQL 14 or newer.
    Postgres,
    /// SQLite, in a file.
    Sqlite,
}

/// Certificates and keys for a connection, as PEM.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Who may sign the server's certificate: `ca.crt`. Absent: the system's authorities.
    pub ca: Option<Vec<u8>>,
    /// Our certificate: `tls.crt`.
    pub certificate: Option<Vec<u8>>,
    /// Its key: `tls.key`.
    pub key: Option<Vec<u8>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("ca", &self.ca.is_some())
            .field("certificate", &self.certificate.is_some())
            .field("key", &self.key.is_some())
            .finish()
    }
}

/// Where a database is. It prints itself without password and parameters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DatabaseUrl {
    address: Address,
    /// Whoever wrote it may use neither files nor the environment of this process.
    pub(crate) confined: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Address {
    Postgres(String),
    Sqlite(PathBuf),
}

impl DatabaseUrl {
    /// Reads `postgres://…`, `postgresql://…` or `sqlite://PATH`; each may hold `{environment}`.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`], whose message never repeats the URL.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains(['?', '#', '\0']) || path.contains(":memory:") {
                return Err(bad("sqlite:// takes the path of a file, and nothing else"));
            }
            return Ok(Self::of(Address::Sqlite(path.into())));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(bad("it starts with none of postgres://, postgresql://, sqlite://"));
        }
        let probe =
            Url::parse(&text.replace(PLACEHOLDER, "environment")).map_err(|error| bad(&error.to_string()))?;
        if let Some((key, _)) = probe.query_pairs().find(|(key, _)| !PARAMETERS.contains(&&**key)) {
            return Err(bad(&format!("unknown parameter `{key}`; known are {}", PARAMETERS.join(", "))));
        }
        read(&probe)?;
        Ok(Self::of(Address::Postgres(text.to_owned())))
    }

    fn of(address: Address) -> Self {
        Self { address, confined: false }
    }

    /// With `{environment}` filled in.
    #[must_use]
    pub fn of_environment(&self, environment: &str) -> Self {
        let address = match &self.address {
            Address::Postgres(url) => Address::Postgres(url.replace(PLACEHOLDER, environment)),
            Address::Sqlite(path) => {
                Address::Sqlite(path.to_string_lossy().replace(PLACEHOLDER, environment).into())
            }
        };
        Self { address, ..*self }
    }

    /// Which engine answers there.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.address {
            Address::Postgres(_) => Engine::Postgres,
            Address::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// The file of a SQLite database.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.address {
            Address::Postgres(_) => None,
            Address::Sqlite(path) => Some(path),
        }
    }

    /// `db.internal:5432`, or the file.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.address {
            Address::Postgres(_) => {
                let url = self.url();
                let host = url.as_ref().and_then(Url::host_str).filter(|host| !host.is_empty());
                format!(
                    "{}:{}",
                    host.unwrap_or("localhost"),
                    url.as_ref().and_then(Url::port).unwrap_or(5432)
                )
            }
            Address::Sqlite(path) => path.display().to_string(),
        }
    }

    /// As it prints itself, with the port even where it was not given.
    #[must_use]
    pub fn with_port(&self) -> String {
        match self.url() {
            None => self.to_string(),
            Some(url) => print(&url, &self.host()),
        }
    }

    pub(crate) fn url(&self) -> Option<Url> {
        match &self.address {
            Address::Postgres(text) => Url::parse(text).ok(),
            Address::Sqlite(_) => None,
        }
    }

    /// The options of the driver. Off loopback the server must prove who it is, unless `sslmode` says otherwise: the
    /// driver's own default falls back to plain text.
    pub(crate) fn postgres(&self, tls: &Tls) -> Result<PgConnectOptions, StoreError> {
        let url = self.url().ok_or_else(|| bad("it is none of PostgreSQL"))?;
        let mut options = read(&url)?;
        let given = |name: &str| url.query_pairs().any(|(key, _)| key == name);
        if self.confined {
            options = on_its_own(options, &url, tls)?;
        }
        if !given("sslmode") && (self.confined || std::env::var_os("PGSSLMODE").is_none()) {
            let local = options.get_socket().is_some() || is_loopback(options.get_host());
            options = options.ssl_mode(if local { PgSslMode::Prefer } else { PgSslMode::VerifyFull });
        }
        let Tls { ca, certificate, key } = tls;
        if let Some(ca) = ca {
            options = options.ssl_root_cert_from_pem(ca.clone());
        }
        if let Some(certificate) = certificate {
            options = options.ssl_client_cert_from_pem(certificate);
        }
        if let Some(key) = key {
            options = options.ssl_client_key_from_pem(key);
        }
        // PgBouncer refuses start-up parameters it does not know, and a pooled server knows nobody's statements.
        options = options.extra_float_digits(None).statement_cache_capacity(0);
        Ok(if options.get_application_name().is_none() { options.application_name("sower") } else { options })
    }
}

pub(crate) fn read(url: &Url) -> Result<PgConnectOptions, StoreError> {
    PgConnectOptions::from_str(url.as_str()).map_err(|_| bad("one of its parameters has a wrong value"))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.starts_with('/')
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(crate) fn bad(why: &str) -> StoreError {
    StoreError::BadUrl(why.to_owned())
}

fn print(url: &Url, host: &str) -> String {
    let user = url.username();
    let at = if user.is_empty() { "" } else { "@" };
    format!("{}://{user}{at}{host}{}", url.scheme(), url.path())
}

impl FromStr for DatabaseUrl {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::parse(text)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, self.url()) {
            (Address::Sqlite(path), _) => write!(f, "sqlite://{}", path.display()),
            (Address::Postgres(_), Some(url)) => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                let printed = print(&url, &format!("{}{port}", url.host_str().unwrap_or_default()));
                f.write_str(&printed.replace("%7Benvironment%7D", PLACEHOLDER))
            }
            (Address::Postgres(_), None) => f.write_str("postgres://"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, printed: &str, host: &str) {
        let url = DatabaseUrl::parse(text).unwrap();
        assert_eq!(url.to_string(), printed);
        assert_eq!(url.host(), host);
        assert!(!format!("{url:?} {url} {}", url.with_port()).contains("s3cret"));
    }

    #[test]
    fn a_url_prints_itself_without_its_password() {
        check(
            "postgres://sower@db.internal/catalog",
            "postgres://sower@db.internal/catalog",
            "db.internal:5432",
        );
        check(
            "postgresql://sower:s3cret@db.internal:6432/catalog?sslmode=require&password=s3cret",
            "postgresql://sower@db.internal:6432/catalog",
            "db.internal:6432",
        );
        check("sqlite://.sower/sower.db", "sqlite://.sower/sower.db", ".sower/sower.db");
        check("sqlite:///var/lib/sower/a.db", "sqlite:///var/lib/sower/a.db", "/var/lib/sower/a.db");
        check("postgres://u:s3cret@db/{environment}", "postgres://u@db/{environment}", "db:5432");
    }

    #[test]
    fn a_placeholder_is_filled_in() {
        let url = DatabaseUrl::parse("sqlite://data/{environment}.db").unwrap();
        assert_eq!(url.of_environment("staging").to_string(), "sqlite://data/staging.db");
        let url = DatabaseUrl::parse("postgres://u:p@db/{environment}").unwrap();
        assert_eq!(url.of_environment("qa").postgres(&Tls::default()).unwrap().get_database(), Some("qa"));
    }

    #[test]
    fn a_bad_url_is_refused_without_being_repeated() {
        for text in [
            "mysql://root:s3cret@db/x",
            "postgres://u:s3cret@db:port/x",
            "postgres://u:s3cret@db/x?passwrod=s3cret",
            "postgres://u:s3cret@db/x?sslmode=s3cret",
            "sqlite://",
            "sqlite://:memory:",
        ] {
            let error = DatabaseUrl::parse(text).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_server_off_loopback_must_prove_who_it_is() {
        let mode = |text: &str| {
            let url = DatabaseUrl::parse(text).unwrap();
            format!("{:?}", url.postgres(&Tls::default()).unwrap().get_ssl_mode())
        };
        assert_eq!(mode("postgres://u@db.internal/x"), "VerifyFull");
        assert_eq!(mode("postgres://u@db.internal/x?sslmode=disable"), "Disable");
        assert_eq!(mode("postgres://u@127.0.0.1/x"), "Prefer");
        assert_eq!(mode("postgres://u@[::1]/x"), "Prefer");
    }
}
