//! The rules of the command line: streams, exit statuses, formats, where settings come from.

use std::io::Read as _;
use std::process::Stdio;

use crate::kit::{Checkout, command, run};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn standard_output_is_the_result_alone() {
    let checkout = Checkout::new();
    assert_eq!(checkout.sower("seed --all -q").code, 0);
    let ran = checkout.sower("get integrations -o json");
    assert!(ran.err.starts_with("from: files (sower.toml) · sqlite://.sower/sower.db"), "{}", ran.err);
    let all = json(&ran.out);
    assert_eq!(all.as_array().map(Vec::len), Some(9));
    assert_eq!(checkout.sower("get integrations -o json -q").err, "");

    let one = json(&checkout.sower("status -e production -q -o json").out);
    assert_eq!(one["environment"], "production");
    assert_eq!(one["ready"], "True");
    assert_eq!(one["seedings"][0]["seeding"], "production-1");
    assert!(json(&checkout.sower("status -q -o json").out).is_array());
    assert!(json(&checkout.sower("history -e production -q -o json").out).is_array());
    assert!(json(&checkout.sower("get integrations -e production -q -o json").out).is_array());
    assert!(json(&checkout.sower("explain slack -e production -q -o json").out).is_object());

    let whole = json(&checkout.sower("get integration stripe -e production -q -o json").out);
    assert_eq!(whole[0]["manifest"]["id"], "stripe");
    assert_eq!(whole[0]["path"], "integrations/stripe/integration.yaml");
    let yaml = checkout.sower("get intg stripe -e production -q -o yaml").out;
    assert!(yaml.contains("id: stripe"), "{yaml}");
}

#[test]
fn fields_stand_in_the_order_people_read_them() {
    let checkout = Checkout::new();
    assert_eq!(checkout.sower("seed -e production -q").code, 0);
    let out = checkout.sower("history -e production -q -o json").out;
    let fields: Vec<&str> =
        out.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    let first = ["seeding", "revision", "status", "completedAt", "created", "updated", "deleted", "reason"];
    assert_eq!(fields[..first.len()], first);
    let only = &json(&out)[0];
    assert!(
        only["revision"]
            .as_str()
            .is_some_and(|revision| revision.starts_with("main@sha1:") && revision.len() == 50)
    );
}

#[test]
fn asking_makes_nothing() {
    let checkout = Checkout::new();
    for words in [
        "get integrations",
        "status",
        "history",
        "get conflicts",
        "explain slack",
        "diff staging production",
        "doctor",
    ] {
        assert_eq!(checkout.sower(words).code, 0, "{words}");
    }
    assert!(!checkout.path().join(".sower/sower.db").exists());
}

#[test]
fn validate_takes_files_and_folders() {
    let checkout = Checkout::new();
    checkout.edit(
        "environments/staging.yaml",
        "seedingStrategy: incremental",
        "seedingStrategie: incremental",
    );
    let ran = checkout.sower("validate");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("environments/staging.yaml:8:3"), "{}", ran.out);
    assert!(ran.err.contains("in 1 of 3 environments; 4 integrations are fine"), "{}", ran.err);
    let ran = checkout.sower("validate environments/staging.yaml -o concise");
    assert_eq!((ran.code, ran.out.lines().count()), (1, 1));
    assert_eq!(checkout.sower("validate environments/production.yaml").code, 0);
    assert_eq!(checkout.sower("validate nowhere.yaml").code, 2);

    // A file that is named is a manifest, whatever it is called.
    checkout.write("notes.yaml", "name: Notes\n");
    assert_eq!(checkout.sower("validate integrations").code, 0);
    assert_eq!(checkout.sower("validate notes.yaml").code, 1);
}

