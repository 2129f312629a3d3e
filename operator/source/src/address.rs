//! The address of a repository: which are taken, and how they are shown.

use std::path::{Path, PathBuf};

use url::{Host, Url};

use crate::{Credentials, FetchError};

/// A checked address of a repository, without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// What libgit2 is given. An ssh user stays in it; it is no secret.
    pub url: String,
    /// What people are shown.
    pub shown: String,
    /// The host, or `file`.
    pub host: String,
    /// Served from this machine's disk.
    pub local: bool,
}

impl Address {
    /// Checks a URL: https, ssh, `user@host:path`, http to a loopback address, and where `allow_local` says so
    /// `file://` and absolute paths. A user and password inside an http(s) URL move to `credentials`.
    ///
    /// # Errors
    /// [`FetchError::BadRequest`], which shows nothing of the user part.
    pub fn parse(text: &str, allow_local: bool, credentials: &mut Credentials) -> Result<Self, FetchError> {
        let text = text.trim();
        if text.is_empty() || text.len() > 2048 || text.chars().any(char::is_control) {
            return Err(FetchError::bad("the git URL is empty, too long or holds control characters"));
        }
        if text.starts_with('/') {
            return Self::local(Path::new(text), allow_local);
        }
        if !text.contains("://") {
            let Some(url) = scp_like(text) else {
                return Err(FetchError::bad(
                    "the git URL has no scheme: write https://, ssh:// or user@host:path",
                ));
            };
            return Self::parse(&url, allow_local, credentials);
        }
        let mut url = Url::parse(text)
            .map_err(|error| FetchError::bad(format!("the git URL cannot be read: {error}")))?;
        match url.scheme() {
            "file" => {
                let path = url
                    .to_file_path()
                    .map_err(|()| FetchError::bad("the file:// URL names no absolute path"))?;
                return Self::local(&path, allow_local);
            }
            "https" | "ssh" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(FetchError::bad("http:// is taken for loopback addresses only: use https://"));
            }
            other => {
                return Err(FetchError::bad(format!(
                    "git does not fetch from {other}:// here: use https:// or ssh://"
                )));
            }
        }
        let host = url
            .host_str()
            .filter(|h| !h.is_empty())
            .ok_or_else(|| FetchError::bad("the git URL has no host"))?;
        let host = host.to_owned();
        if let Some(password) = url.password() {
            let password = decode(password);
            credentials.password.get_or_insert(password);
            let _ = url.set_password(None);
        }
        if url.scheme() != "ssh" && !url.username().is_empty() {
            let user = decode(url.username());
            credentials.username.get_or_insert(user);
            let _ = url.set_username("");
        }
        url.set_fragment(None);
        let mut shown = url.clone();
        let _ = shown.set_username("");
        shown.set_query(None);
        Ok(Self { url: url.into(), shown: shown.into(), host, local: false })
    }

    /// Whether two URLs are of one server, so that credentials for one may go to the other: scheme, host and port are the
    /// same. Of what is no URL of a server, nothing is.
    #[must_use]
    pub fn same_server(one: &str, other: &str) -> bool {
        let server = |text: &str| {
            let address = Self::parse(text, false, &mut Credentials::default()).ok()?;
            let url = Url::parse(&address.url).ok()?;
            let port = url.port_or_known_default().or((url.scheme() == "ssh").then_some(22));
            Some((url.scheme().to_owned(), address.host.to_ascii_lowercase(), port))
        };
        server(one).is_some_and(|one| server(other) == Some(one))
    }

    fn local(path: &Path, allow_local: bool) -> Result<Self, FetchError> {
        if !allow_local {
            return Err(FetchError::bad(
                "local paths and file:// are refused here (--allow-local takes them)",
            ));
        }
        let url: String = Url::from_file_path(path)
            .map_err(|()| FetchError::bad("the path of the repository is not absolute"))?
            .into();
        Ok(Self { shown: url.clone(), url, host: "file".into(), local: true })
    }
}

/// The server and the path of a repository, as its web address has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// `https://git.example.com`, with the port that an http address names.
    pub server: String,
    /// `platform/catalog`.
    pub path: String,
}

impl Web {
    /// Of a repository's address; none of one that lies on this machine's disk.
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        let address = Address::parse(address, false, &mut Credentials::default()).ok()?;
        let url = Url::parse(&address.url).ok()?;
        let server = match (url.scheme(), url.port()) {
            ("ssh", _) => format!("https://{}", address.host),
            (scheme, None) => format!("{scheme}://{}", address.host),
            (scheme, Some(port)) => format!("{scheme}://{}:{port}", address.host),
        };
        let path = decode(url.path());
        let path = path.trim_matches('/').trim_end_matches(".git").to_owned();
        (!path.is_empty()).then_some(Self { server, path })
    }
}

