//! Which environments a command is about, and those that cannot be read.

use insta::assert_snapshot;

use crate::checkout::{Checkout, environment};

#[test]
fn words_that_are_off_say_what_is_meant() {
    let checkout = Checkout::new();
    let off = checkout.transcripts(&[
        "seed",
        "seed -e environments",
        "seed -e nowhere",
        "plan -e nowhere",
        "seed -e production --force",
        "seed -e production --all",
        "suspend -e production",
        "resume",
        "run --standalone -n sower",
    ]);
    assert_snapshot!(off, @r"
    $ sower seed
    (2) error: which environment? There are development, production, staging
    (2)   one:  sower seed -e development
    (2)   all:  sower seed --all
    exit 2
    $ sower seed -e environments
    (2) error: no environment is called `environments` (development, production, staging)
    (2)   the folder of environments is --environments environments
    exit 2
    $ sower seed -e nowhere
    (2) error: no environment is called `nowhere` (development, production, staging)
    exit 2
    $ sower plan -e nowhere
    (2) error: no environment is called `nowhere` (development, production, staging)
    exit 2
    $ sower seed -e production --force
    (2) error: unexpected argument '--force': --reseed writes unchanged rows again; no flag overrides a guard
    exit 2
    $ sower seed -e production --all
    (2) error: --environment and --all exclude each other
    exit 2
    $ sower suspend -e production
    (2) error: suspend patches a resource of a cluster; with files `spec.suspend: true` stops seeding it
    (2)   edit production:  environments/production.yaml:4, below `spec`
    (2)   in a cluster:     sower suspend -e production -n NAMESPACE
    exit 2
    $ sower resume
    (2) error: resume patches a resource of a cluster; with files `spec.suspend: false` lets it be seeded
    (2)   edit development:  environments/development.yaml does not suspend it
    (2)   edit production:   environments/production.yaml does not suspend it
    (2)   edit staging:      environments/staging.yaml does not suspend it
    (2)   in a cluster:      sower resume --all -n NAMESPACE
    exit 2
    $ sower run --standalone -n sower
    (2) error: --standalone acts on files, and --namespace asks a cluster
    (2)   the operator:  sower run
    exit 2
    ");
    let nowhere = tempfile::tempdir().expect("a folder");
    let ran = checkout.sower().arg("seed").current_dir(nowhere.path()).output().expect("it runs");
    assert_eq!(ran.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&ran.stderr)
            .starts_with("error: no project here: neither sower.toml nor environments/ in ")
    );
}

#[test]
fn an_environment_that_cannot_be_read_is_there_all_the_same() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    checkout.write("environments/staging.yaml", &environment("staging", "stripe", "  pruneLimits: 3\n"));
    for command in [
        "seed -e staging",
        "plan -e staging",
        "explain slack -e staging",
        "status -e staging",
        "suspend -e staging",
    ] {
        let ran = checkout.run(command);
        let told = "error: environment `staging` is there, and cannot be read: \
                    environments/staging.yaml:6:3 unknown-field\n  what is wrong:  sower validate\n";
        assert!(ran.err.ends_with(told), "{command}: {}", ran.err);
        assert_eq!((ran.exit, ran.out.as_str()), (1, ""), "{command}");
    }
    let error = checkout.json("seed -e staging -o json")["errors"][0]["message"].clone();
    assert!(error.as_str().is_some_and(|text| text.contains("cannot be read")), "{error}");

    let ran = checkout.run("status");
    assert_eq!(ran.exit, 1);
    let line = ran.out.lines().find(|line| line.starts_with("staging ")).expect("a line");
    assert!(line.contains("False   main@") && line.contains("   3   "), "{line}");
    assert!(line.ends_with("Cannot be read: environments/staging.yaml:6:3 unknown-field"), "{line}");
    assert!(ran.out.contains("staging needs you:\n  sower validate    see what is wrong"), "{}", ran.out);
    let all = checkout.json("get env -o json");
    let reasons: Vec<_> = all.as_array().expect("an array").iter().map(|one| one["reason"].clone()).collect();
    assert_eq!(reasons, ["Seeded", "Seeded", "InvalidSpec"]);

    // One that can be read is not taken for the one that was meant.
    checkout.remove("environments/development.yaml");
    let ran = checkout.run("seed");
    assert_eq!(ran.exit, 2);
    assert!(ran.err.contains("which environment? There are production, staging"), "{}", ran.err);
    checkout.remove("environments/production.yaml");
    assert_eq!(checkout.run("seed").exit, 1);
}

