//! Questions to Prometheus servers, bounded in time and size.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::future::join_all;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT};
use serde_json::Value;
use sower_core::manifest::server;
use sower_core::sentence::cut;
use sower_crds::rollout::PrometheusQuery;

use super::questions::Questions;
use crate::web;

/// Bytes of an answer that are read: one number is asked for.
const LONGEST: usize = 64 << 10;

/// What stands in for the placeholders of a query.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// `{{environment}}`
    pub environment: &'a str,
    /// `{{integration}}`
    pub integration: &'a str,
    /// `{{candidate}}`: the new version.
    pub candidate: &'a str,
    /// `{{stable}}`: the version that all had before.
    pub stable: &'a str,
}

/// The data of Secrets by their names, or why it is not to be had.
pub type Secrets = BTreeMap<String, Result<BTreeMap<String, Vec<u8>>, String>>;

/// Asks all queries side by side. Answers with the number of each by its name, or why there is none: nothing of a Secret or
/// of an address is in it but the host.
pub async fn ask(
    queries: &[PrometheusQuery],
    names: Names<'_>,
    secrets: &Secrets,
    questions: &Questions,
) -> BTreeMap<String, Result<f64, String>> {
    let asked =
        queries.iter().map(async |query| (query.name.clone(), one(query, names, secrets, questions).await));
    join_all(asked).await.into_iter().collect()
}

async fn one(
    query: &PrometheusQuery,
    names: Names<'_>,
    secrets: &Secrets,
    questions: &Questions,
) -> Result<f64, String> {
    let none = BTreeMap::new();
    let data = match &query.secret_ref {
        None => &none,
        Some(secret) => match secrets.get(&secret.name) {
            Some(data) => data.as_ref().map_err(Clone::clone)?,
            None => return Err(format!("the secret {} is not there", secret.name)),
        },
    };
    let request = request(query, names, data)?;
    let host = request.uri().host().unwrap_or_default().to_owned();
    let asked = web::ask(request, data.get("ca.crt"), LONGEST);
    let answer = questions.answer(&query.address, asked).await;
    let answer = answer.map_err(|cause| cut(&format!("{host} does not answer: {cause}")))?;
    let body = answer.body.ok_or_else(|| format!("{host} answers more than one number"))?;
    match answer.status {
        200 => number(&body).map_err(|why| format!("{host} {why}")),
        401 | 403 => Err(match &query.secret_ref {
            Some(secret) => format!("{host} rejected the secret {}", secret.name),
            None => format!("{host} wants to know who asks: secretRef"),
        }),
        400 | 422 => Err(cut(&format!("{host} rejected the query: {}", without(&told(&body), data)))),
        other => Err(format!("{host} answered {other}")),
    }
}

fn request(
    query: &PrometheusQuery,
    names: Names<'_>,
    data: &BTreeMap<String, Vec<u8>>,
) -> Result<Request<String>, String> {
    let server = server(&query.address).map_err(|why| format!("its address cannot be asked: {why}"))?;
    let credentials = credentials(data)?;
    if credentials.is_some() && !server.encrypted && !server.loopback {
        return Err("its address is not https: what the secret holds is not sent".to_owned());
    }
    let base = query.address.trim_end_matches('/');
    let text = filled(&query.query, names)?;
    let mut request = Request::get(format!("{base}/api/v1/query?query={}", web::encoded(&text)))
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("sower/", env!("CARGO_PKG_VERSION")));
    if let Some(mut value) = credentials {
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request.body(String::new()).map_err(|_| "its address cannot be asked".to_owned())
}