#[test]
fn validate_reads_schemas_of_the_whole_repository() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    let action = "{ id: go, name: Go, request: { method: GET, path: /go }, outputSchema: { $ref: ../../schemas/made.json } }";
    let text = format!(
        "id: acme\nname: Acme\nversion: v1\nbaseUrl: https://acme.example.com\nactions: [{action}]\n"
    );
    write("integrations/acme/integration.yaml", &text);
    write("schemas/made.json", "{ \"type\": \"object\" }");
    let validate = |at: &str, words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sower"));
        let ran = command.current_dir(folder.path().join(at)).arg("validate").args(words).output();
        String::from_utf8(ran.expect("runs").stdout).expect("text")
    };
    assert!(
        validate("", &["integrations", "-o", "concise"]).contains("path-escape"),
        "no repository holds it"
    );
    let made =
        std::process::Command::new("git").args(["init", "--quiet"]).current_dir(folder.path()).status();
    assert!(made.expect("git runs").success());
    for (at, words, path) in [
        ("", "integrations", "integrations/acme/integration.yaml:"),
        ("integrations", "acme", "acme/integration.yaml:"),
        ("integrations/acme", "integration.yaml", "integration.yaml:"),
    ] {
        let out = validate(at, &[words, "-o", "concise"]);
        assert!(!out.contains("path-escape") && out.starts_with(path), "{at}: {out}");
    }
}

#[test]
fn warnings_fail_where_that_is_asked() {
    let checkout = Checkout::new();
    checkout.edit("integrations/slack/integration.yaml", "\n  license:", "\n  # license:");
    let ran = checkout.sower("validate");
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.contains("warning[no-license]"), "{}", ran.out);
    assert_eq!(checkout.sower("validate --strict").code, 1);
    let document = json(&checkout.sower("validate -o json").out);
    assert_eq!(document["errors"], Value::Array(Vec::new()));
    assert_eq!(document["warnings"][0]["code"], "no-license");
    assert_eq!(document["integrations"], 4);
    let sarif = json(&checkout.sower("validate -o sarif").out);
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "no-license");
}

#[test]
fn a_manifest_that_was_emptied_is_told_by_validate_too() {
    let checkout = Checkout::new();
    checkout.write("integrations/slack/integration.yaml", "# nothing\n");
    checkout
        .write("integrations/package/manifest.json", "{\"kind\": \"App\", \"apiVersion\": \"apps/v1\"}\n");
    let ran = checkout.sower("validate -o concise");
    let told = "integrations/slack/integration.yaml:1:1: warning[syntax]: \
                the file is named as a manifest and holds none\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, told));
    let ran = checkout.sower("validate");
    assert!(ran.out.contains("delete the file to delete the integration"), "{}", ran.out);
    assert!(ran.err.starts_with("1 warning in 1 of 4 integrations; 3 environments are fine"), "{}", ran.err);
    assert_eq!(checkout.sower("validate --strict -q").code, 1);

    // A file that is named is a manifest, so its name does not matter.
    checkout.write("notes.yaml", "");
    assert_eq!(checkout.sower("validate notes.yaml -o concise").out.lines().count(), 1);
    assert_eq!(checkout.sower("validate integrations/slack/integration.yaml --strict -q").code, 1);
}

#[test]
fn a_setting_comes_from_flag_then_variable_then_file() {
    let checkout = Checkout::new();
    let from =
        |words: &str, variables: &[(&str, &str)]| checkout.sower_in("environments", words, variables).err;
    assert!(from("get intg", &[]).contains("sqlite://.sower/sower.db"));
    let variable = [("SOWER_DATABASE_URL", "sqlite://of-the-variable.db")];
    assert!(from("get intg", &variable).contains("sqlite://of-the-variable.db"));
    assert!(
        from("get intg --database sqlite://of-the-flag.db", &variable).contains("sqlite://of-the-flag.db")
    );
    let from = checkout.sower("explain slack -e development").err;
    assert!(from.contains(" · . at main@"), "{from}");
    let from = checkout.sower("explain slack -e development --source .#main").err;
    assert!(from.contains(" · .#main at main@"), "{from}");
}

