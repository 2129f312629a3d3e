//! The catalog of a database, written back as manifests, and read again.

use std::process::Command;

use insta::assert_snapshot;

use crate::checkout::Checkout;

/// The public columns of all rows of an environment, with their checksums and hashes.
pub fn rows(checkout: &Checkout, database: &str, environment: &str) -> String {
    let columns = "id, integration_id, identifier, name, category, definition, checksum, hex(row_hash)";
    let registries = ["action", "trigger", "connection", "event"]
        .map(|kind| format!("SELECT {columns} FROM {kind}_registry WHERE environment = '{environment}'"));
    let sql = format!(
        "SELECT id, '', version, name, author, manifest, checksum, hex(row_hash) FROM integration_definitions \
         WHERE environment = '{environment}' AND seeding IS NOT NULL UNION ALL {} ORDER BY 1, 2",
        registries.join(" UNION ALL ")
    );
    let done =
        Command::new("sqlite3").arg(checkout.path().join(database)).arg(sql).output().expect("sqlite3 runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn an_export_seeds_to_the_same_rows() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    assert_snapshot!(
        checkout.transcripts(&["export -e production --dir backup/integrations", "seed -e production --source backup --database sqlite://other.db"]),
        @r"
    $ sower export -e production --dir backup/integrations
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    Exported 2 integrations of production to backup/integrations
    exit 0
    $ sower seed -e production --source backup --database sqlite://other.db
    (2) from: files (sower.toml) · backup at main@COMMIT7-dirty · sqlite://other.db
    (2) warning: 3 uncommitted files (integrations/.sower-export, integrations/stripe/integration.yaml, integrations/wordpress/integration.yaml): no commit will explain these rows
    + stripe 1.0.0
    + wordpress 1.0.0
    Seeded production at main@COMMIT7-dirty (seeding 1): 2 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    exit 0
    "
    );
    let (before, after) =
        (rows(&checkout, ".sower/sower.db", "production"), rows(&checkout, "other.db", "production"));
    assert_eq!(before.lines().count(), 4);
    assert_eq!(before, after);
    // The list is what sha256sum reads.
    let sums = Command::new("sha256sum")
        .args(["--check", "--quiet", ".sower-export"])
        .current_dir(checkout.path().join("backup/integrations"))
        .status();
    assert!(sums.expect("sha256sum runs").success());
    // Into the environment that it came from, it is nothing new.
    assert!(checkout.run("seed -e production --source backup").out.starts_with("Nothing to do"));
}

#[test]
fn an_export_goes_to_standard_output_as_documents() {
    let checkout = Checkout::new();
    checkout.run("seed -e production -q");
    assert_snapshot!(checkout.transcript("export -e production"), @r"
    $ sower export -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    ---
    apiVersion: sower.dev/v1alpha1
    kind: Integration
    metadata: { name: stripe }
    spec:
      name: stripe
      version: 1.0.0
      description: As it was
      author: Sower
      license: Apache-2.0
      category: [test]
      permissions: [network:stripe.example]
      baseUrl: https://stripe.example
      actions:
      - id: list
        name: List
        description: Lists.
        inputSchema: { type: object, properties: {} }
        request: { method: GET, path: /things }
    ---
    apiVersion: sower.dev/v1alpha1
    kind: Integration
    metadata: { name: wordpress }
    spec:
      name: wordpress
      version: 1.0.0
      description: As it was
      author: Sower
      license: Apache-2.0
      category: [test]
      permissions: [network:wordpress.example]
      baseUrl: https://wordpress.example
      actions:
      - id: list
        name: List
        description: Lists.
        inputSchema: { type: object, properties: {} }
        request: { method: GET, path: /things }
    exit 0
    ");
    assert_snapshot!(checkout.transcripts(&["export", "export -e staging", "export -e nowhere"]), @r"
    $ sower export
    (2) error: which environment? There are development, production, staging
    (2)   one:  sower export -e development
    exit 2
    $ sower export -e staging
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) staging holds no integration
    exit 0
    $ sower export -e nowhere
    (2) error: no environment is called `nowhere` (development, production, staging)
    exit 2
    ");
}

#[test]
fn an_export_writes_over_nothing_of_somebody_elses() {
    let checkout = Checkout::new();
    checkout.run("seed -e development -q");
    checkout.write("backup/notes.md", "mine");
    assert_snapshot!(checkout.transcript("export -e development --dir backup"), @r"
    $ sower export -e development --dir backup
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) refused: `backup` holds what no export wrote: notes.md. Nothing was written.
    (2)   elsewhere:  --dir names an empty folder, or one of an earlier export
    exit 4
    ");
    checkout.remove("backup/notes.md");
    assert_eq!(checkout.run("export -e development --dir backup -q").exit, 0);
    checkout.remove("integrations/slack");
    checkout.commit("Let slack go");
    checkout.run("seed -e development -q");
    assert_snapshot!(checkout.transcript("export -e development --dir backup"), @r"
    $ sower export -e development --dir backup
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    Exported 3 integrations of development to backup; removed 1 that it no longer carries
    exit 0
    ");
    assert!(!checkout.path().join("backup/slack").exists());
    checkout.write("backup/stripe/integration.yaml", "edited: true\n");
    assert_eq!(checkout.run("export -e development --dir backup").exit, 4);
}

#[test]
fn what_is_not_as_it_was_seeded_is_exported_as_it_is() {
    let checkout = Checkout::new();
    checkout.run("seed -e production -q");
    checkout.sql(
        "INSERT INTO action_registry (id, integration_id, identifier, name, definition, environment) \
         VALUES ('stripe/mine', 'stripe', 'mine', 'Mine', '{}', 'production')",
    );
    checkout.sql(
        "UPDATE integration_definitions SET manifest = replace(manifest, 'As it was', 'By hand') WHERE id = 'stripe'",
    );
    checkout.sql("UPDATE integration_definitions SET manifest = '[]' WHERE id = 'wordpress'");
    assert_snapshot!(checkout.transcript("export -e production --dir backup"), @r"
    $ sower export -e production --dir backup
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) warning: stripe: it is no longer what was seeded, and exported as it is: sower drift
    (2) warning: wordpress: it is no longer what was seeded, and exported as it is: sower drift
    (2) warning: wordpress: it is left out: it has no id that is one
    (2) warning: rows that Sower did not write are left out: action stripe/mine
    (2) As manifests: sower export --foreign -e production
    Exported 1 integration of production to backup
    exit 1
    ");
    let text =
        std::fs::read_to_string(checkout.path().join("backup/stripe/integration.yaml")).expect("written");
    assert!(text.contains("description: By hand"), "{text}");
}
