//! Whom the API answers: who shows the token; without one, who asks from this machine.

use std::io::{Error, Read as _, Result};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Refusal;

/// Bytes of the largest file of a token.
const LARGEST: u64 = 4096;
/// Characters of the shortest token: less is guessed.
const SHORTEST: usize = 16;

/// Whom the API answers.
#[derive(Debug, Clone)]
pub struct Access {
    token: Option<PathBuf>,
    loopback: bool,
}

impl Access {
    /// Where the server listens, and the file of the token, if there is one. It is read at each question: a mounted Secret
    /// changes.
    ///
    /// # Errors
    /// Where the file cannot be read now, or holds no token.
    pub fn new(listening: SocketAddr, token: Option<PathBuf>) -> Result<Self> {
        token.as_deref().map(read).transpose()?;
        Ok(Self { token, loopback: listening.ip().to_canonical().is_loopback() })
    }

    /// Whether a question is answered.
    pub(super) fn check(&self, headers: &HeaderMap) -> std::result::Result<(), Refusal> {
        let Some(file) = &self.token else {
            return match (self.loopback, is_local(headers)) {
                (true, true) => Ok(()),
                (true, false) => Err(Refusal::NotFromHere),
                (false, _) => Err(Refusal::NoToken),
            };
        };
        let token = read(file).map_err(|error| {
            tracing::error!(%error, "the token of the API cannot be read");
            Refusal::Unavailable("the token of the API cannot be read here now".to_owned())
        })?;
        // Digests are of one length: how long a token is, and how much of it was right, takes no other time.
        let shown = Sha256::digest(shown(headers).ok_or(Refusal::Unauthorized)?);
        match bool::from(Sha256::digest(token)[..].ct_eq(&shown[..])) {
            true => Ok(()),
            false => Err(Refusal::Unauthorized),
        }
    }
}

/// The token that a question shows.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// A page in a browser of this machine that means somebody else's server names that one.
fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let token = bytes.trim_ascii();
    if bytes.len() as u64 > LARGEST || token.len() < SHORTEST || !token.iter().all(u8::is_ascii_graphic) {
        let text = format!("it holds no token: {SHORTEST} to {LARGEST} characters of ASCII, without spaces");
        return Err(Error::other(text));
    }
    Ok(token.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn without_a_token_only_this_machine_is_answered() {
        for (listening, host, expected) in [
            ("127.0.0.1:1", Some("localhost:8400"), None),
            ("127.0.0.1:1", Some("127.0.0.1"), None),
            ("[::1]:1", Some("[::1]:8400"), None),
            ("[::ffff:127.0.0.1]:1", None, None),
            ("127.0.0.1:1", Some("evil.example:8400"), Some(403)),
            ("127.0.0.1:1", Some("127.0.0.1.evil.example"), Some(403)),
            ("0.0.0.0:1", Some("localhost"), Some(403)),
            ("[::]:1", None, Some(403)),
        ] {
            let access = Access::new(listening.parse().expect("an address"), None).expect("no file");
            let host: Vec<_> = host.into_iter().map(|host| (header::HOST, host)).collect();
            let refused = access.check(&headers(&host)).err().map(|refusal| refusal.status().as_u16());
            assert_eq!(refused, expected, "{listening} {host:?}");
        }
    }

    #[test]
    fn with_a_token_it_decides_wherever_the_server_listens() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let listening: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        for bad in ["", "\n", "too-short", "with a space in the middle", &"x".repeat(5000)] {
            std::fs::write(&file, bad).expect("written");
            assert!(Access::new(listening, Some(file.clone())).is_err(), "{bad}");
        }
        std::fs::write(&file, "0123456789abcdef\n").expect("written");
        let access = Access::new(listening, Some(file.clone())).expect("a token");
        let status = |shown: Option<&str>| {
            let shown: Vec<_> = shown.into_iter().map(|value| (header::AUTHORIZATION, value)).collect();
            access.check(&headers(&shown)).err().map(|refusal| refusal.status().as_u16())
        };
        assert_eq!(status(Some("Bearer 0123456789abcdef")), None);
        assert_eq!(status(Some("bearer 0123456789abcdef ")), None);
        for shown in [
            None,
            Some("Bearer 0123456789abcdeF"),
            Some("Bearer "),
            Some("0123456789abcdef"),
            Some("Basic x"),
        ] {
            assert_eq!(status(shown), Some(401), "{shown:?}");
        }
        // Another token counts at once, and a file that is gone lets nobody in.
        std::fs::write(&file, "fedcba9876543210").expect("written");
        assert_eq!(status(Some("Bearer 0123456789abcdef")), Some(401));
        assert_eq!(status(Some("Bearer fedcba9876543210")), None);
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(status(Some("Bearer fedcba9876543210")), Some(503));
    }
}
