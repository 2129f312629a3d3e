//! What a plan says of those who use what it changes.

use insta::assert_snapshot;

use crate::checkout::Checkout;

fn manifest(version: &str, actions: &str) -> String {
    format!(
        "id: stripe\nname: Stripe\nversion: {version}\nauthor: Ada\nlicense: Apache-2.0\ndescription: Payments.\n\
         category: [payments]\nbaseUrl: https://api.stripe.com\nactions:\n{actions}"
    )
}

fn action(id: &str, more: &str) -> String {
    format!(
        "- id: {id}\n  name: Does {id}\n  description: Does it.\n  outputSchema: {{ type: object }}\n  \
         request: {{ method: GET, path: /{id} }}\n{more}"
    )
}

#[test]
fn a_plan_says_what_would_break() {
    let checkout = Checkout::new();
    let (charge, refund) = (action("charge", ""), action("refund", ""));
    let input = "  inputSchema: { type: object, properties: { page: { type: integer, maximum: 100 } } }\n";
    let write = |version: &str, actions: &str| {
        checkout.write("integrations/stripe/integration.yaml", &manifest(version, actions));
    };
    write("1.0.0", &format!("{charge}{}{refund}", action("list", input)));
    checkout.commit("stripe: three actions");
    checkout.run("seed -e production -q");

    let wider = input.replace("maximum: 100", "maximum: 500");
    write("1.1.0", &format!("{charge}{}{refund}", action("list", &wider)));
    checkout.commit("stripe: larger pages");
    let narrower = input.replace("maximum: 100", "maximum: 50");
    let compatible = checkout.transcript("plan -e production -q");
    write("1.1.0", &format!("{charge}{}", action("list", &narrower)));
    checkout.commit("stripe: smaller pages, no refunds");
    assert_snapshot!(compatible + "\n" + &checkout.transcript("plan -e production"), @r"
    $ sower plan -e production -q
    ~ stripe 1.0.0 -> 1.1.0   compatible
        ~ action  list    /inputSchema/properties/page/maximum

    Plan PLANPLANPLAN for production: 0 create, 1 update, 0 delete, 1 unchanged; 2 excluded (monday, slack)
    exit 0
    $ sower plan -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) warning: stripe 1.1.0 breaks what uses 1.0.0 (action list: input /page is narrowed (maximum)): its version should be 2.0.0
    (2) Apply it: sower seed -e production
    ~ stripe 1.0.0 -> 1.1.0   breaking
        ~ action  list      /inputSchema/properties/page/maximum   breaking: input /page is narrowed (maximum)
        - action  refund                                           breaking: action refund is removed

    Plan PLANPLANPLAN for production: 0 create, 1 update, 0 delete, 1 unchanged; 2 excluded (monday, slack)
    exit 0
    ");
    let change = &checkout.json("plan -e production -o json")["changes"][0];
    assert_eq!(change["compatibility"], "breaking");
    assert_eq!(change["fields"][0]["why"], "input /page is narrowed (maximum)");

    write("2.0.0", &format!("{charge}{}", action("list", &narrower)));
    checkout.commit("stripe: say so");
    let said = checkout.run("plan -e production").err;
    assert!(!said.contains("breaks what uses"), "{said}");
}