fn decode(part: &str) -> String {
    let Some(bytes) = percent_decoded(part) else { return part.to_owned() };
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

fn percent_decoded(part: &str) -> Option<Vec<u8>> {
    let mut bytes = part.bytes();
    let mut out = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Whether a git server is spoken to by ssh.
#[must_use]
pub fn is_ssh(url: &str) -> bool {
    url.starts_with("ssh://") || (!url.contains("://") && scp_like(url).is_some())
}

/// `git@host:path` as an ssh URL.
fn scp_like(text: &str) -> Option<String> {
    let (authority, path) = text.split_once(':')?;
    let plain = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || "-._@".contains(c));
    (plain(authority) && !path.is_empty() && !path.starts_with(':') && !authority.starts_with('-'))
        .then(|| format!("ssh://{authority}/{}", path.trim_start_matches('/')))
}

/// What `--source` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `DIR`: the files on disk, uncommitted edits included.
    Folder(PathBuf),
    /// `DIR#REF`: commits of the repository that holds the folder.
    Checkout {
        /// A folder in a working tree, or a bare repository.
        dir: PathBuf,
        /// `HEAD`, a branch, a tag, a commit.
        reference: String,
    },
    /// `URL[#REF]`: a repository elsewhere.
    Remote {
        /// As it was written.
        url: String,
        /// `HEAD` where nothing was said.
        reference: String,
    },
}

impl Location {
    /// Reads the argument of `--source`. Where a folder of that very name exists, it wins over a URL.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (place, reference) = match text.split_once('#') {
            Some((place, reference)) => (place, Some(reference)),
            None => (text, None),
        };
        let remote = place.contains("://") || (scp_like(place).is_some() && !Path::new(place).exists());
        let head = |reference: Option<&str>| match reference {
            None | Some("") => "HEAD".to_owned(),
            Some(reference) => reference.to_owned(),
        };
        if remote {
            return Self::Remote { url: place.to_owned(), reference: head(reference) };
        }
        let dir = PathBuf::from(if place.is_empty() { "." } else { place });
        match reference {
            None => Self::Folder(dir),
            some => Self::Checkout { dir, reference: head(some) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Address, Credentials), FetchError> {
        let mut credentials = Credentials::default();
        Address::parse(text, false, &mut credentials).map(|address| (address, credentials))
    }

    #[test]
    fn a_password_leaves_the_url() {
        let (address, credentials) = parse("https://ci:p%40ss@git.example.com/a.git#main").unwrap();
        assert_eq!(address.url, "https://git.example.com/a.git");
        assert_eq!(credentials.username.as_deref(), Some("ci"));
        assert_eq!(credentials.password.as_deref(), Some("p@ss"));
        assert!(!format!("{address:?}{credentials:?}").contains("p@ss"));
    }

    #[test]
    fn a_repository_has_a_web_address() {
        for (address, expect) in [
            ("https://ci:p%40ss@git.example.com/a/b.git", Some(("https://git.example.com", "a/b"))),
            ("https://git.example.com:8443/a/b/", Some(("https://git.example.com:8443", "a/b"))),
            ("ssh://git@git.example.com:2222/a/b.git", Some(("https://git.example.com", "a/b"))),
            ("git@git.example.com:team/a%20b.git", Some(("https://git.example.com", "team/a b"))),
            ("http://127.0.0.1:3000/a/b", Some(("http://127.0.0.1:3000", "a/b"))),
            ("https://git.example.com/", None),
            ("file:///srv/a.git", None),
            ("nonsense", None),
        ] {
            let web = Web::of(address);
            assert_eq!(web.as_ref().map(|web| (&*web.server, &*web.path)), expect, "{address}");
        }
    }

    #[test]
    fn only_safe_schemes_are_taken() {
        for good in [
            "https://git.example.com/a",
            "ssh://git@git.example.com:2222/a",
            "git@git.example.com:team/a.git",
            "http://127.0.0.1:8080/a",
            "http://[::1]:8080/a",
            "http://localhost/a",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://git.example.com/a",
            "http://localhost.example.com/a",
            "git://git.example.com/a",
            "ext::sh -c true",
            "-oProxyCommand=x:y",
            "file:///srv/a.git",
            "/srv/a.git",
            "catalog",
            "",
        ] {
            assert!(matches!(parse(bad), Err(FetchError::BadRequest { .. })), "{bad}: {:?}", parse(bad));
        }
    }

    #[test]
    fn a_server_is_scheme_host_and_port() {
        for (one, other, same) in [
            ("https://git.example.com/a.git", "https://u:p@Git.example.com:443/b.git#main", true),
            ("git@git.example.com:team/a.git", "ssh://deploy@git.example.com:22/b", true),
            ("https://git.example.com/a", "https://git.example.com.evil.example/a", false),
            ("https://git.example.com/a", "https://git.example.com@evil.example/a", false),
            ("https://git.example.com/a", "https://git.example.com:8443/a", false),
            ("https://git.example.com/a", "ssh://git.example.com/a", false),
            ("https://localhost/a", "http://localhost:443/a", false),
            ("/srv/a.git", "/srv/a.git", false),
            ("nonsense", "nonsense", false),
        ] {
            assert_eq!(Address::same_server(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn a_source_argument_is_a_folder_commits_or_a_url() {
        assert_eq!(Location::parse("."), Location::Folder(".".into()));
        let checkout = |reference: &str| Location::Checkout { dir: ".".into(), reference: reference.into() };
        assert_eq!(Location::parse(".#main"), checkout("main"));
        assert_eq!(Location::parse("#HEAD"), checkout("HEAD"));
        assert_eq!(
            Location::parse("https://git.example.com/a#v1"),
            Location::Remote { url: "https://git.example.com/a".into(), reference: "v1".into() }
        );
        assert_eq!(
            Location::parse("git@git.example.com:a"),
            Location::Remote { url: "git@git.example.com:a".into(), reference: "HEAD".into() }
        );
    }
}
