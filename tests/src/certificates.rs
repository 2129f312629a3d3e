//! The test's own certificate authority, and what it signs: made by openssl, valid for two days.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::{clean, folder, output};

const CONFIG: &str = "
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, IP:10.0.0.1, DNS:localhost, DNS:kubernetes.default.svc
";

/// A certificate authority and one server certificate of it, for every loopback name.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes both, in a folder of their own.
    pub fn make() -> Result<Self> {
        let folder = folder("certificates")?;
        fs::write(folder.join("openssl.cnf"), CONFIG)?;
        let made = Self { folder };
        made.sign("ca", &["-extensions", "ca", "-subj", "/CN=sower-tests"])?;
        let signed_by_ca =
            ["-extensions", "server", "-subj", "/CN=localhost", "-CA", "ca.crt", "-CAkey", "ca.key"];
        made.sign("server", &signed_by_ca)?;
        Ok(made)
    }

    fn sign(&self, name: &str, how: &[&str]) -> Result<()> {
        let mut command = Command::new("openssl");
        clean(&mut command)
            .current_dir(&self.folder)
            .args([
                "req",
                "-x509",
                "-config",
                "openssl.cnf",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "2", "-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")])
            .args(how);
        output(&mut command).map(drop)
    }

    /// A private key for tokens, in the form that Kubernetes reads.
    pub fn signing_key(&self) -> Result<PathBuf> {
        let key = self.folder.join("signing.key");
        let mut command = Command::new("openssl");
        clean(&mut command).args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]).arg(&key);
        output(&mut command)?;
        Ok(key)
    }

    /// The authority's certificate, as a file.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The authority's certificate, as text.
    pub fn ca_pem(&self) -> Result<String> {
        Ok(fs::read_to_string(self.ca())?)
    }

    /// The server's certificate.
    pub fn server(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    /// The server's private key.
    pub fn server_key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
