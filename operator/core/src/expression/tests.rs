use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The findings of `text` at `place` of a manifest with inputs `channel` and `text`, credentials `apiKey` and `region` and a webhook `push`.
fn found(place: Place, text: &str) -> Vec<Finding> {
    uses_and_found(place, text).1
}

fn uses_and_found(place: Place, text: &str) -> (Uses, Vec<Finding>) {
    let (inputs, credentials, webhooks) =
        (set(&["channel", "text"]), set(&["apiKey", "region"]), set(&["push"]));
    let scope = Scope {
        place,
        owner: "action `post-message`",
        inputs: Some(&inputs),
        credentials: &credentials,
        webhooks: &webhooks,
    };
    check(text, &scope)
}

/// As one line: what the carets cover, the code, the message, the label and the hint.
fn told(place: Place, text: &str) -> Vec<String> {
    let tell = |finding: Finding| {
        let Finding { code, offset, len, message, label, hint } = finding;
        let covered = &text[offset..offset + len];
        format!("{covered} | {} | {message} | {label} | {}", code.as_str(), hint.unwrap_or_default())
    };
    found(place, text).into_iter().map(tell).collect()
}

#[test]
fn the_transcript_of_validate() {
    let text = "${input.mesage}";
    let hint = Some("its properties are `channel` and `text`".to_owned());
    let expected = Finding {
        code: ExpressionCode::UnknownInput,
        offset: 2,
        len: 12,
        message: "the inputSchema of action `post-message` has no property `mesage`".to_owned(),
        label: "unknown input".to_owned(),
        hint,
    };
    assert_eq!(found(Place::Request, text), [expected]);
}

