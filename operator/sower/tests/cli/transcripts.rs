//! What the commands print, as the documents show it, with hashes and times masked.

use crate::kit::{Checkout, mask, run};

/// Gives every integration a broken line, as in the transcript of `validate`.
fn broken(checkout: &Checkout) {
    checkout.write(
        "integrations/slack/integration.yaml",
        concat!(
            "apiVersion: sower.dev/v1alpha1\n",
            "kind: Integration\n",
            "metadata: { name: slack }\n",
            "spec:\n",
            "  name: Slack\n",
            "  version: v2.1\n",
            "  author: Slack\n",
            "  license: Apache-2.0\n",
            "  description: Messages.\n",
            "  category: [communication]\n",
            "  baseUrl: https://slack.com/api\n",
            "  connections:\n",
            "  - id: oauth\n",
            "    name: Slack account\n",
            "    type: oauth2\n",
            "    oauth2:\n",
            "      authorizationUrl: https://slack.com/oauth/v2/authorize\n",
            "      tokenURL: https://slack.com/api/oauth.v2.access\n",
            "  actions:\n",
            "  - id: post-message\n",
            "    name: Post a message\n",
            "    inputSchema:\n",
            "      type: object\n",
            "      properties:\n",
            "        channel: { type: string }\n",
            "        text: { type: string }\n",
            "    outputSchema: { type: object }\n",
            "    request:\n",
            "      method: POST\n",
            "      path: /chat.postMessage\n",
            "      bodyFormat: json\n",
            "      body: { channel: \"${input.channel}\", text: \"${input.mesage}\" }\n",
            "  testSuite:\n",
            "  - { name: posts, action: post-message, input: { channel: a, text: b } }\n",
        ),
    );
}

#[test]
fn the_first_command() {
    let ran = run(std::path::Path::new("/"), "--help", &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    insta::assert_snapshot!(ran.out);
    let ran = run(std::path::Path::new("/"), "", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
}

#[test]
fn three_problems() {
    let checkout = Checkout::new();
    insta::assert_snapshot!("validate_fine", checkout.transcript("validate"));
    broken(&checkout);
    insta::assert_snapshot!("validate_drawn", checkout.transcript("validate"));
    insta::assert_snapshot!("validate_concise", checkout.transcript("validate -o concise"));
    insta::assert_snapshot!("validate_github", checkout.transcript("validate -o github"));
    let named = checkout.transcript("validate -o concise integrations/slack/integration.yaml");
    insta::assert_snapshot!("validate_named", named);
}

#[test]
fn why_is_it_not_there() {
    let checkout = Checkout::new();
    assert_eq!(checkout.sower("seed --all").code, 0);
    checkout.edit("integrations/slack/integration.yaml", "version: 1.0.0", "version: 1.0.1");
    checkout.edit("integrations/wordpress/integration.yaml", "Writes a new post;", "Writes a post;");
    checkout.commit("Say it otherwise");
    assert_eq!(checkout.sower("seed --all").code, 0);

    insta::assert_snapshot!("get_integrations", checkout.transcript("get integrations"));
    insta::assert_snapshot!("get_one_environment", checkout.transcript("get integrations -e production -q"));
    insta::assert_snapshot!("get_conflicts", checkout.transcript("get conflicts"));
    insta::assert_snapshot!("explain_excluded", checkout.transcript("explain slack"));
    insta::assert_snapshot!("explain_conflict", checkout.transcript("explain wordpress -e production"));
    insta::assert_snapshot!("status", checkout.transcript("status"));
    insta::assert_snapshot!("status_of_one", checkout.transcript("status -e production"));
    insta::assert_snapshot!("history", checkout.transcript("history -e development"));
    insta::assert_snapshot!("get_environments", checkout.transcript("get env"));
}

#[test]
fn a_broken_manifest_needs_you() {
    let checkout = Checkout::new();
    assert_eq!(checkout.sower("seed -e development").code, 0);
    broken(&checkout);
    assert_eq!(checkout.sower("seed -e development -q").code, 1);
    insta::assert_snapshot!("explain_invalid", checkout.transcript("explain slack -e development"));
    insta::assert_snapshot!("status_invalid", checkout.transcript("status -e development"));
}

#[test]
fn a_hand_that_slipped() {
    let checkout = Checkout::new();
    for (name, words) in [
        ("slip_which", "seed"),
        ("slip_environments", "seed -e environments"),
        ("slip_force", "seed -e production --force"),
        ("slip_unknown", "get integrations -e prod"),
        ("slip_files_of_a_cluster", "get env -n sower --source ."),
        ("slip_integration", "explain strip"),
    ] {
        insta::assert_snapshot!(name, checkout.transcript(words));
    }
    let nowhere = tempfile::tempdir().expect("a folder");
    let ran = run(nowhere.path(), "get env", &[]);
    assert_eq!(ran.code, 2);
    let err = ran.err.replace(&nowhere.path().canonicalize().expect("a path").display().to_string(), "/");
    insta::assert_snapshot!("slip_no_project", mask(&err));
}

#[test]
fn the_doctor() {
    let checkout = Checkout::new();
    checkout.edit("integrations/slack/integration.yaml", "Slack", "Slack!");
    let database = [("SOWER_DATABASE_URL", "postgres://sower:s3cret@127.0.0.1:1/catalog")];
    let ran = checkout.sower_in("", "doctor", &database);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let (version, rest) = ran.out.split_once('\n').expect("lines");
    assert!(version.starts_with("sower 0."), "{version}");
    insta::assert_snapshot!(mask(rest));
}
