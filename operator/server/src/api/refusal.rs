//! What is not answered, and what is said instead: JSON with `error`, and what there is to say besides.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sower_core::usage_report::Problem;

/// Why a question is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Something of it is off.
    Bad(String),
    /// Several things of a report are off.
    BadReport(Vec<Problem>),
    /// The token is missing, or another.
    Unauthorized,
    /// There is no token, and the server listens to others than this machine.
    NoToken,
    /// There is no token, and who asks means another machine.
    NotFromHere,
    /// There is nothing of that name.
    NotFound(String),
    /// Nothing is answered there.
    NoRoute,
    /// Not in this way.
    Method,
    /// Several things have that name.
    Several {
        /// The name.
        name: String,
        /// What they are called in full.
        choices: Vec<String>,
    },
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// The body is no JSON, says its header.
    NoJson,
    /// Its body did not come in time.
    Idle,
    /// Too many ask at the same time.
    TooMany,
    /// The answer took too long.
    TooSlow,
    /// Nobody can say so now.
    Unavailable(String),
    /// It went wrong; some of it may be done.
    Failed(String),
}

impl Refusal {
    /// The status that programs go by.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Bad(_) | Self::BadReport(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NoToken | Self::NotFromHere => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Several { .. } => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Idle => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn body(&self) -> Value {
        let error = match self {
            Self::BadReport(problems) => {
                return json!({ "error": "the report is refused whole", "problems": problems });
            }
            Self::Several { name, choices } => {
                return json!({ "error": format!("several environments are called `{name}`"), "choices": choices });
            }
            Self::Bad(text) | Self::NotFound(text) | Self::Unavailable(text) | Self::Failed(text) => text.clone(),
            Self::Unauthorized => "the token is missing or wrong: Authorization: Bearer TOKEN".to_owned(),
            Self::NoToken => {
                "no token is set, so the API answers this machine alone: start Sower with --api-token-file FILE (chart: \
                 api.tokenSecret), or listen on 127.0.0.1"
                    .to_owned()
            }
            Self::NotFromHere => {
                "no token is set, so the API answers this machine alone, by the name localhost or 127.0.0.1".to_owned()
            }
            Self::NoRoute => "nothing is answered here".to_owned(),
            Self::Method => "this is asked with another method".to_owned(),
            Self::TooLarge(bytes) => format!("the body is larger than {bytes} bytes"),
            Self::NoJson => "the body has to be JSON: Content-Type: application/json".to_owned(),
            Self::Idle => "the body did not come in time".to_owned(),
            Self::TooMany => "too many ask at the same time".to_owned(),
            Self::TooSlow => "the answer took too long".to_owned(),
        };
        json!({ "error": error })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status(), &self.body());
        let headers = response.headers_mut();
        match self {
            Self::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TooMany | Self::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// A document, which nobody keeps: a rollout goes on.
pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, format!("{body}\n")).into_response()
}