/// What proves who asks: a token, or a user and a password (RFC 7617).
fn credentials(data: &BTreeMap<String, Vec<u8>>) -> Result<Option<HeaderValue>, String> {
    let text = |key: &str| {
        let value = data.get(key)?;
        Some(
            std::str::from_utf8(value).map(str::trim).map_err(|_| format!("the secret has no text in {key}")),
        )
    };
    let token = text("bearerToken").transpose()?.filter(|token| !token.is_empty());
    let (user, password) = (text("username").transpose()?, text("password").transpose()?);
    let value = match (token, user, password) {
        (Some(token), _, _) => format!("Bearer {token}"),
        (None, Some(user), Some(password)) => {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
        }
        (None, None, None) => return Ok(None),
        (None, Some(_), None) => return Err("the secret has a username and no password".to_owned()),
        (None, None, Some(_)) => return Err("the secret has a password and no username".to_owned()),
    };
    let held =
        HeaderValue::try_from(value).map_err(|_| "the secret holds what no header may hold".to_owned())?;
    Ok(Some(held))
}

/// The query with the names in place of their placeholders, as the text of a string in PromQL has them.
fn filled(query: &str, names: Names<'_>) -> Result<String, String> {
    let Names { environment, integration, candidate, stable } = names;
    let mut text = query.to_owned();
    for (placeholder, name) in [
        ("{{environment}}", environment),
        ("{{integration}}", integration),
        ("{{candidate}}", candidate),
        ("{{stable}}", stable),
    ] {
        if text.contains(placeholder) {
            text = text.replace(placeholder, &escaped(name)?);
        }
    }
    Ok(text)
}

/// A name within quotes. Within backticks nothing can be escaped, so a backtick stands in no query.
fn escaped(name: &str) -> Result<String, String> {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '`' | '{' | '}' => return Err("a name holds what no query may hold".to_owned()),
            c if c.is_control() => return Err("a name holds what no query may hold".to_owned()),
            '\\' | '"' | '\'' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// The number in an answer: a scalar, or a vector of one sample.
fn number(body: &str) -> Result<f64, String> {
    let answer: Value =
        serde_json::from_str(body).map_err(|_| "does not answer as Prometheus does".to_owned())?;
    let data = &answer["data"];
    let sample = match data["resultType"].as_str() {
        Some("scalar") => &data["result"],
        Some("vector") => match data["result"].as_array().map(Vec::as_slice) {
            Some([one]) => &one["value"],
            Some([]) => return Err("knows nothing of that".to_owned()),
            Some(many) => return Err(format!("answers {} numbers, not one", many.len())),
            None => return Err("does not answer as Prometheus does".to_owned()),
        },
        Some(_) => return Err("answers no number".to_owned()),
        None => return Err("does not answer as Prometheus does".to_owned()),
    };
    let text = sample[1].as_str().ok_or_else(|| "does not answer as Prometheus does".to_owned())?;
    let number = match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().map_err(|_| "answers no number".to_owned())?,
    };
    if number.is_nan() { Err("answers no number (NaN)".to_owned()) } else { Ok(number) }
}