#[test]
fn colour_only_helps() {
    let checkout = Checkout::new();
    checkout.edit("integrations/slack/integration.yaml", "version: 1.0.0", "version: v1");
    let coloured = |words: &str, variables: &[(&str, &str)]| {
        checkout.sower_in("", words, variables).out.contains('\u{1b}')
    };
    assert!(!coloured("validate", &[]));
    assert!(coloured("validate --color always", &[]));
    assert!(coloured("validate", &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured("validate", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!coloured("validate -o concise --color always", &[]));
}

#[test]
fn a_closed_pipe_is_silent() {
    let checkout = Checkout::new();
    let mut child = command(checkout.path(), "generate docs")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sower runs");
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
    assert!(child.wait().expect("an end").success());
    assert_eq!(err, "");
}

#[test]
fn a_closed_pipe_hides_no_failure() {
    let checkout = Checkout::new();
    checkout.edit("integrations/slack/integration.yaml", "version: 1.0.0", "version: v1");
    let mut child =
        command(checkout.path(), "validate -q").stdout(Stdio::piped()).spawn().expect("sower runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("an end").code(), Some(1));
}

#[test]
fn an_interrupted_command_says_so() {
    let checkout = Checkout::new();
    // A database that takes connections and never says a word.
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("an address").port();
    let mut child = command(checkout.path(), &format!("status --database postgres://u@127.0.0.1:{port}/d"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sower runs");
    let _connection = server.accept().expect("it asks");
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill").success());
    assert_eq!(child.wait().expect("an end").code(), Some(130));
}

#[test]
fn one_database_that_is_down_hides_no_other() {
    let checkout = Checkout::new();
    assert_eq!(checkout.sower("seed --all -q").code, 0);
    let down = "\n[environment.staging]\ndatabase = \"postgres://u@127.0.0.1:1/d\"\n";
    let settings = std::fs::read_to_string(checkout.path().join("sower.toml")).expect("settings");
    checkout.write("sower.toml", &(settings + down));
    let ran = checkout.sower("get integrations");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("stripe      1.0.0         1.0.0        ?"), "{}", ran.out);
    assert!(
        ran.err.contains("error: the database does not answer: postgres://u@127.0.0.1:1/d"),
        "{}",
        ran.err
    );
}

#[test]
fn programs_are_given_a_document_on_failure_too() {
    let checkout = Checkout::new();
    let ran = checkout.sower("history -o json --database postgres://u@127.0.0.1:1/d");
    assert_eq!(ran.code, 1);
    let error = json(&ran.out)[0]["errors"][0].clone();
    let message = error["message"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(message.starts_with("the database does not answer: postgres://u@127.0.0.1:1/d"), "{message}");
    assert!(ran.err.contains(&message), "{}", ran.err);
    assert_eq!(error["code"], "DatabaseUnavailable");
    let down = "-o json --database postgres://u@127.0.0.1:1/d";
    for (words, named) in [("status -e staging", true), ("status", false), ("get intg -e staging", false)] {
        let document = json(&checkout.sower(&format!("{words} {down}")).out);
        let document = if named { &document } else { &document[0] };
        assert_eq!(document["errors"][0]["code"], "DatabaseUnavailable", "{words}: {document}");
    }
    for words in ["plan", "seed --all"] {
        let ran = checkout.sower(&format!("{words} {down}"));
        let told = "error: development, production, staging: the database does not answer: ";
        assert!(ran.err.matches("error: ").count() == 1 && ran.err.contains(told), "{words}: {}", ran.err);
        let document = json(&ran.out);
        let codes: Vec<&Value> =
            document.as_array().into_iter().flatten().map(|one| &one["errors"][0]["code"]).collect();
        assert_eq!(codes, ["DatabaseUnavailable"; 3], "{words}: {document}");
    }
}

#[test]
fn programs_are_given_a_document_where_the_words_are_off_too() {
    let checkout = Checkout::new();
    for (words, named) in [
        ("seed -o json", false),
        ("seed -e nope -o json", true),
        ("plan -e nope -o json", true),
        ("plan --nope -o json", false),
        ("history -e nope -o json", false),
        ("get bogus -o json", false),
        ("get bogus --output=json", false),
        ("status -ojson --limit", false),
        ("explain -e staging -o json", true),
        ("rule bogus -o json", true),
        ("rule bad-version --nope -o json", true),
        ("validate /nonexist -o json", true),
        ("validate --nope -o json", true),
        ("bogus -o json", true),
        ("diff staging -o json", true),
    ] {
        let ran = checkout.sower(words);
        assert_eq!(ran.code, 2, "{words}: {}", ran.err);
        let document = json(&ran.out);
        assert_eq!(document.is_object(), named, "{words}: {document}");
        let error = if named { &document["errors"][0] } else { &document[0]["errors"][0] };
        let message = error["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty() && ran.err.contains(message), "{words}: {document}\n{}", ran.err);
        assert_eq!(error["code"], "Usage", "{words}");
    }
    let yaml = checkout.sower("get bogus -o yaml").out;
    assert!(yaml.starts_with("- errors:") && yaml.contains("code: Usage"), "{yaml}");
    for words in ["seed", "get bogus", "get intg -o xml", "rule bogus", "completion json -o json"] {
        assert_eq!(checkout.sower(words).out, "", "{words}");
    }
    assert_eq!(json(&checkout.sower("rule foreign-row -o json").out)["code"], "foreign-row");
}

#[test]
fn more_problems_than_are_noted_are_told_as_more() {
    let checkout = Checkout::new();
    let fields: String = (0..1_100).map(|n| format!("bogus{n}: 1\n")).collect();
    checkout.write("more/integration.yaml", &format!("id: more\nname: More\nversion: 1.0.0\n{fields}"));
    let ran = checkout.sower("validate more");
    assert!(ran.err.starts_with("at least 1000 errors"), "{}", ran.err);
    assert!(ran.err.contains(". Of one document no more are told. What one means: "), "{}", ran.err);
    assert_eq!(json(&checkout.sower("validate more -o json").out)["more"], true);
    assert_eq!(json(&checkout.sower("validate -o json").out)["more"], false);
}

#[test]
fn what_lies_beneath_is_said_when_asked() {
    let checkout = Checkout::new();
    assert_eq!(checkout.sower("get intg -q").err, "");
    let ran = checkout.sower_in("", "status -q", &[("SOWER_LOG", "trace")]);
    assert!(ran.code == 0 && !ran.err.is_empty(), "{}", ran.err);
}

#[test]
fn help_and_version_are_results() {
    let root = std::path::Path::new("/");
    for words in ["--version", "seed --help", "--help", "help", "help seed"] {
        let ran = run(root, words, &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words}");
        assert!(!ran.out.is_empty());
    }
    let ran = run(root, "rule bad-versoin", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("did you mean `bad-version`?"), "{}", ran.err);
}

#[test]
fn what_is_generated_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display();
    for (what, files) in [
        ("crds", vec!["environments.sower.dev.yaml", "integrations.sower.dev.yaml"]),
        ("schema", vec!["sower.schema.json"]),
        ("docs", vec!["cli.md", "environment.md", "manifest.md", "problems.md"]),
        ("man", vec!["sower.1", "sower-seed.1"]),
        ("migrations", vec!["postgres.sql"]),
    ] {
        let ran = run(folder.path(), &format!("generate {what} --dir {path}/{what} -q"), &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{what}");
        for file in files {
            let text = std::fs::read_to_string(folder.path().join(what).join(file)).expect("a file");
            assert!(text.len() > 200, "{file}: {text}");
        }
    }
    let stream = run(folder.path(), "generate crds", &[]).out;
    assert_eq!(stream.matches("kind: CustomResourceDefinition").count(), 2);
    assert_eq!(stream.lines().filter(|line| *line == "---").count(), 1);
}

#[test]
fn bash_completes_values() {
    let checkout = Checkout::new();
    let script = checkout.sower("completion bash").out;
    checkout.write("complete.bash", &script);
    for (words, cursor, expected) in [
        ("sower get integrations -e p", 4, "production"),
        ("sower explain wo", 2, "wordpress"),
        ("sower rule bad-ver", 2, "bad-version"),
        ("sower plan --only slack,st", 3, "slack,stripe"),
        ("sower hist", 1, "history"),
        ("sower seed --tak", 2, "--take-over"),
    ] {
        let ask = format!(
            "source ./complete.bash; COMP_WORDS=({words}); COMP_CWORD={cursor}; COMP_LINE='{words}'; COMP_POINT=${{#COMP_LINE}}; \
             function=$(complete -p sower | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             $function sower \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_sower"));
        let path = format!(
            "{}:{}",
            binary.parent().expect("a folder").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let output = std::process::Command::new("bash")
            .args(["--norc", "-c", &ask])
            .env("PATH", path)
            .current_dir(checkout.path())
            .output()
            .expect("bash");
        let out = String::from_utf8_lossy(&output.stdout);
        assert_eq!(out.trim(), expected, "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn where_no_environment_is_it_is_said_where_it_was_looked_for() {
    let checkout = Checkout::new();
    std::fs::remove_dir_all(checkout.path().join("environments")).expect("removed");
    checkout.write("environments/notes.yaml", "kind: ConfigMap\n");
    for words in ["seed --all", "seed", "plan", "plan -o json", "run --standalone --log-format text"] {
        let ran = checkout.sower(words);
        assert_eq!((ran.code, ran.out.is_empty()), (2, words != "plan -o json"), "{words}: {}", ran.err);
        let told = "error: no Environment in `environments` (sower.toml)\n  write one:  environments/development.yaml, \
                    a document of `kind: Environment` (docs/environment.md)\n  \
                    elsewhere:  --environments DIR|FILE names another place\n";
        assert!(ran.err.ends_with(told), "{words}: {}", ran.err);
    }
    for words in ["get env", "get intg", "get conflicts", "status", "history"] {
        let ran = checkout.sower(words);
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{words}: {}", ran.err);
        let told = "from: files (sower.toml)\nNo Environment in `environments` (sower.toml)\n  write one:  ";
        assert!(ran.err.starts_with(told), "{words}: {}", ran.err);
        assert_eq!(checkout.sower(&format!("{words} -q -o json")).out, "[]\n", "{words}");
    }
}

#[test]
fn an_address_that_is_none_is_a_matter_of_words() {
    let checkout = Checkout::new();
    for words in ["seed --all", "plan", "get integrations", "status", "history -e staging"] {
        let ran = checkout.sower(&format!("{words} --database foo"));
        assert!(
            ran.code == 2 && ran.err.starts_with("error: --database: the database URL"),
            "{words}: {}",
            ran.err
        );
        let ran = checkout.sower_in("", words, &[("SOWER_DATABASE_URL", "bogus")]);
        assert!(ran.code == 2 && ran.err.starts_with("error: SOWER_DATABASE_URL: "), "{words}: {}", ran.err);
    }
    for (flag, told) in [
        ("--database=", "error: --database: the database URL cannot be used: "),
        ("--source=", "error: --source names a folder or a URL, and it is empty\n"),
    ] {
        let ran = checkout.sower(&format!("plan {flag}"));
        assert!(ran.code == 2 && ran.err.starts_with(told), "{flag}: {}", ran.err);
    }
    checkout.write("sower.toml", "[environment.staging]\ndatabase = \"nothing\"\n");
    let ran = checkout.sower("status");
    assert!(
        ran.code == 2 && ran.err.starts_with("error: sower.toml, [environment.staging]: "),
        "{}",
        ran.err
    );
}

#[test]
fn settings_of_an_environment_that_is_not_there_are_told() {
    let checkout = Checkout::new();
    checkout.write("sower.toml", "source = \".\"\n[environment.stagin]\nsource = \".#HEAD\"\n");
    let told = "sower.toml: [environment.stagin] names no environment (development, production, staging)\n";
    for words in ["plan", "status", "seed --all", "get env"] {
        let ran = checkout.sower(words);
        assert_eq!(ran.err.matches(&format!("warning: {told}")).count(), 1, "{words}: {}", ran.err);
        assert_eq!(ran.code, 0, "{words}: {}", ran.err);
    }
    let ran = checkout.sower("doctor");
    assert!(ran.code == 1 && ran.out.contains("[environment.stagin] names no environment"), "{}", ran.out);
    let elsewhere = checkout.sower("plan --environments environments/staging.yaml");
    assert!(!elsewhere.err.contains("stagin] names"), "{}", elsewhere.err);
}
