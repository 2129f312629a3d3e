//! The API of `sower run --standalone`: the built binary, its server and its database.

mod checkout;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use checkout::Checkout;
use serde_json::{Value, json};

/// How long anything may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-to-be-kept-0123456789";

/// A running Sower; ended with its value.
struct Running {
    child: Child,
    lines: Receiver<String>,
    address: String,
}

impl Running {
    /// Starts it and waits until it watches.
    fn start(checkout: &Checkout, arguments: &[&str]) -> Self {
        let mut command = checkout.sower();
        command.args(["run", "--standalone", "--log-format", "text"]).args(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let (tell, lines) = channel();
        std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut running = Self { child, lines, address: String::new() };
        let line = running.until("Stop: Ctrl-C");
        let (_, rest) = line.split_once("http://").expect("it says where it listens");
        running.address = rest.split_whitespace().next().expect("an address").to_owned();
        running
    }

    fn until(&mut self, wanted: &str) -> String {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no line holds `{wanted}`"));
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// Sends a question as it is; the status, the head and the JSON of the answer.
    fn send(&self, head: &str, headers: &[&str], body: &str) -> (u16, String, Value) {
        let mut stream =
            TcpStream::connect(self.address.replace("0.0.0.0", "127.0.0.1")).expect("it listens");
        let mut text = format!("{head} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for header in headers {
            text.push_str(&format!("{header}\r\n"));
        }
        if !headers.iter().any(|header| header.starts_with("host:")) {
            text.push_str("host: localhost\r\n");
        }
        stream.write_all(format!("{text}\r\n").as_bytes()).expect("asked");
        // An answer that does not wait for the whole body may end the connection.
        let _ = stream.write_all(body.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer}"));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, head.to_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.send(&format!("GET {path}"), &[], "");
        (status, body)
    }

    fn report(&self, body: &str) -> (u16, Value) {
        let (status, _, body) = self.send("POST /api/v1/usage", &["content-type: application/json"], body);
        (status, body)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A rollout of stripe in production: a tenth is to get 1.1.0.
fn roll_out(checkout: &Checkout) {
    let variants = json!([{
        "version": "1.1.0", "checksum": "b", "weight": 1000, "keys": ["acme & co", "größe"], "labels": { "tier": "gold" }
    }]);
    checkout.sql(&format!(
        "PRAGMA busy_timeout = 20000; \
         INSERT INTO integration_rollouts (id, environment, integration_id, from_version, from_checksum, to_version, to_checksum, \
         variants, salt, step, weight, state, strategy, progress, source, path, revision, seeding, started_at, step_started_at, \
         updated_at) VALUES ('1', 'production', 'stripe', '1.0.0', 'a', '1.1.0', 'b', '{variants}', 'salt', 1, 1000, 'Paused', \
         '{{}}', '{{}}', 's', 'p', 'r', 's', '2027-01-01T00:00:00Z', '2027-01-01T00:00:00Z', '2027-01-01T00:00:00Z')"
    ));
}

const STRIPE: &str = "/api/v1/environments/production/integrations/stripe/resolve";

#[test]
fn a_consumer_is_told_its_version() {
    let checkout = Checkout::new();
    let running = Running::start(&checkout, &["--listen", "127.0.0.1:0"]);
    let everybody = json!({ "environment": "production", "integration": "stripe", "key": "key", "version": "1.0.0",
                            "reason": "stable", "bucket": null });
    assert_eq!(running.get(&format!("{STRIPE}?key=key")), (200, everybody));
    roll_out(&checkout);
    for (query, version, reason, bucket) in [
        ("key=key", "1.1.0", "bucket", json!(194)),
        ("key=acme+%26%20co", "1.1.0", "override", json!(null)),
        ("key=gr%C3%B6%C3%9Fe", "1.1.0", "override", json!(null)),
        ("key=customer-1&label=tier%3Dgold&label=region=eu", "1.1.0", "override", json!(null)),
        ("key=", "1.0.0", "stable", json!(7159)),
    ] {
        let (status, body) = running.get(&format!("{STRIPE}?{query}"));
        assert_eq!(
            (status, &body["version"], &body["reason"]),
            (200, &json!(version), &json!(reason)),
            "{query}"
        );
        assert_eq!(body["bucket"], bucket, "{query}");
    }
    let (_, head, _) = running.send(&format!("GET {STRIPE}?key=key"), &[], "");
    assert!(
        head.contains("content-type: application/json") && head.contains("cache-control: no-store"),
        "{head}"
    );

    let of = |environment: &str, id: &str| {
        format!("/api/v1/environments/{environment}/integrations/{id}/resolve?key=a")
    };
    let long = "k".repeat(4097);
    for (path, status, error) in [
        (of("production", "slack"), 404, "`production` does not carry `slack`"),
        (of("nowhere", "slack"), 404, "no environment is called `nowhere`"),
        (of("shop%2Fproduction", "stripe"), 404, "no environment is called `production` in `shop`"),
        (
            format!("{}&namespace=shop", of("production", "stripe")),
            404,
            "no environment is called `production` in `shop`",
        ),
        (STRIPE.to_owned(), 400, "`key` is missing"),
        (format!("{STRIPE}?key=a&key=b"), 400, "`key` is there more than once"),
        (format!("{STRIPE}?kee=a"), 400, "no such field; there are key, label, namespace"),
        (format!("{STRIPE}?key=%FF"), 400, "the query is no UTF-8"),
        (format!("{STRIPE}?key={long}"), 400, "a key of 4097 bytes: at most 4096"),
        (format!("{STRIPE}?key=a&label=gold"), 400, "a label is name=value"),
        ("/api/v1/environments/%FF/integrations/a/resolve?key=a".to_owned(), 400, "the path is no UTF-8"),
        ("/api/v1/nothing".to_owned(), 404, "nothing is answered here"),
        ("/api/v1/usage".to_owned(), 405, "another method"),
    ] {
        let (got, body) = running.get(&path);
        let told = body["error"].as_str().unwrap_or_default();
        assert!(got == status && told.contains(error), "{path}: {got} {body}");
    }
    // What was there before is as it was.
    assert_eq!(running.send("GET /healthz", &["host: elsewhere.example"], "").0, 200);
}

#[test]
fn a_report_is_recorded_whole_or_refused_whole() {
    let checkout = Checkout::new();
    let running = Running::start(&checkout, &["--listen", "127.0.0.1:0"]);
    let record = |environment: &str, more: &Value| {
        let mut record = json!({ "environment": environment, "integration": "stripe", "version": "1.0.0", "executions": 10 });
        let fields = record.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        record
    };
    let good = json!({ "records": [
        record("production", &json!({ "errors": 1, "latencyMs": 84.5, "action": "list" })),
        record("staging", &json!({ "latency": { "10": 4, "+Inf": 1 } })),
    ] });
    assert_eq!(running.report(&good.to_string()), (200, json!({ "recorded": 2 })));
    assert_eq!(running.report(&good.to_string()), (200, json!({ "recorded": 2 })));
    let counted = |environment: &str| {
        let rows = checkout.json(&format!("usage stripe -e {environment} -q -o json"));
        let sum = |name: &str| {
            rows.as_array().expect("a list").iter().filter_map(|row| row[name].as_u64()).sum::<u64>()
        };
        (sum("executions"), sum("errors"))
    };
    assert_eq!((counted("production"), counted("staging")), ((20, 2), (20, 0)));

    // Nothing of what is refused is recorded.
    let before = counted("production");
    let with = |other: Value| json!({ "records": [record("production", &json!({})), other] }).to_string();
    let bad = with(record("production", &json!({ "errors": 11, "version": "one" })));
    let (status, body) = running.report(&bad);
    let expected = json!({ "error": "the report is refused whole", "problems": [
        { "at": "/records/1/version", "message": "`one` is not a semantic version" },
        { "at": "/records/1/errors", "message": "11 of 10 executions" },
    ] });
    assert_eq!((status, body), (400, expected));
    for (other, at, message) in [
        (record("nowhere", &json!({})), "environment", "no environment is called `nowhere`"),
        (record("production", &json!({ "at": "2001-01-01T00:00:00Z" })), "at", "is more than 24 hours ago"),
        (
            record("production", &json!({ "version": "9.9.9" })),
            "version",
            "`production` never carried `stripe` 9.9.9",
        ),
        (
            record("production", &json!({ "action": "pay" })),
            "action",
            "`stripe` 1.0.0 has no action `pay` in `production`",
        ),
        (
            record("production", &json!({ "trigger": "list" })),
            "trigger",
            "`stripe` 1.0.0 has no trigger `list` in `production`",
        ),
    ] {
        let (status, body) = running.report(&with(other));
        let expected = json!([{ "at": format!("/records/1/{at}"), "message": message }]);
        assert_eq!((status, &body["problems"]), (400, &expected));
    }
    // In their order, each environment that is not there once.
    let wrong = |index: usize| match index % 2 {
        0 => record("nowhere", &json!({})),
        _ => record("production", &json!({ "version": "9.9.9" })),
    };
    let many = json!({ "records": (0..400).map(wrong).collect::<Vec<_>>() }).to_string();
    let (_, body) = running.report(&many);
    let problems = body["problems"].as_array().expect("a list");
    let places: Vec<&str> = problems.iter().filter_map(|one| one["at"].as_str()).collect();
    assert_eq!(
        (problems.len(), &places[..3]),
        (101, &["/records/0/environment", "/records/1/version", "/records/3/version"][..])
    );
    assert_eq!(problems[0]["message"], "no environment is called `nowhere`; 199 more records say so");
    assert_eq!(problems[100]["message"], "and 101 more");
    let large = format!("{{\"records\": [{}]}}", " ".repeat(1 << 20));
    for (kind, body, status, error) in [
        ("application/json", "{", 400, "the report is refused whole"),
        ("text/plain", &*good.to_string(), 415, "Content-Type: application/json"),
        ("application/json; charset=utf-8", "[]", 400, "the report is refused whole"),
        ("application/json", &*large, 413, "the body is larger than 1048576 bytes"),
    ] {
        let (got, _, answer) = running.send("POST /api/v1/usage", &[&format!("content-type: {kind}")], body);
        let told = answer["error"].as_str().unwrap_or_default();
        assert!(got == status && told.contains(error), "{kind}: {got} {answer}");
    }
    assert_eq!(counted("production"), before);
    assert_eq!(running.report("{\"records\": []}"), (200, json!({ "recorded": 0 })));
}

#[test]
fn a_token_opens_the_api_and_without_one_it_is_for_this_machine() {
    let checkout = Checkout::new();
    let path = format!("GET {STRIPE}?key=a");
    let open = Running::start(&checkout, &["--listen", "127.0.0.1:0"]);
    assert_eq!(open.send(&path, &[], "").0, 200);
    let (status, _, body) = open.send(&path, &["host: rebound.example"], "");
    assert!(status == 403 && body["error"].as_str().is_some_and(|text| text.contains("localhost")), "{body}");
    drop(open);

    let wide = Running::start(&checkout, &["--listen", "0.0.0.0:0"]);
    let (status, _, body) = wide.send(&path, &[], "");
    let told = body["error"].as_str().unwrap_or_default();
    assert!(
        status == 403 && told.contains("--api-token-file FILE") && told.contains("api.tokenSecret"),
        "{body}"
    );
    assert_eq!(wide.send("GET /metrics", &[], "").0, 200);
    drop(wide);

    checkout.write("token", &format!("{TOKEN}\n"));
    let closed = Running::start(&checkout, &["--listen", "0.0.0.0:0", "--api-token-file", "token"]);
    let (status, head, body) = closed.send(&path, &[], "");
    assert!(status == 401 && head.contains("www-authenticate: bearer"), "{head}");
    assert!(!body.to_string().contains(TOKEN));
    assert_eq!(closed.send(&path, &["authorization: Bearer a-token-to-be-kept-012345678X"], "").0, 401);
    assert_eq!(closed.send("GET /api/v1/nothing", &[], "").0, 401, "who is not let in learns nothing");
    let shown = format!("authorization: Bearer {TOKEN}");
    assert_eq!(closed.send(&path, &[&shown, "host: sower.sower.svc:8400"], "").0, 200);
    drop(closed);

    checkout.write("token", "short\n");
    let refused = checkout.run("run --standalone --listen 127.0.0.1:0 --api-token-file token");
    assert_eq!(refused.exit, 1, "{}", refused.err);
    assert!(refused.err.contains("the token of the API, token: it holds no token"), "{}", refused.err);
}
