//! Addresses: what a URL that may hold expressions says of its scheme and host, as far as that can be known.

use super::report::{Path, Sink, shortened};
use super::tree::Node;
use crate::expression::{Part, split};
use crate::problem::Code;

/// What stands for an expression within a host: any text.
const ANY: char = '*';

/// The parts of an absolute address that checks ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// In lower case; empty where an expression gives it.
    pub(crate) scheme: String,
    /// In lower case, without the port; `*` for each expression in it.
    pub(crate) host: String,
}

impl Address {
    /// Reads an address. `Err` says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let flat = flatten(text);
        if flat.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("it has white space");
        }
        if flat.starts_with(ANY) && !flat.contains("://") {
            return Ok(Address { scheme: String::new(), host: ANY.into() });
        }
        let (scheme, rest) = flat.split_once("://").ok_or("it has no scheme")?;
        if scheme.starts_with(ANY) {
            return Ok(Address { scheme: String::new(), host: ANY.into() });
        }
        let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        if !valid {
            return Err("it has no scheme");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("it holds a user name or password");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(six) => {
                let (host, port) = six.split_once(']').ok_or("its host is not closed by `]`")?;
                (format!("[{host}]"), port.strip_prefix(':'))
            }
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (authority.to_owned(), None),
            },
        };
        let port_ok = port.is_none_or(|p| p.contains(ANY) || p.parse::<u16>().is_ok_and(|p| p > 0));
        if !port_ok {
            return Err("its port is no number from 1 to 65535");
        }
        if host.is_empty() {
            return Err("it has no host");
        }
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ANY);
        let is_six = host.starts_with('[') && host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().is_ok();
        if !is_six && (!host.chars().all(plain) || host.split('.').rev().skip(1).any(str::is_empty)) {
            return Err("its host is no host name");
        }
        Ok(Address { scheme: scheme.to_ascii_lowercase(), host: host.to_ascii_lowercase() })
    }

    /// Whether the host is this machine, whatever the network says.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host.trim_end_matches('.');
        let four = host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
        host == "localhost" || host == "[::1]" || four || host.ends_with(".localhost") && !host.contains(ANY)
    }
}

/// The text with each expression as one `*`, and a literal `$${` as what it stands for. A `*` that is written is refused later
/// as part of a host.
fn flatten(text: &str) -> String {
    let template = split(text);
    let mut flat = String::with_capacity(text.len());
    for part in &template.parts {
        match part {
            Part::Text(literal) => flat.push_str(literal),
            Part::Expression { .. } => flat.push(ANY),
        }
    }
    flat
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Over TLS.
    pub encrypted: bool,
    /// It is this machine, whatever the network says.
    pub loopback: bool,
}

/// Reads the address of a server whose paths are asked.
///
/// # Errors
/// What is wrong with it, in a clause that repeats nothing of it: it may hold a password.
pub fn server(text: &str) -> Result<Server, &'static str> {
    let address = Address::parse(text)?;
    if text.contains(['?', '#', '$', ANY]) {
        return Err("it is more than a server and a path");
    }
    let encrypted = match address.scheme.as_str() {
        "https" => true,
        "http" => false,
        _ => return Err("its scheme is neither https nor http"),
    };
    Ok(Server { encrypted, loopback: address.is_loopback() })
}

/// An address that requests go to.
pub(crate) fn check_endpoint(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if !split(text).faults.is_empty() {
        return;
    }
    match Address::parse(text) {
        Err(why) => bad(text, why, node, path, sink),
        Ok(address) => match address.scheme.as_str() {
            "https" | "" => {}
            "http" if address.is_loopback() => {}
            "http" => insecure(text, node, path, sink),
            other => {
                let message = format!("`{}` is no address to send requests to", shortened(text));
                sink.push(Code::BadUrl, node.mark, path, message, format!("https, not {other}"), None);
            }
        },
    }
}

/// An address that a person opens.
pub(crate) fn check_link(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if !matches!(path.last_key(), Some("icon" | "homepage" | "repository" | "documentation")) {
        return;
    }
    let data = text.starts_with("data:image/");
    let repository = text.starts_with("git@") || text.starts_with("ssh://");
    if data || (repository && path.last_key() == Some("repository")) {
        return;
    }
    match Address::parse(text) {
        Err(why) => bad(text, why, node, path, sink),
        Ok(address) if address.scheme == "http" && !address.is_loopback() => insecure(text, node, path, sink),
        Ok(_) => {}
    }
}

fn bad(text: &str, why: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    let hint = (why == "it has no scheme" && text.contains('.') && !text.starts_with('/'))
        .then(|| format!("write `https://{}`", shortened(text)));
    let message = format!("`{}` is not a URL: {why}", shortened(text));
    sink.push(Code::BadUrl, node.mark, path, message, "expected https://HOST/…", hint);
}

fn insecure(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    let secure = format!("https{}", text.trim_start_matches(|c: char| c.is_ascii_alphabetic()));
    let message = format!("`{}` is not encrypted", shortened(text));
    let hint = Some(format!("write `{}`", shortened(&secure)));
    sink.push(Code::InsecureUrl, node.mark, path, message, "https, unless the host is loopback", hint);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_around_expressions() {
        for (text, host) in [
            ("https://api.acme.example/v1", "api.acme.example"),
            ("https://API.acme.example:8443?x=1", "api.acme.example"),
            ("https://${credentials.shop}.myshopify.com/admin", "*.myshopify.com"),
            (
                "https://api${credentials.region == 'us' ? '' : '-' + credentials.region}.mixpanel.com",
                "api*.mixpanel.com",
            ),
            ("https://${credentials.site}/wp-json", "*"),
            ("${input.url}", "*"),
            ("http://[::1]:80/", "[::1]"),
        ] {
            assert_eq!(Address::parse(text).map(|a| a.host).as_deref(), Ok(host), "{text}");
        }
        for text in [
            "acme.example",
            "https://",
            "https:///x",
            "https://a b",
            "https://a:x/",
            "https://u:p@a",
            "https://a..b",
            "://a",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for (text, expected) in [
            ("http://localhost:8080", true),
            ("http://127.0.0.1", true),
            ("http://127.1.2.3", true),
            ("http://[::1]", true),
            ("http://app.localhost", true),
            ("http://localhost.example", false),
            ("http://127.0.0.1.example", false),
            ("http://${input.x}.localhost", false),
            ("http://0.0.0.0", false),
        ] {
            assert_eq!(Address::parse(text).map(|a| a.is_loopback()), Ok(expected), "{text}");
        }
    }
}