#[test]
fn one_of_two_of_a_name_is_not_taken_because_the_other_is_broken() {
    let checkout = Checkout::new();
    let broken = environment("staging", "stripe", "  pruneLimits: 3\n");
    let fine = environment("staging", "stripe", "");
    checkout.write("environments/staging.yaml", &format!("{broken}---\n{fine}"));
    let ran = checkout.run("seed -e staging");
    assert!(
        ran.exit == 1 && ran.err.contains("environment `staging` is there, and cannot be read"),
        "{}",
        ran.err
    );
    let told = checkout.run("validate -o concise").out;
    assert_eq!(
        told.matches("error[duplicate-manifest]: `staging` is the name of another").count(),
        2,
        "{told}"
    );
}

#[test]
fn a_broken_environment_does_not_stop_the_others() {
    let checkout = Checkout::new();
    checkout
        .write("environments/production.yaml", &environment("production", "stripe", "  pruneLimits: 3\n"));
    assert_snapshot!(checkout.transcripts(&["seed --all -q", "seed -e staging -q"]), @r"
    $ sower seed --all -q
    (2) error[unknown-field]: the environment has no field `pruneLimits`
    (2)  --> environments/production.yaml:6:3
    (2)   |
    (2) 6 |   pruneLimits: 3
    (2)   |   ^^^^^^^^^^^ unknown field
    (2)   |
    (2)   = help: did you mean `pruneLimit`?
    (2)
    Seeded development at main@COMMIT7 (seeding 1): 4 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    Seeded staging at main@COMMIT7 (seeding 1): 3 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    exit 1
    $ sower seed -e staging -q
    (2) error[unknown-field]: the environment has no field `pruneLimits`
    (2)  --> environments/production.yaml:6:3
    (2)   |
    (2) 6 |   pruneLimits: 3
    (2)   |   ^^^^^^^^^^^ unknown field
    (2)   |
    (2)   = help: did you mean `pruneLimit`?
    (2)
    Nothing to do: staging is at main@COMMIT7 (3 unchanged)
    exit 0
    ");
}

#[test]
fn what_is_named_no_longer_is_told_as_orphaned() {
    let checkout = Checkout::new();
    let selective = |allowed: &str| {
        let text = environment("production", allowed, "  seedingStrategy: selective\n");
        checkout.write("environments/production.yaml", &text);
    };
    selective("stripe, wordpress");
    checkout.run("seed -e production -q");
    selective("stripe");
    let seed = checkout.json("seed -e production -q -o json");
    assert_eq!(
        (&seed["status"], &seed["orphaned"]),
        (&"unchanged".into(), &serde_json::json!(["wordpress"]))
    );
    assert_snapshot!(checkout.transcripts(&["seed -e production", "get env -q"]), @r"
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) Orphaned, and kept: wordpress; allowedIntegrations names them no longer. Why: sower explain wordpress -e production
    Nothing to do: production is at main@COMMIT7 (1 unchanged)
    exit 0
    $ sower get env -q
    NAME          READY     REVISION       INTEGRATIONS   CONFLICTS   WRITTEN IN
    development   Unknown   -              0              0           environments/development.yaml
    production    True      main@COMMIT7   2              0           environments/production.yaml
    staging       Unknown   -              0              0           environments/staging.yaml
    exit 0
    ");
    assert!(checkout.run("status -e production -q").out.contains(", 1 orphaned"));
    selective("stripe, wordpress");
    assert_eq!(checkout.json("seed -e production -q -o json")["orphaned"], serde_json::Value::Null);
}
