//! URLs that a stranger wrote, who is not to reach what is this process's own.

use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::address::{DatabaseUrl, Tls, bad, read};
use crate::error::StoreError;

/// Parameters that name files.
const FILES: &[&str] = &["sslrootcert", "sslcert", "sslkey"];

impl DatabaseUrl {
    /// The same, as somebody wrote it who is not to reach what is this process's own: it names no file and no socket of
    /// this machine, and what the environment of this process says (`PGPASSWORD` and its like) is not for it.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] where it does name one, or leaves the host or the user to that environment.
    pub fn confined(mut self) -> Result<Self, StoreError> {
        let url = self.url().ok_or_else(|| bad("it names a file of this machine"))?;
        let given = |name: &str| url.query_pairs().any(|(key, value)| key == name && !value.is_empty());
        if let Some(file) = FILES.iter().find(|file| url.query_pairs().any(|(key, _)| key == **file)) {
            return Err(bad(&format!(
                "`{file}` names a file of this machine; ca.crt, tls.crt and tls.key are keys of the Secret"
            )));
        }
        if url.host_str().is_none_or(str::is_empty) && !given("host") {
            return Err(bad("it names no host"));
        }
        if url.username().is_empty() && !given("user") {
            return Err(bad("it names no user"));
        }
        let options = read(&url)?;
        if options.get_socket().is_some() || options.get_host().starts_with('/') {
            return Err(bad("its host is a file of this machine"));
        }
        self.confined = true;
        Ok(self)
    }
}

/// With nothing that the driver took from this process's environment, or from this user's password file.
pub(crate) fn on_its_own(
    mut options: PgConnectOptions,
    url: &Url,
    Tls { ca, certificate, key }: &Tls,
) -> Result<PgConnectOptions, StoreError> {
    let given = |name: &str| url.query_pairs().any(|(key, _)| key == name);
    // The driver cannot be told to leave these out.
    let stay = [
        ("PGOPTIONS", true),
        ("PGSSLROOTCERT", ca.is_none()),
        ("PGSSLCERT", certificate.is_none()),
        ("PGSSLKEY", key.is_none()),
    ];
    if let Some((name, _)) = stay.iter().find(|(name, stays)| *stays && std::env::var_os(name).is_some()) {
        return Err(bad(&format!("{name} of Sower's own environment would be used with it; unset it there")));
    }
    if url.password().is_none() && !given("password") {
        options = options.password("");
    }
    if url.port().is_none() && !given("port") {
        options = options.port(5432);
    }
    if url.path().trim_start_matches('/').is_empty() && !given("dbname") {
        // The server's own default.
        let user = options.get_username().to_owned();
        options = options.database(&user);
    }
    Ok(if given("application_name") { options } else { options.application_name("sower") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_url_names_nothing_of_this_machine() {
        for (text, expect) in [
            ("postgres://u:s3cret@db/x?sslkey=/etc/tls.key", "`sslkey` names a file"),
            ("postgres://u:s3cret@db/x?sslcert=/etc/tls.crt", "`sslcert` names a file"),
            ("postgres://u:s3cret@db/x?sslrootcert=ca.crt", "`sslrootcert` names a file"),
            ("postgres://u:s3cret@db/x?host=/run/postgresql", "its host is a file"),
            ("postgres://u:s3cret@db/x?host=%2Frun%2Fpostgresql&host=db", "its host is a file"),
            ("postgres://u:s3cret@%2Frun%2Fpostgresql/x", "its host is a file"),
            ("postgres:///x?user=u", "it names no host"),
            ("postgres://db/x", "it names no user"),
            ("sqlite://a.db", "it names a file"),
        ] {
            let error = DatabaseUrl::parse(text).unwrap().confined().unwrap_err().to_string();
            assert!(error.contains(expect) && !error.contains("s3cret"), "{text}: {error}");
        }
        assert!(
            DatabaseUrl::parse("postgres://u@db/{environment}?sslmode=require").unwrap().confined().is_ok()
        );
    }

    /// Not a test: what the test below starts, in an environment that names another database.
    #[test]
    #[ignore = "a process of its own"]
    fn options_of_a_strangers_url() {
        let text = std::env::var("TEXT").unwrap();
        let url = DatabaseUrl::parse(&text).unwrap().confined().unwrap();
        println!("{:?}", url.of_environment("qa").postgres(&Tls::default()));
    }

    #[test]
    fn a_strangers_url_gets_nothing_of_this_environment() {
        let options = |text: &str, own: &[(&str, &str)]| {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args([
                "--exact",
                "--ignored",
                "--nocapture",
                "confined::tests::options_of_a_strangers_url",
            ]);
            let output = command.env("TEXT", text).envs(own.iter().copied()).output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "*:*:*:*:mine-file\n").unwrap();
        std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let own = [
            ("PGPASSWORD", "mine-password"),
            ("PGSSLMODE", "disable"),
            ("PGHOST", "mine-host"),
            ("PGHOSTADDR", "mine-address"),
            ("PGPORT", "7777"),
            ("PGUSER", "mine-user"),
            ("PGDATABASE", "mine-database"),
            ("PGAPPNAME", "mine-name"),
            ("PGPASSFILE", file.path().to_str().unwrap()),
        ];
        for text in ["postgres://u@db.internal/{environment}", "postgres://u@db.internal"] {
            for own in [&own[..], &own[1..]] {
                let said = options(text, own);
                assert!(said.contains("db.internal") && said.contains("VerifyFull"), "{said}");
                assert!(!said.contains("mine") && !said.contains("7777"), "{said}");
            }
        }
        for name in ["PGOPTIONS", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"] {
            let said = options("postgres://u@db.internal/x", &[(name, "mine")]);
            assert!(said.contains(name) && !said.contains("mine"), "{said}");
        }
    }
}
