//! Sources and databases that do not answer, or hold nothing.

use insta::assert_snapshot;

use crate::checkout::{Checkout, environment};

#[test]
fn a_source_that_cannot_be_read_prunes_nothing() {
    let checkout = Checkout::new();
    checkout.run("seed -e staging");
    checkout.write("elsewhere/README.md", "Nothing here.\n");
    assert_snapshot!(checkout.transcripts(&[
        "seed -e staging --source .#nope",
        "seed -e staging --source elsewhere",
        "seed -e staging --source nowhere",
        "plan -e staging --source elsewhere",
        "seed -e staging",
    ]), @r"
    $ sower seed -e staging --source .#nope
    (2) from: files (sower.toml) · .#nope · sqlite://.sower/sower.db
    (2) error: branch or tag `nope` not found in /CHECKOUT. Nothing was pruned.
    (2)   which there are:  git ls-remote /CHECKOUT
    exit 1
    $ sower seed -e staging --source elsewhere
    (2) from: files (sower.toml) · elsewhere · sqlite://.sower/sower.db
    (2) error: default at main@COMMIT7 holds no manifest. Nothing was pruned.
    (2)   its manifests are looked for below the source's `path`, `integrations` where no source is named
    exit 1
    $ sower seed -e staging --source nowhere
    (2) from: files (sower.toml) · nowhere · sqlite://.sower/sower.db
    (2) error: there is no folder /CHECKOUT/nowhere. Nothing was pruned.
    (2)   name one:  the source's `folder`, or --source DIR
    exit 1
    $ sower plan -e staging --source elsewhere
    (2) from: files (sower.toml) · elsewhere at main@COMMIT7 · sqlite://.sower/sower.db
    (2) error: default at main@COMMIT7 holds no manifest. Nothing would be pruned.
    (2)   its manifests are looked for below the source's `path`, `integrations` where no source is named
    exit 1
    $ sower seed -e staging
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    Nothing to do: staging is at main@COMMIT7 (3 unchanged)
    exit 0
    ");
}

#[test]
fn a_plan_of_an_empty_source_fails_as_its_seeding_would() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    checkout.remove("integrations");
    assert_snapshot!(checkout.transcripts(&["plan"]), @r"
    $ sower plan
    (2) from: files (sower.toml) · . at main@COMMIT7-dirty, .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) error: default at main@COMMIT7-dirty holds no manifest. Nothing would be pruned.
    (2)   its manifests are looked for below the source's `path`, `integrations` where no source is named
    ENVIRONMENT   PLAN           CHANGED    CONFLICTS   GUARD
    development   -              -          -           failed
    production    PLANPLANPLAN   +0 ~0 -0   0           -
    staging       PLANPLANPLAN   +0 ~0 -0   0           -
    exit 1
    ");
    let plan = checkout.json("plan -e development -o json");
    assert_eq!(plan["errors"][0]["code"], "SourceEmpty");
    let message = plan["errors"][0]["message"].as_str().expect("a message");
    assert!(message.ends_with("holds no manifest. Nothing would be pruned."), "{message}");
}

#[test]
fn asking_of_several_environments_names_each_source() {
    let checkout = Checkout::new();
    let settings = std::fs::read_to_string(checkout.path().join("sower.toml")).expect("settings");
    checkout.write("sower.toml", &format!("{settings}database     = \"sqlite://.sower/development.db\"\n"));
    checkout.integration("slack", "1.0.5", "Better");
    for command in ["plan", "explain slack"] {
        let text = checkout.transcript(command);
        let from = text.lines().nth(1).expect("a line");
        assert_eq!(
            from,
            "(2) from: files (sower.toml) · . at main@COMMIT7-dirty, .#HEAD at main@COMMIT7 · \
             sqlite:///CHECKOUT/.sower/development.db, sqlite://.sower/sower.db",
            "{text}"
        );
    }
}

#[test]
fn rejected_credentials_name_the_host() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            refuse(stream);
        }
    });
    let checkout = Checkout::new();
    let text = checkout
        .transcript(&format!("seed -e staging --source http://user:s3cret@{address}/catalog.git#main"));
    assert_snapshot!(text.replace(&address.port().to_string(), "PORT"), @r"
    $ sower seed -e staging --source http://user:s3cret@127.0.0.1:PORT/catalog.git#main
    (2) from: files (sower.toml) · http://127.0.0.1:PORT/catalog.git#main · sqlite://.sower/sower.db
    (2) error: 127.0.0.1 rejected the credentials of staging. Nothing was pruned.
    (2)   with https:  git credential approve, or whatever helper git uses for that host
    (2)   with ssh:    ssh-add
    exit 1
    ");
}

