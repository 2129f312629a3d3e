//! Permissions: where any `network:` is given, every host that requests go to must be covered.

use super::Context;
use crate::manifest::report::{Path, shortened};
use crate::problem::Code;

/// The most steps that matching the hosts of one manifest may take, far beyond what real ones need: past it none is covered.
const MAX_STEPS: usize = 20_000_000;

pub(super) fn check(context: &mut Context<'_, '_>, path: &Path<'_>) {
    let list = path.key("permissions");
    let mut allowed: Vec<String> = Vec::new();
    let mut restricted = false;
    for (i, node) in context.spec.list_at("permissions").iter().enumerate() {
        let Some(host) = node.text().and_then(|t| t.strip_prefix("network:")) else { continue };
        restricted = true;
        let host = host.trim().to_ascii_lowercase();
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '*' | ':' | '[' | ']');
        if host.is_empty() || !host.chars().all(plain) {
            let message = format!("`{}` is no host", shortened(&host));
            let hint = Some(
                "write a host such as `network:api.acme.example` or `network:*.acme.example`".to_owned(),
            );
            context.push(
                Code::BadUrl,
                node.mark,
                &list.index(i),
                message,
                "a host, without scheme and path",
                hint,
            );
        } else {
            allowed.push(without_port(&host).to_owned());
        }
    }
    if !restricted {
        return;
    }
    let mut left = MAX_STEPS;
    for (host, mark, pointer) in std::mem::take(&mut context.hosts) {
        if !allowed.iter().any(|pattern| covers(pattern.as_bytes(), host.as_bytes(), &mut left)) {
            let message = format!("`permissions` does not cover the host `{}`", shortened(&host));
            let hint = Some(format!("add `network:{}` to `permissions`", shortened(&host)));
            context.push(Code::PermissionMissing, mark, &Path::at(&pointer), message, "not permitted", hint);
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Whether `pattern` matches every text that `host` can be: a `*` of the host, which stands for an expression, is matched by a
/// `*` of the pattern alone. Takes time linear in the product of the lengths, and no more steps than are `left`.
fn covers(pattern: &[u8], host: &[u8], left: &mut usize) -> bool {
    let (mut p, mut h) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while h < host.len() {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, h));
            p += 1;
        } else if pattern.get(p) == Some(&host[h]) {
            p += 1;
            h += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            h = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn hosts_are_covered_by_patterns() {
        for (pattern, host, expected) in [
            ("api.stripe.com", "api.stripe.com", true),
            ("*.paypal.com", "api-m.paypal.com", true),
            ("*.paypal.com", "api-m.sandbox.paypal.com", true),
            ("*.paypal.com", "paypal.com", false),
            ("*.paypal.com", "paypal.com.evil.example", false),
            ("*", "*", true),
            ("*.myshopify.com", "*.myshopify.com", true),
            ("shop.myshopify.com", "*.myshopify.com", false),
            ("*.mixpanel.com", "api*.mixpanel.com", true),
            ("api*.mixpanel.com", "api*.mixpanel.com", true),
            ("a.example", "*", false),
            ("", "x", false),
        ] {
            let mut left = super::MAX_STEPS;
            assert_eq!(covers(pattern.as_bytes(), host.as_bytes(), &mut left), expected, "{pattern} {host}");
        }
    }
}
