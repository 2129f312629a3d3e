//! What opens a repository, and how it is kept out of every text.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The keys of a git Secret, as Flux names them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `username`, for https.
    pub username: Option<String>,
    /// `password`: of the user for https, of the identity for ssh.
    pub password: Option<String>,
    /// `bearerToken`: sent as the Authorization header.
    pub bearer_token: Option<String>,
    /// `identity`: the private key for ssh, PEM.
    pub identity: Option<String>,
    /// `known_hosts`: the host keys ssh may meet.
    pub known_hosts: Option<String>,
    /// `ca.crt`: certificates to trust beside the system's, PEM.
    pub ca_crt: Option<String>,
}

impl fmt::Debug for Credentials {
    /// Names the keys that are set; never a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.fields().into_iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key);
        f.write_str("Credentials")?;
        f.debug_set().entries(set).finish()
    }
}

impl Credentials {
    /// Reads the data of a Secret. Keys that git does not use are passed over.
    ///
    /// # Errors
    /// The name of a key whose value is not text.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        let text = |key: &str| match data.get(key) {
            None => Ok(None),
            Some(bytes) => match std::str::from_utf8(bytes) {
                // A trailing newline is `echo`'s, not the user's.
                Ok(text) if key.contains("word") || key.contains("Token") || key == "username" => {
                    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
                }
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(key.to_owned()),
            },
        };
        Ok(Self {
            username: text("username")?,
            password: text("password")?,
            bearer_token: text("bearerToken")?,
            identity: text("identity")?,
            known_hosts: text("known_hosts")?,
            ca_crt: text("ca.crt")?,
        })
    }

    /// Whether nothing here would open a repository.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        let Self { username, password, bearer_token, identity, known_hosts: _, ca_crt: _ } = self;
        username.is_none() && password.is_none() && bearer_token.is_none() && identity.is_none()
    }

    fn fields(&self) -> [(&'static str, Option<&str>); 6] {
        let Self { username, password, bearer_token, identity, known_hosts, ca_crt } = self;
        [
            ("username", username.as_deref()),
            ("password", password.as_deref()),
            ("bearerToken", bearer_token.as_deref()),
            ("identity", identity.as_deref()),
            ("known_hosts", known_hosts.as_deref()),
            ("ca.crt", ca_crt.as_deref()),
        ]
    }

    /// A digest that differs wherever the credentials do.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (key, value) in self.fields() {
            if let Some(value) = value {
                hash.update((value.len() as u64).to_be_bytes());
                hash.update(key);
                hash.update(value);
            }
        }
        hash.finalize().into()
    }

    /// `text` without any secret value of these credentials.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        // A user without a password may be a token: see how the server is answered. `git` is everybody's.
        let alone = self.password.is_none() && self.identity.is_none();
        let user = self.username.as_ref().filter(|user| alone && user.as_str() != "git");
        let secrets = [self.password.as_ref(), self.bearer_token.as_ref(), self.identity.as_ref(), user];
        for secret in secrets.into_iter().flatten() {
            let encoded = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
            for form in [secret.as_str(), encoded.as_str()] {
                if !form.is_empty() {
                    clean = clean.replace(form, "***");
                }
            }
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(username: &str, password: Option<&str>, text: &str, clean: &str) {
        let (username, password) = (Some(username.to_owned()), password.map(str::to_owned));
        let credentials = Credentials { username, password, ..Credentials::default() };
        assert_eq!(credentials.scrub(text), clean);
    }

    #[test]
    fn a_token_in_the_place_of_the_user_is_a_secret() {
        check("ghp_s3cret/", None, "ghp_s3cret/ and ghp_s3cret%2F", "*** and ***");
        check("git", None, "github.com", "github.com");
        check("ada", Some("s3cret"), "ada has s3cret", "ada has ***");
    }
}