#[test]
fn nothing_is_found_in_what_is_right() {
    let table = [
        (Place::Request, "no expression at all"),
        (Place::Request, "${input.text} ${input['channel']} ${input.?text.orValue('')}"),
        (Place::Request, "${rest} ${page} ${idempotencyKey} ${action.id} ${connection.id} ${uuid} ${now}"),
        (Place::Request, "${webhooks.push.url} ${webhooks['push'].url}"),
        (
            Place::Request,
            "${credentials.token.access_token} ${credentials.callback.shop} ${credentials.apiKey}",
        ),
        (Place::Request, "${json(rest)} ${json.parse(input.text).json} ${hex(hmac('sha256', 'k', 'v'))}"),
        (Place::Request, "$${input.nothing}"),
        (
            Place::Output,
            "${items.filter(m, m.size() > 0).map(m, {'id': m.id, 'sub': m.list.map(n, n + m.id)})}",
        ),
        (
            Place::Output,
            "${response.status == 200 && has(response.body.error) && response.headers['x'] != ''}",
        ),
        (Place::Output, "${response.body.map(input, input.anything)}"),
        (Place::Output, "${type(response.body) == list ? response.body[0] : null}"),
        (Place::Output, "${math.greatest(1, 2, response.body.a) + lists.range(3)[0]}"),
        (Place::Output, "${optional.of(1).optMap(v, v + 1).orValue(0)}"),
        (
            Place::Webhook,
            "${event.headers['stripe-signature'].split(',')} ${timestamp} ${timestamp(int(item.at))} ${claims.aud}",
        ),
        (Place::Signature, "${response.body.ok}"),
        (Place::SignatureWhen, "${connection.id == 'oauth' && webhook.mine}"),
        (Place::Subscription, "${webhook.url} ${responses[0].body.id} ${input.text}"),
        (Place::Polling, "${cursor == null ? index : item.at}"),
    ];
    for (place, text) in table {
        assert_eq!(told(place, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_where_it_stands() {
    use Place::{Output, Request, Shared, SignatureWhen, Webhook};
    let bad = |what: &str| format!("bad-expression | the expression does not parse: {what}");
    let table: Vec<(Place, &str, String)> = vec![
        (Request, "é ${input['mesage'] + 1}", "input['mesage'] | unknown-input | the inputSchema of action `post-message` has no property `mesage` | unknown input | its properties are `channel` and `text`".into()),
        (Request, "${has(input.x)}", "input.x | unknown-input | the inputSchema of action `post-message` has no property `x` | unknown input | its properties are `channel` and `text`".into()),
        (Request, "${credentials.apikey}", "credentials.apikey | unknown-credential | the credentialSchema has no field `apikey` | unknown credential | the known credentials are `apiKey`, `region`, `callback`, `clientId`, `clientSecret` and `token`".into()),
        (Request, "${webhooks.pull.url}", "webhooks.pull | unknown-reference | there is no webhook `pull` | unknown webhook | the webhooks are only `push`".into()),
        (Request, "${webhooks.push.id}", "webhooks.push.id | unknown-name | `webhooks.push` has no field `id` | unknown field | its fields are only `url`".into()),
        (Request, "${response.body}", "response | unknown-name | `response` cannot be read in an action's request | unknown name | its names are `action`, `connection`, `credentials`, `idempotencyKey`, `input`, `now`, `page`, `rest` and 2 more".into()),
        (Output, "${reponse.body}", "reponse | unknown-name | there is no name `reponse` in output, errors, rateLimit and cost | unknown name | did you mean `response`?".into()),
        (Output, "${response.statusCode}", "response.statusCode | unknown-name | `response` has no field `statusCode` | unknown field | its fields are `status`, `headers` and `body`".into()),
        (Output, "${connection.name}", "connection.name | unknown-name | `connection` has no field `name` | unknown field | its fields are only `id`".into()),
        (Output, "${items.map(m, n.id)}", "n | unknown-name | there is no name `n` in output, errors, rateLimit and cost | unknown name | its names are `action`, `connection`, `credentials`, `input`, `items`, `m`, `now`, `page` and 2 more".into()),
        (Output, "${size}", "size | unknown-name | there is no name `size` in output, errors, rateLimit and cost | unknown name | `size` is a function: it is called with parentheses".into()),
        (Shared, "${input.text}", "input | unknown-name | `input` cannot be read in a shared setting or connection | unknown name | its names are `connection`, `credentials`, `now` and `uuid`".into()),
        (SignatureWhen, "${event.body.x}", "event | unknown-name | `event` cannot be read in signature.when | unknown name | it is decided before anything that was sent is believed".into()),
        (Output, "${siez(items)}", "siez | unknown-function | there is no function `siez` | unknown function | did you mean `size`?".into()),
        (Output, "${split(items, ',')}", "split | unknown-function | there is no function `split` | unknown function | it is called on a value: `x.split(…)`".into()),
        (Output, "${items.hex()}", "hex | unknown-function | there is no function `hex` | unknown function | it is not called on a value: `hex(…)`".into()),
        (Output, "${items.toLowerCase()}", "toLowerCase | unknown-function | there is no function `toLowerCase` | unknown function | write `x.lowerAscii()`".into()),
        (Output, "${math.what(1)}", "math.what | unknown-function | there is no function `math.what` | unknown function | the functions of `math` are `abs`, `bitAnd`, `bitNot`, `bitOr`, `bitShiftLeft`, `bitShiftRight`, `bitXor`, `ceil` and 10 more".into()),
        (Output, "${math.flor(1.5)}", "math.flor | unknown-function | there is no function `math.flor` | unknown function | did you mean `floor`?".into()),
        (Output, "${hash('sha256')}", "hash('sha256') | bad-expression | `hash` takes 2 arguments, not 1 | wrong number of arguments | ".into()),
        (Output, "${items.map(m)}", "map(m) | bad-expression | `map` takes 2 to 3 arguments, not 1 | wrong number of arguments | ".into()),
        (Output, "${items.map('m', 1)}", "map('m', 1) | bad-expression | the first argument of `map` names a variable: `x.map(item, …)` | no variable named | ".into()),
        (Output, "${has(items[0])}", "has(items[0]) | bad-expression | `has` asks for a field: `has(x.y)` | no field selected | for a key in brackets write `'key' in x`".into()),
        (Webhook, "a ${event.body", "${ | bad-expression | the expression has no closing `}` | never closed | a literal `${` is written `$${`".into()),
        (Webhook, "a ${  } b", "${  } | bad-expression | the expression is empty | nothing in it | a literal `${` is written `$${`".into()),
        (Output, "${items +}", format!("+ | {} | expected an expression | ", bad("it ends too early"))),
        (Output, "${items = 1}", format!("= | {} | unexpected character | to compare, write `==`", bad("`=` means nothing in CEL"))),
        (Output, "${items and page}", format!("and | {} | expected the end or an operator | write `&&`", bad("`and` cannot stand here"))),
        (Output, "${items?.x}", format!("x | {} | expected `:` and what it is otherwise | an optional selection is written `x.?y`", bad("it ends too early"))),
        (Output, "${'a}", "${ | bad-expression | the expression has no closing `}` | never closed | a literal `${` is written `$${`".into()),
        (Output, r"${'\d'}", format!(r"'\d' | {} | bad escape | a backslash is written `\\`, or the string as r'…'", bad("the string has an escape that CEL does not know"))),
    ];
    for (place, text, expected) in table {
        assert_eq!(told(place, text), [expected], "{text}");
    }
}

#[test]
fn several_problems_come_in_order() {
    let codes: Vec<_> = found(Place::Output, "${a} ${ ${input.b + c(d)} ${")
        .iter()
        .map(|one| (one.offset, one.code))
        .collect();
    assert!(codes.is_sorted(), "{codes:?}");
    assert!(codes.len() >= 2);
}

#[test]
fn what_is_read_is_told() {
    let (uses, _) = uses_and_found(Place::Request, "${input.text}");
    assert!(uses.exact && uses.any && !uses.all_inputs);
    assert_eq!(uses.inputs, set(&["text"]));
    assert_eq!(uses.names, set(&["input"]));

    let (uses, _) = uses_and_found(
        Place::Request,
        "a ${input['text'] + credentials.apiKey} ${webhooks.push.url} ${rest}",
    );
    assert!(!uses.exact && uses.any);
    assert_eq!(
        (uses.inputs.clone(), uses.credentials.clone(), uses.webhooks.clone()),
        (set(&["text"]), set(&["apiKey"]), set(&["push"]))
    );
    assert!(uses.reads("rest") && !uses.reads("page"));

    for whole in
        ["${input}", "${json(input)}", "${input[rest.key]}", "${input.map(k, k)}", "${input.", "${input.}"]
    {
        assert!(uses_and_found(Place::Request, whole).0.all_inputs, "{whole}");
    }
    let (uses, _) = uses_and_found(Place::Request, "a $${input.text}");
    assert_eq!(uses, Uses::default());
}

#[test]
fn without_a_schema_any_input_is_taken() {
    let empty = BTreeSet::new();
    let scope =
        Scope { place: Place::Request, owner: "", inputs: None, credentials: &empty, webhooks: &empty };
    assert_eq!(check("${input.anything}", &scope).1, []);
}

#[test]
fn hostile_text_is_bounded() {
    let deep = |open: &str, count: usize| format!("${{{}}}", open.repeat(count));
    let texts = [
        deep("(", 4000),
        deep("[", 4000),
        deep("{", 2_000_000),
        deep("!", 4000),
        deep("a.", 2000),
        deep("a ? b : ", 500),
        deep("f(", 2000),
        deep("a+", 2_000_000),
        "${".repeat(1_000_000),
        "${x}".repeat(500_000),
        "$".repeat(4_000_000),
        format!("${{{}}}", "'".repeat(1_000_000)),
    ];
    let begun = std::time::Instant::now();
    for text in texts {
        let findings = found(Place::Output, &text);
        assert!(findings.len() <= MAX_FINDINGS);
    }
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn any_text_is_checked_without_a_panic(text in "\\PC{0,200}", place in prop::sample::select(Place::ALL.to_vec())) {
        let wrapped = format!("${{{text}}}");
        for text in [text, wrapped] {
            for finding in found(place, &text) {
                prop_assert!(text.get(finding.offset..finding.offset + finding.len).is_some(), "{:?}", finding);
            }
        }
    }

    #[test]
    fn text_like_expressions_is_checked_without_a_panic(words in prop::collection::vec(prop::sample::select(vec![
        "${", "}", "$${", "'", "\"", "'''", "\\", "é", "input", ".", "[", "]", "(", ")", "{", ":", "?", "//", "\n", "r'", "b\"", " ", "map(", "x,", "1", "-", "in", "mesage",
    ]), 0..40)) {
        let text = words.concat();
        for finding in found(Place::Output, &text) {
            prop_assert!(text.get(finding.offset..finding.offset + finding.len).is_some(), "{:?}", finding);
        }
    }
}
