//! What each provider is sent. Pure.

use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use serde_json::{Value, json};
use sower_crds::notification::Provider;

use super::due::{CommitState, Due};
use crate::web::encoded;

/// The request that sets the status of a commit.
///
/// # Errors
/// Why there is none: nothing of the token is in it.
pub(super) fn request(due: &Due, token: &str) -> Result<Request<String>, String> {
    let api = due.api.as_ref().map_err(Clone::clone)?;
    let repository = &due.repository;
    let path = match due.provider {
        Provider::GitHub | Provider::Gitea => {
            let parts: Vec<String> = repository.split('/').map(encoded).collect();
            format!("repos/{}/statuses/{}", parts.join("/"), due.commit)
        }
        Provider::GitLab => format!("projects/{}/statuses/{}", encoded(repository), due.commit),
    };
    let (header, value) = match due.provider {
        Provider::GitHub => (AUTHORIZATION, format!("Bearer {token}")),
        Provider::GitLab => (http::HeaderName::from_static("private-token"), token.to_owned()),
        Provider::Gitea => (AUTHORIZATION, format!("token {token}")),
    };
    let mut value =
        HeaderValue::try_from(value).map_err(|_| "the token holds what no header may hold".to_owned())?;
    value.set_sensitive(true);
    Request::post(format!("{api}/{path}"))
        .header(header, value)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("sower/", env!("CARGO_PKG_VERSION")))
        .body(body(due).to_string())
        .map_err(|error| format!("its address cannot be used: {error}"))
}

fn body(due: &Due) -> Value {
    let Due { context, message, .. } = due;
    match due.provider {
        Provider::GitHub | Provider::Gitea => {
            json!({ "state": due.state.as_str(), "context": context, "description": message })
        }
        Provider::GitLab => {
            let state = match due.state {
                CommitState::Failure | CommitState::Error => "failed",
                CommitState::Superseded => "canceled",
                other => other.as_str(),
            };
            json!({ "state": state, "name": context, "description": message })
        }
    }
}

/// Whether the answer says that the status is set. GitLab refuses to set one to the state in which it is.
pub(super) fn is_set(provider: Provider, status: u16, answer: &str) -> bool {
    let same = provider == Provider::GitLab && status == 400 && answer.contains("Cannot transition status");
    (200..300).contains(&status) || same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(provider: Provider, state: CommitState) -> Due {
        Due {
            name: "n".into(),
            source: "catalog".into(),
            provider,
            api: Ok("https://git.example.com/api".into()),
            repository: "platform/the catalog".into(),
            secret: "n".into(),
            context: "sower/production".into(),
            commit: "3f2c1a9".into(),
            state,
            message: "Seeded main@3f2c1a9".into(),
        }
    }

    #[test]
    fn each_provider_is_sent_what_it_takes() {
        for (provider, state, url, header, value, body) in [
            (
                Provider::GitHub,
                CommitState::Success,
                "https://git.example.com/api/repos/platform/the%20catalog/statuses/3f2c1a9",
                "authorization",
                "Bearer t0ken",
                json!({ "state": "success", "context": "sower/production", "description": "Seeded main@3f2c1a9" }),
            ),
            (
                Provider::GitLab,
                CommitState::Error,
                "https://git.example.com/api/projects/platform%2Fthe%20catalog/statuses/3f2c1a9",
                "private-token",
                "t0ken",
                json!({ "state": "failed", "name": "sower/production", "description": "Seeded main@3f2c1a9" }),
            ),
            (
                Provider::Gitea,
                CommitState::Failure,
                "https://git.example.com/api/repos/platform/the%20catalog/statuses/3f2c1a9",
                "authorization",
                "token t0ken",
                json!({ "state": "failure", "context": "sower/production", "description": "Seeded main@3f2c1a9" }),
            ),
        ] {
            let request = request(&due(provider, state), "t0ken").expect("a request");
            assert_eq!(request.uri().to_string(), url);
            assert_eq!(request.headers()[header], value);
            assert_eq!(serde_json::from_str::<Value>(request.body()).expect("JSON"), body);
            assert!(!format!("{request:?}").contains("t0ken"), "{request:?}");
        }
        let error = request(&due(Provider::Gitea, CommitState::Success), "a\nb").expect_err("refused");
        assert_eq!(error, "the token holds what no header may hold");
    }

    #[test]
    fn gitlab_refuses_what_is_so_already() {
        let same = "{\"message\":\"Cannot transition status via :run from :running\"}";
        assert!(is_set(Provider::GitLab, 400, same) && !is_set(Provider::Gitea, 400, same));
        assert!(is_set(Provider::GitHub, 201, "") && !is_set(Provider::GitHub, 404, ""));
    }
}
