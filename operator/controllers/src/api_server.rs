//! What the API server said, or why it said nothing, in one clause for a message.

use std::error::Error as _;

/// The server's own words where it refused; else the innermost cause, which is the one that names what is wrong.
#[must_use]
pub fn cause(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return match status.message.as_str() {
            "" => format!("HTTP status {}", status.code),
            said => said.to_owned(),
        };
    }
    let mut innermost = error.source();
    while let Some(deeper) = innermost.and_then(|error| error.source()) {
        innermost = Some(deeper);
    }
    innermost.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Connect(#[source] std::io::Error);

    #[test]
    fn no_name_of_a_rust_type_is_said() {
        let refused = std::io::Error::other("connection refused");
        for (error, said) in [
            (kube::Error::Service(Box::new(Connect(refused))), "connection refused"),
            (kube::Error::Service("no answer in time".into()), "no answer in time"),
            (kube::Error::Api(Box::new(Status::failure("etcd is away", "Internal"))), "etcd is away"),
            (kube::Error::Api(Box::new(Status::failure("", "Internal").with_code(503))), "HTTP status 503"),
        ] {
            assert_eq!(cause(&error), said);
        }
    }
}
