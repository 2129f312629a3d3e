//! URLs as people may see them, and as `sower.toml` may hold them: without passwords.

use crate::failure::Failure;

/// `sower.toml` takes no database URL with a password.
///
/// # Errors
/// Usage, which repeats nothing of it.
pub fn refuse_password(url: &str) -> Result<(), Failure> {
    if without_password(url) == url {
        return Ok(());
    }
    Err(Failure::usage("sower.toml holds a password, and sower.toml is in git")
        .next("instead", "take it out, and set SOWER_DATABASE_URL or SOWER_SOURCE"))
}

/// `sower.toml` takes no git URL with a password, nor with a token in place of the user's name.
///
/// # Errors
/// Usage, which repeats nothing of it.
pub fn refuse_credentials(source: &str) -> Result<(), Failure> {
    // Before the host of a URL, as `USER:PASSWORD@`. The user of an ssh URL, and `git`, are no secret.
    let Some((scheme, rest)) = source.split_once("://") else { return Ok(()) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return Ok(()) };
    let harmless = user.is_empty() || user == "git" || scheme.eq_ignore_ascii_case("ssh");
    if harmless && !user.contains(':') {
        return Ok(());
    }
    Err(Failure::usage("sower.toml holds the password or token of a git source, and sower.toml is in git")
        .next("instead", "take it out; git's own credential helpers and ssh-agent are asked"))
}

/// A database URL without its password, for people.
///
/// Such a URL may be a broken one: a password with a `/`, `#` or `?` that was not escaped ends the authority early for
/// every parser. So all between the user's name and the last `@` goes, and of the parameters all from one that is a
/// password on.
#[must_use]
pub fn without_password(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_string();
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let shown = match rest.rsplit_once('@') {
        Some((before, host)) => match before.split_once(':') {
            Some((user, _)) => format!("{user}@{host}"),
            None => rest.to_string(),
        },
        None => rest.to_string(),
    };
    format!("{scheme}{}", without_password_parameter(&shown))
}

/// Cut before the first parameter whose name says that it is a password, or hides what it says.
fn without_password_parameter(url: &str) -> &str {
    let mut from = 0;
    while let Some(at) = url[from..].find(['?', '&']).map(|at| from + at) {
        from = at + 1;
        let name = url[from..].split(['=', '&']).next().unwrap_or_default();
        if name.contains('%') || name.to_ascii_lowercase().contains("password") {
            return &url[..at];
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_with_a_password_in_the_file_is_refused() {
        for source in [
            "https://u:secret@git.example.com/x.git",
            "https://secret@git.example.com/x.git#main",
            "ssh://git:secret@git.example.com/x.git",
        ] {
            let refused = refuse_credentials(source).expect_err(source);
            assert!(!refused.text().contains("secret"), "{source}");
        }
        for source in [
            "ssh://deploy@git.example.com/x.git",
            "https://git@git.example.com/x.git",
            "git@git.example.com:x.git",
            ".#HEAD",
            "https://h:1/@a/b",
        ] {
            assert!(refuse_credentials(source).is_ok(), "{source}");
        }
    }

    #[test]
    fn no_password_is_shown_however_it_is_written() {
        let shown = "postgres://u@h:5432/d";
        for password in
            ["p", "s3/cret", "12/34", "a#b", "a?b", "a:b", "a@b", "a@b/c@d", "a?password=b&c", "%2f", ""]
        {
            assert_eq!(without_password(&format!("postgres://u:{password}@h:5432/d")), shown, "{password}");
        }
        for (url, shown) in [
            ("postgres://u@h/d?sslmode=require", "postgres://u@h/d?sslmode=require"),
            ("postgres://u@h/d?sslmode=require&PASSWORD=s&x=s", "postgres://u@h/d?sslmode=require"),
            ("postgres://h/d?password=s@s", "postgres://h/d"),
            ("postgres://h/d?sslpassword=s#s", "postgres://h/d"),
            ("postgres://h/d?pass%77ord=s", "postgres://h/d"),
            ("u:s@h/d", "u@h/d"),
            ("sqlite://a@b:c@d.db", "sqlite://a@b:c@d.db"),
            ("sqlite:.sower/sower.db", "sqlite:.sower/sower.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
        assert!(refuse_password("postgres://u:s3/cret@h/d").is_err());
        assert!(refuse_password("postgres://u@h/d").is_ok());
    }
}