#[test]
fn a_secret_that_is_rejected_is_named() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            refuse(stream);
        }
    });
    let checkout = Checkout::new();
    let git =
        format!("{{ url: \"http://{address}/a.git\", ref: {{ branch: main }}, secretRef: {{ name: g }} }}");
    let sources = format!("  sources:\n  - name: catalog\n    path: integrations\n    git: {git}\n");
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: { name: g }\nstringData: { username: u, password: s3cret }\n";
    checkout.write("sower.toml", "");
    checkout.write("environments/qa.yaml", &(environment("qa", "stripe", &sources) + secret));
    let told = "error: 127.0.0.1 rejected the credentials of qa (secret g). Nothing was pruned.\n  \
                renew them:  the Secret `g` in environments/qa.yaml, then sower seed -e qa\n";
    for command in ["seed -e qa", "plan -e qa"] {
        let ran = checkout.run(command);
        assert!(ran.exit == 1 && ran.err.ends_with(told), "{command}: {}", ran.err);
    }
    // A first seeding that failed is no environment that nobody seeded.
    let status = checkout.json("status -e qa -o json");
    assert_eq!((&status["ready"], &status["reason"]), (&"False".into(), &"AuthenticationFailed".into()));
}

/// Answers one request with 401.
fn refuse(mut stream: std::net::TcpStream) {
    use std::io::{Read as _, Write as _};
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        let answer =
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"git\"\r\ncontent-length: 0\r\n\r\n";
        if read == 0 || stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    let checkout = Checkout::new();
    let database = "--database postgres://sower:s3cret@127.0.0.1:1/catalog";
    let text = checkout
        .transcripts(&[&format!("seed -e production {database}"), &format!("plan -e production {database}")]);
    let (_, told) = text.split_once('\n').expect("an answer");
    assert!(!told.replace(database, "").contains("s3cret"), "{text}");
    assert_snapshot!(text.replace(database, "--database URL"), @r"
    $ sower seed -e production --database URL
    (2) from: files (sower.toml) · .#HEAD · postgres://sower@127.0.0.1:1/catalog
    (2) error: the database does not answer: postgres://sower@127.0.0.1:1/catalog: connection refused (3 tries in TOOK). Nothing was written.
    (2)   check it:  sower doctor --database postgres://sower@127.0.0.1:1/catalog
    exit 1
    $ sower plan -e production --database URL
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · postgres://sower@127.0.0.1:1/catalog
    (2) error: the database does not answer: postgres://sower@127.0.0.1:1/catalog: connection refused (3 tries in TOOK). Nothing was written.
    (2)   check it:  sower doctor --database postgres://sower@127.0.0.1:1/catalog
    exit 1
    ");
}

#[test]
fn a_flag_that_leads_nowhere_is_no_trouble_of_the_environment() {
    let checkout = Checkout::new();
    checkout.run("seed -e staging");
    assert_eq!(checkout.run("seed -e staging --source nowhere").exit, 1);
    assert_eq!(checkout.json("status -e staging -o json")["ready"], "True");
    checkout.write("sower.toml", "source = \"nowhere\"\n");
    assert_eq!(checkout.run("seed -e staging").exit, 1);
    assert_eq!(checkout.json("status -e staging -o json")["reason"], "SourceNotFound");
}

#[test]
fn a_first_seeding_that_fails_is_noted() {
    let checkout = Checkout::new();
    checkout.write("sower.toml", "source = \".#nope\"\n");
    assert_eq!(checkout.run("seed -e staging").exit, 1);
    let status = checkout.json("status -e staging -o json");
    assert_eq!((&status["ready"], &status["reason"]), (&"False".into(), &"SourceNotFound".into()));
    // Nobody's it is still: whoever seeds it first keeps it.
    checkout.write("sower.toml", "source = \".#main\"\n");
    assert_eq!(checkout.run("seed -e staging").exit, 0);
    assert_eq!(checkout.json("status -e staging -o json")["ready"], "True");
}

#[test]
fn a_bare_repository_is_no_edited_checkout() {
    let checkout = Checkout::new();
    let bare = checkout.path().join("bare.git");
    let cloned = std::process::Command::new("git")
        .args(["clone", "--quiet", "--bare", "."])
        .arg(&bare)
        .current_dir(checkout.path())
        .status();
    assert!(cloned.expect("git runs").success());
    assert_snapshot!(
        checkout.transcripts(&["seed -e staging --source bare.git", "seed -e staging --source bare.git#main"]),
        @r"
    $ sower seed -e staging --source bare.git
    (2) from: files (sower.toml) · bare.git · sqlite://.sower/sower.db
    (2) error: /CHECKOUT/bare.git is a bare repository, which has no files; a commit of it is /CHECKOUT/bare.git#main. Nothing was written.
    exit 1
    $ sower seed -e staging --source bare.git#main
    (2) from: files (sower.toml) · bare.git#main at main@COMMIT7 · sqlite://.sower/sower.db
    + monday 1.0.0
    + stripe 1.0.0
    + wordpress 1.0.0
    Seeded staging at main@COMMIT7 (seeding 1): 3 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    exit 0
    ");
}
