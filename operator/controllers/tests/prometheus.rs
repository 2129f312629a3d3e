//! Questions to a real Prometheus: one number, or why there is none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to stop")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use sower_controllers::rollout::Questions;
use sower_controllers::rollout::prometheus::{Names, Secrets, ask};
use sower_crds::environment::SecretRef;
use sower_crds::rollout::PrometheusQuery;
use sower_tests::certificates::Certificates;
use sower_tests::process::free_port;
use sower_tests::prometheus::{PASSWORD, Prometheus, USER};
use sower_tests::wait::until;

const NAMES: Names<'static> =
    Names { environment: "production", integration: "stripe", candidate: "1.1.0", stable: "1.0.0" };

/// As many as anybody wants.
fn questions() -> Questions {
    Questions::within(Duration::MAX)
}

fn query(name: &str, address: &str, text: &str) -> PrometheusQuery {
    PrometheusQuery {
        name: name.to_owned(),
        address: address.to_owned(),
        query: text.to_owned(),
        ..PrometheusQuery::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_answers_one_number_or_why_there_is_none() {
    let server = Prometheus::start().await.unwrap();
    let at = server.address();
    let table: [(&str, Result<f64, &str>); 10] = [
        ("vector(0.93)", Ok(0.93)),
        ("1 + 1", Ok(2.0)),
        ("vector(1) / 0", Ok(f64::INFINITY)),
        ("vector(0) / 0", Err("127.0.0.1 answers no number (NaN)")),
        ("nothing_of_this_name", Err("127.0.0.1 knows nothing of that")),
        (
            "label_replace(vector(1), \"a\", \"b\", \"\", \"\") or vector(2)",
            Err("127.0.0.1 answers 2 numbers, not one"),
        ),
        ("\"text\"", Err("127.0.0.1 answers no number")),
        ("vector(1)[5m:1m]", Err("127.0.0.1 answers no number")),
        (
            "vector(",
            Err(
                "127.0.0.1 rejected the query: invalid parameter \"query\": 1:8: parse error: unclosed left parenthesis",
            ),
        ),
        ("label_replace(vector(1), \"a\", \"{{candidate}}\", \"\", \"\") == bool on() vector(1)", Ok(1.0)),
    ];
    let queries: Vec<_> =
        table.iter().enumerate().map(|(at_row, (text, _))| query(&format!("q{at_row}"), at, text)).collect();
    let answers = ask(&queries, NAMES, &Secrets::new(), &questions()).await;
    for (row, (text, expected)) in table.iter().enumerate() {
        assert_eq!(answers[&format!("q{row}")], expected.map_err(str::to_owned), "{text}");
    }
    // It scrapes itself under the name of the integration.
    let up = [query("up", at, "max_over_time(up{job=\"{{integration}}\"}[5m])")];
    until("it is scraped", Duration::from_secs(60), async || {
        match ask(&up, NAMES, &Secrets::new(), &questions()).await["up"] {
            Ok(1.0) => Ok(()),
            ref other => anyhow::bail!("{other:?}"),
        }
    })
    .await
    .unwrap();
    let other = Names { integration: "adyen", ..NAMES };
    let nothing = ask(&up, other, &Secrets::new(), &questions()).await;
    assert_eq!(nothing["up"], Err("127.0.0.1 knows nothing of that".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_secret_holds_opens_the_server_and_is_told_to_nobody() {
    let certificates = Certificates::make().unwrap();
    let server = Prometheus::guarded(&certificates).await.unwrap();
    let ca = certificates.ca_pem().unwrap();
    let secret = |password: &str, ca: &str| -> Result<BTreeMap<String, Vec<u8>>, String> {
        let entries = [("username", USER), ("password", password), ("ca.crt", ca)];
        Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).collect())
    };
    let other = Certificates::make().unwrap().ca_pem().unwrap();
    let secrets: Secrets = [
        ("good", secret(PASSWORD, &ca)),
        ("wrong", secret("another-password", &ca)),
        ("stranger", secret(PASSWORD, &other)),
        ("broken", secret(PASSWORD, "no certificate")),
        ("unread", Err("The secret unread may not be read by Sower".to_owned())),
    ]
    .into_iter()
    .map(|(name, data)| (name.to_owned(), data))
    .collect();
    let names = ["good", "wrong", "stranger", "broken", "unread", "missing"];
    let mut queries: Vec<_> = names
        .into_iter()
        .map(|name| PrometheusQuery {
            secret_ref: Some(SecretRef { name: name.to_owned() }),
            ..query(name, server.address(), "vector(1)")
        })
        .collect();
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    queries.push(query("nobody", &nobody, "vector(1)"));
    queries.push(query("elsewhere", &format!("{}/base", server.address()), "vector(1)"));
    let answers = ask(&queries, NAMES, &secrets, &questions()).await;
    let told: Vec<(&str, Result<f64, &str>)> = answers
        .iter()
        .map(|(name, answer)| (name.as_str(), answer.as_ref().map(|number| *number).map_err(String::as_str)))
        .collect();
    let stranger = answers["stranger"].as_ref().unwrap_err().clone();
    assert!(stranger.starts_with("127.0.0.1 does not answer: "), "{stranger}");
    let elsewhere = answers["elsewhere"].as_ref().unwrap_err().clone();
    assert!(elsewhere.starts_with("127.0.0.1 does not answer: "), "its authority is not known: {elsewhere}");
    assert_eq!(
        told,
        [
            ("broken", Err("127.0.0.1 does not answer: ca.crt holds no certificate")),
            ("elsewhere", Err(elsewhere.as_str())),
            ("good", Ok(1.0)),
            ("missing", Err("the secret missing is not there")),
            ("nobody", Err("127.0.0.1 does not answer: Connection refused (os error 111)")),
            ("stranger", Err(stranger.as_str())),
            ("unread", Err("The secret unread may not be read by Sower")),
            ("wrong", Err("127.0.0.1 rejected the secret wrong")),
        ]
    );
    assert!(!format!("{answers:?}").contains(PASSWORD));
}

/// It is waited for once, however much is asked of it, and others answer meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_holds_nobody_up() {
    let server = Prometheus::start().await.unwrap();
    // What is connected to it waits for ever.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let mut queries: Vec<_> = (0..40).map(|n| query(&format!("silent-{n:02}"), &address, "up")).collect();
    queries.extend((0..40).map(|n| query(&format!("well-{n:02}"), server.address(), "1 + 1")));
    let (questions, begun) = (questions(), Instant::now());
    let answers = ask(&queries, NAMES, &Secrets::new(), &questions).await;
    let took = begun.elapsed();
    for (name, answer) in &answers {
        match name.starts_with("silent") {
            true => {
                assert_eq!(*answer, Err("127.0.0.1 does not answer: no answer in time".to_owned()), "{name}")
            }
            false => assert_eq!(*answer, Ok(2.0), "{name}"),
        }
    }
    assert!(took < Duration::from_secs(15), "five times as long as one question, or twice: {took:?}");
    // In the same look it is not waited for again; and all of one ends in time, whatever a server does.
    let begun = Instant::now();
    ask(&queries[..1], NAMES, &Secrets::new(), &questions).await;
    ask(&queries[..1], NAMES, &Secrets::new(), &Questions::within(Duration::from_secs(4))).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}
