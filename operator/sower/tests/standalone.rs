//! `sower run --standalone` as a user meets it: the built binary on a checkout, edits and commits.

mod checkout;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use checkout::{Checkout, environment, manifest, masked};
use insta::assert_snapshot;

/// How long anything may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running Sower; ended with its value.
struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Starts it and waits until it watches.
    fn start(checkout: &Checkout, arguments: &[&str]) -> Self {
        let mut running = Self::spawn(checkout, arguments);
        running.until("Stop: Ctrl-C");
        running
    }

    fn spawn(checkout: &Checkout, arguments: &[&str]) -> Self {
        let mut command = checkout.sower();
        command.args(["run", "--standalone"]).args(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let (tell, lines) = channel();
        std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds `wanted`; how long that took.
    fn until(&mut self, wanted: &str) -> Duration {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line holds `{wanted}`:\n{}", self.seen.join("\n"));
            };
            let found = line.contains(wanted);
            self.seen.push(line);
            if found {
                return started.elapsed();
            }
        }
    }

    /// Waits for lines that end so, in any order.
    fn until_all(&mut self, ends: &[&str]) {
        let mut missing: Vec<&str> = ends.to_vec();
        while !missing.is_empty() {
            self.until("");
            let line = self.seen.last().map(String::as_str).unwrap_or_default();
            missing.retain(|end| !line.ends_with(end));
        }
    }

    /// Waits for lines that hold these, in any order.
    fn until_all_holding(&mut self, parts: &[&str]) {
        let mut missing: Vec<&str> = parts.to_vec();
        while !missing.is_empty() {
            self.until("");
            let line = self.seen.last().map(String::as_str).unwrap_or_default();
            missing.retain(|part| !line.contains(part));
        }
    }

    /// Asks it to end; everything it said, figures and the clock masked.
    fn end(mut self, signal: &str) -> String {
        let sent =
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0), "{}", self.seen.join("\n"));
        let told = self.seen.iter().map(|line| without_clock(line)).collect::<Vec<_>>().join("\n");
        masked(&told)
    }

    fn address(&self) -> String {
        let line = self.seen.iter().find(|line| line.contains("http://")).expect("it says where it listens");
        let (_, rest) = line.split_once("http://").expect("an address");
        rest.split_whitespace().next().expect("an address").to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `14:07:31  development` becomes `CLOCK  development`, and a port is no news.
fn without_clock(line: &str) -> String {
    let clock = line.len() > 10
        && line.is_char_boundary(8)
        && line[..8].split(':').count() == 3
        && line[8..].starts_with("  ");
    let line = if clock { format!("CLOCK{}", &line[8..]) } else { line.to_owned() };
    match line.split_once("127.0.0.1:") {
        Some((before, after)) => {
            format!("{before}127.0.0.1:PORT{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => line,
    }
}

fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

const TEXT: [&str; 4] = ["--log-format", "text", "--listen", "127.0.0.1:0"];

#[test]
fn an_edit_reaches_development_and_a_commit_all_three() {
    let checkout = Checkout::new();
    let mut running = Running::start(&checkout, &TEXT);
    let address = running.address();
    assert!(ask(&address, "/readyz").starts_with("HTTP/1.1 200"));

    checkout.integration("slack", "1.0.0", "Edited");
    running.until("(same version: override)");
    checkout.integration("slack", "v2.1", "Edited");
    running.until("bad-version");
    checkout.integration("slack", "1.0.1", "Edited");
    running.until("slack 1.0.1");
    checkout.commit("slack: edited");
    running.until_all(&["=4", "=3", "=2"]);
    let metrics = ask(&address, "/metrics");
    assert!(
        metrics.contains(
            "sower_reconciles_total{namespace=\"\",environment=\"production\",result=\"completed\"} 1"
        ),
        "{metrics}"
    );
    let waits = "sower_promotions_waiting{namespace=\"\",environment=\"production\"} 0";
    assert!(metrics.contains(waits), "{metrics}");
    let told = running.end("-INT");
    let (first, then) = told.split_once("CLOCK").expect("lines");
    assert_snapshot!(first.trim_end(), @r"
    from: files (sower.toml) · sqlite://.sower/sower.db (new)
    ENVIRONMENT   REVISION       INTEGRATIONS   CHANGED    CONFLICTS   PROBLEMS   TOOK
    development   main@COMMIT7   4              +4 ~0 -0   0           0          TOOK
    production    main@COMMIT7   2              +2 ~0 -0   0           0          TOOK
    staging       main@COMMIT7   3              +3 ~0 -0   0           0          TOOK

    Watching. An edit under integrations/ reaches development, a commit all three.
    Health and metrics: http://127.0.0.1:PORT · Stop: Ctrl-C

    In a second terminal, in this folder:
      sower get integrations                what each environment holds
      sower explain slack                   why production has no slack
      edit integrations/slack/integration.yaml and watch this terminal
    ");
    let mut then: Vec<String> = format!("CLOCK{then}").lines().map(str::to_owned).collect();
    // After a commit the environments are seeded side by side.
    let commits = then.iter().position(|line| line.contains("  =")).expect("a commit");
    let end = then.len() - 1;
    then[commits..end].sort();
    assert_snapshot!(then.join("\n"), @r"
    CLOCK  development  main@COMMIT7-dirty  ~1  slack 1.0.0: description (same version: override)   TOOK
    CLOCK  development  main@COMMIT7-dirty  slack keeps its rows: integrations/slack/integration.yaml:6:12 bad-version
    CLOCK  development  main@COMMIT7-dirty  ~1  slack 1.0.1                                         TOOK
    CLOCK  development  main@COMMIT7        =4
    CLOCK  production   main@COMMIT7        =2
    CLOCK  staging      main@COMMIT7        =3
    Stopped. Nothing was being written. `sower run --standalone` goes on from here.
    ");

    let again = Running::start(&checkout, &TEXT).end("-TERM");
    assert_snapshot!(again, @r"
    from: files (sower.toml) · sqlite://.sower/sower.db
    ENVIRONMENT   REVISION       INTEGRATIONS   CHANGED    CONFLICTS   PROBLEMS   TOOK
    development   main@COMMIT7   4              +0 ~0 -0   0           0          TOOK
    production    main@COMMIT7   2              +0 ~0 -0   0           0          TOOK
    staging       main@COMMIT7   3              +0 ~0 -0   0           0          TOOK

    Watching. An edit under integrations/ reaches development, a commit all three.
    Health and metrics: http://127.0.0.1:PORT · Stop: Ctrl-C

    In a second terminal, in this folder:
      sower get integrations                what each environment holds
      sower explain slack                   why production has no slack
      edit integrations/slack/integration.yaml and watch this terminal

    Stopped. Nothing was being written. `sower run --standalone` goes on from here.
    ");
}

#[test]
fn elsewhere_than_on_a_terminal_the_log_is_json() {
    let checkout = Checkout::new();
    let mut running = Running::spawn(&checkout, &["--listen", "127.0.0.1:0"]);
    running.until("\"message\":\"watching\"");
    checkout.integration("slack", "1.0.1", "Edited");
    running.until("development-2");
    let lines: Vec<serde_json::Value> =
        running.seen.iter().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    let last = lines.last().expect("a line");
    assert_eq!(
        (&last["environment"], &last["updated"], &last["level"]),
        (&"development".into(), &1.into(), &"INFO".into())
    );
    assert_eq!(last["message"], "slack 1.0.1: description");
    assert!(running.end("-TERM").contains("stopped"));
}

#[test]
fn environments_come_break_and_go() {
    let checkout = Checkout::new();
    let mut running = Running::start(&checkout, &TEXT);
    checkout.write("environments/qa.yaml", &environment("qa", "stripe", ""));
    running.until("qa           main");
    checkout.write("environments/qa.yaml", &environment("qa", "stripe, slack", ""));
    running.until("slack 1.0.0");
    checkout.write("environments/qa.yaml", &environment("qa", "slack", "  pruneLimits: 3\n"));
    running.until("= help: did you mean `pruneLimit`?");
    checkout.write("environments/qa.yaml", &environment("qa", "slack", "  suspend: true\n"));
    running.until("qa is suspended");
    checkout.remove("environments/qa.yaml");
    running.until("its rows stay");
    let told = running.end("-INT");
    let (_, then) = told.split_once("CLOCK").expect("lines");
    assert_snapshot!(format!("CLOCK{then}"), @r"
    CLOCK  qa           main@COMMIT7        +1  stripe 1.0.0   TOOK
    CLOCK  qa           main@COMMIT7        +1  slack 1.0.0    TOOK
    error[unknown-field]: the environment has no field `pruneLimits`
     --> environments/qa.yaml:6:3
      |
    6 |   pruneLimits: 3
      |   ^^^^^^^^^^^ unknown field
      |
      = help: did you mean `pruneLimit`?

    CLOCK  qa           main@COMMIT7        refused: qa is suspended (spec.suspend in environments/qa.yaml:6)
    CLOCK  qa                               no longer in environments/qa.yaml: its rows stay
    Stopped. Nothing was being written. `sower run --standalone` goes on from here.
    ");
}

#[test]
fn a_version_goes_back_while_nothing_can_be_seeded() {
    let checkout = Checkout::new();
    let rollout = "  rollout:\n    default:\n      type: Staged\n      steps: [{ weight: 10, hold: 1h }]\n      \
                   analysis: { interval: 1s, minimumSample: 20, successRate: { min: 0.9 } }\n";
    checkout.write("environments/production.yaml", &environment("production", "stripe", rollout));
    checkout.write("sower.toml", "[environment.staging]\nsource = \".\"\n");
    let mut running = Running::start(&checkout, &TEXT);
    let better = manifest("stripe", "1.1.0", "Better").replace("path: /things", "path: /better");
    checkout.write("integrations/stripe/integration.yaml", &better);
    running.until("stripe 1.0.0 -> 1.1.0: step 1 of 2, 10% of consumers");
    let source = "  sources: [{ name: resources, cluster: {} }]\n";
    checkout.write("environments/production.yaml", &environment("production", "stripe", source));
    running.until("source `resources` of production lists resources of a cluster");
    let counted =
        checkout.run("usage record stripe -e production --version 1.1.0 --executions 100 --errors 40 -q");
    assert_eq!(counted.exit, 0, "{}", counted.err);
    running.until("stripe 1.1.0 rolled back, everyone has 1.0.0: success rate 60.00%");
}

#[test]
fn one_environment_that_fails_does_not_stop_the_others() {
    let checkout = Checkout::new();
    let source = "  sources:\n  - { name: away, path: integrations, git: { url: \"http://127.0.0.1:1/catalog.git\" } }\n";
    checkout.write("environments/production.yaml", &environment("production", "stripe", source));
    checkout.write(
        "sower.toml",
        "[environment.development]\nsource = \".\"\n[environment.staging]\nsource = \".\"\n",
    );
    let mut running = Running::start(&checkout, &TEXT);
    checkout.write("integrations/stripe/integration.yaml", &manifest("stripe", "1.1.0", "Better"));
    running.until("development  main");
    assert_snapshot!(running.end("-INT").lines().take(8).collect::<Vec<_>>().join("\n"), @r"
    from: files (sower.toml) · sqlite://.sower/sower.db (new)
    ENVIRONMENT   REVISION       INTEGRATIONS   CHANGED    CONFLICTS   PROBLEMS   TOOK
    development   main@COMMIT7   4              +4 ~0 -0   0           0          TOOK
    production    -              0              -          -           -          -
    staging       main@COMMIT7   3              +3 ~0 -0   0           0          TOOK
    CLOCK  production                       error: 127.0.0.1 does not answer: failed to connect to 127.0.0.1:PORT Connection refused

    Watching. An edit under integrations/ reaches development and staging.
    ");
}

#[test]
fn a_taken_port_gives_the_next() {
    let checkout = Checkout::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let wished = format!("127.0.0.1:{port}");
    let running = Running::start(&checkout, &["--log-format", "text", "--listen", &wished]);
    assert_ne!(running.address(), wished);
    assert!(ask(&running.address(), "/healthz").starts_with("HTTP/1.1 200"));
}

/// SQLite tells nobody: it is looked at on the interval.
#[test]
fn drift_is_told_and_corrected() {
    let checkout = Checkout::new();
    let drift = "  drift: { interval: 10s }\n";
    checkout.write("environments/production.yaml", &environment("production", "stripe", drift));
    let correct = "  drift: { mode: Correct, interval: 10s }\n";
    checkout.write("environments/staging.yaml", &environment("staging", "stripe", correct));
    let mut running = Running::start(&checkout, &TEXT);
    checkout.sql("UPDATE action_registry SET name = 'By hand' WHERE id = 'stripe/list'");
    running.until_all_holding(&[
        "drift: 1 changed row since seeding 1: stripe",
        "stripe 1.0.0: as it was seeded",
    ]);
    checkout.sql(
        "UPDATE action_registry SET name = 'List' WHERE id = 'stripe/list' AND environment = 'production'",
    );
    running.until("no drift any more");
    running.end("-INT");
    assert_eq!(checkout.json("drift -e staging -o json")["changed"], 0);
}

#[test]
fn a_plan_waits_for_a_word_from_a_second_terminal() {
    let checkout = Checkout::new();
    let mut running = Running::start(&checkout, &TEXT);
    checkout.write(
        "environments/production.yaml",
        &environment("production", "stripe, wordpress", "  approval: Manual\n"),
    );
    checkout.integration("stripe", "1.1.0", "Better");
    checkout.commit("stripe: better");
    running.until("waits for an approval: +0 ~1 -0");
    let plan = checkout.json("plan -e production -o json -q");
    let applied = checkout.run(&format!("apply {} -e production", plan["hash"].as_str().expect("a hash")));
    assert_eq!(applied.exit, 0, "{}", applied.err);
    // Nothing is left to be said of it, and the next commit waits again.
    checkout.integration("stripe", "1.2.0", "Better still");
    checkout.commit("stripe: better still");
    running.until("waits for an approval: +0 ~1 -0");
    running.end("-INT");
    let rows = checkout.json("get integration stripe -e production -o json -q");
    assert_eq!(rows[0]["version"], "1.1.0", "{rows}");
}