/// What a server says of a query that it does not take.
fn told(body: &str) -> String {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let text = answer["error"].as_str().unwrap_or_default();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text without what a Secret holds, as it is and as a header says it: some servers repeat what they were asked.
fn without(text: &str, data: &BTreeMap<String, Vec<u8>>) -> String {
    let values = data.values().filter_map(|value| std::str::from_utf8(value).ok()).map(str::trim);
    let mut all: Vec<String> = values.filter(|value| !value.is_empty()).map(str::to_owned).collect();
    if let (Some(user), Some(password)) = (data.get("username"), data.get("password")) {
        all.push(BASE64_STANDARD.encode([user.as_slice(), b":", password.as_slice()].concat()));
    }
    all.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'static> =
        Names { environment: "production", integration: "stripe", candidate: "1.1.0", stable: "1.0.0" };

    fn data(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    fn query(address: &str, text: &str) -> PrometheusQuery {
        PrometheusQuery { address: address.into(), query: text.into(), ..PrometheusQuery::default() }
    }

    #[test]
    fn a_query_is_sent_with_its_names_and_credentials() {
        let text = "sum(rate(errors{env=\"{{environment}}\",id='{{integration}}',v=~\"{{candidate}}|{{stable}}\"}[5m]))";
        let asked = query("https://prometheus.example/base/", text);
        let token = request(&asked, NAMES, &data(&[("bearerToken", "t0ken\n")])).expect("a request");
        assert_eq!(
            token.uri().to_string(),
            "https://prometheus.example/base/api/v1/query?query=sum%28rate%28errors%7Benv%3D%22production%22%2Cid%3D%27stripe\
             %27%2Cv%3D~%221.1.0%7C1.0.0%22%7D%5B5m%5D%29%29"
        );
        assert_eq!(token.headers()["authorization"], "Bearer t0ken");
        assert!(!format!("{token:?}").contains("t0ken"), "{token:?}");
        let basic = request(&asked, NAMES, &data(&[("username", "Aladdin"), ("password", "open sesame")]));
        assert_eq!(
            basic.expect("a request").headers()["authorization"],
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        let plain = request(&asked, NAMES, &data(&[("ca.crt", "PEM")])).expect("a request");
        assert!(!plain.headers().contains_key("authorization"));
    }

    #[test]
    fn what_cannot_be_asked_is_told_without_what_is_secret() {
        let secret = [("bearerToken", "t0ken")];
        for (address, entries, why) in [
            (
                "http://prometheus.example:9090",
                &secret[..],
                "its address is not https: what the secret holds is not sent",
            ),
            (
                "https://u:t0ken@prometheus.example",
                &[],
                "its address cannot be asked: it holds a user name or password",
            ),
            (
                "ftp://prometheus.example",
                &[],
                "its address cannot be asked: its scheme is neither https nor http",
            ),
            (
                "https://prometheus.example",
                &[("bearerToken", "t0\nken")],
                "the secret holds what no header may hold",
            ),
            (
                "https://prometheus.example",
                &[("username", "t0ken")],
                "the secret has a username and no password",
            ),
            (
                "https://prometheus.example",
                &[("password", "t0ken")],
                "the secret has a password and no username",
            ),
        ] {
            let refused = request(&query(address, "up"), NAMES, &data(entries)).expect_err(address);
            assert_eq!(refused, why, "{address}");
        }
        for (address, entries) in
            [("http://127.0.0.1:9090", &secret[..]), ("http://prometheus.example:9090", &[])]
        {
            assert!(request(&query(address, "up"), NAMES, &data(entries)).is_ok(), "{address}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        let fill = |name| filled("a{b=\"{{candidate}}\"}", Names { candidate: name, ..NAMES });
        assert_eq!(fill("1\"} or vector(1) #\\"), Err("a name holds what no query may hold".to_owned()));
        assert_eq!(fill("1\" or '\\"), Ok("a{b=\"1\\\" or \\'\\\\\"}".to_owned()));
        assert!(fill("1`").is_err() && fill("1\n").is_err() && fill("{{stable}}").is_err());
    }

    #[test]
    fn an_answer_is_one_number() {
        let answer = |kind: &str, result: &str| {
            number(&format!(
                "{{\"status\":\"success\",\"data\":{{\"resultType\":\"{kind}\",\"result\":{result}}}}}"
            ))
        };
        assert_eq!(answer("scalar", "[1,\"0.93\"]"), Ok(0.93));
        assert_eq!(answer("vector", "[{\"metric\":{},\"value\":[1,\"-2e3\"]}]"), Ok(-2000.0));
        assert_eq!(answer("vector", "[{\"value\":[1,\"+Inf\"]}]"), Ok(f64::INFINITY));
        for (kind, result, why) in [
            ("vector", "[]", "knows nothing of that"),
            ("vector", "[{\"value\":[1,\"NaN\"]}]", "answers no number (NaN)"),
            ("vector", "[{\"value\":[1,\"1\"]},{\"value\":[1,\"2\"]}]", "answers 2 numbers, not one"),
            ("matrix", "[]", "answers no number"),
            ("scalar", "[1,\"x\"]", "answers no number"),
            ("vector", "7", "does not answer as Prometheus does"),
            ("scalar", "7", "does not answer as Prometheus does"),
        ] {
            assert_eq!(answer(kind, result), Err(why.to_owned()), "{kind} {result}");
        }
        for body in ["", "{}", "<html>", "[]"] {
            assert_eq!(number(body), Err("does not answer as Prometheus does".to_owned()), "{body}");
        }
    }
}
