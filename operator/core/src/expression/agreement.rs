//! The hand-written grammar against the parser of the crate `cel`, which will evaluate what is accepted here.

use cel::parser::Parser;
use proptest::prelude::*;

use super::syntax::parse;

fn evaluator_accepts(source: &str) -> bool {
    Parser::new().enable_optional_syntax(true).parse(source).is_ok()
}

#[test]
fn both_accept_and_refuse_the_same() {
    let accepted = [
        "a",
        "a.b.c",
        "a.b[0].c",
        "a['b']",
        "a.?b.?c",
        "a[?0]",
        "a[?'b'].c",
        ".a.b",
        ".a(b)",
        "f()",
        "f(a, b)",
        "a.f(b).g()",
        "[]",
        "[,]",
        "[1, 2,]",
        "[?a, b]",
        "{}",
        "{,}",
        "{'a': 1}",
        "{'a': 1,}",
        "{?'a': b}",
        "{a: {b: c}}",
        "a ? b : c",
        "a ? b : c ? d : e",
        "a ? (b ? 1 : 2) : 3",
        "a || b && c",
        "a == b != c",
        "a in b",
        "!a",
        "!!a",
        "-a",
        "--a",
        "-1",
        "!-1",
        "- 1",
        "--1",
        "-9223372036854775808",
        "9223372036854775807",
        "18446744073709551615u",
        "0x1F",
        "0x1Fu",
        "1u",
        "1U",
        "-0x1F",
        "1.5",
        ".5",
        "1e3",
        "1.5E-3",
        "1 + 2 * 3 - 4 / 5 % 6",
        "a < b",
        "a <= b",
        "a > b",
        "a >= b",
        "(a)",
        "((a))",
        "''",
        "\"\"",
        "'''a'b'''",
        "\"\"\"a\nb\"\"\"",
        "r'\\'",
        "R\"\\\"",
        "b'a'",
        "B'a'",
        "br'\\'",
        "bR'\\'",
        "b'\\xff'",
        "'\\x41\\u0041\\U00000041\\101'",
        "'\\a\\b\\f\\n\\r\\t\\v\\\\\\?\\\"\\'\\`'",
        "'é'",
        "a // comment",
        "// first\na",
        "a\n+\tb\r\n",
        "true",
        "false",
        "null",
        "a.as",
        "a.for",
        "a.b.size() > 0",
        "1.e",
        "'a'.f()",
        "[1][0]",
        "{'a': 1}['a']",
        "{'a': 1}.a",
        "a.b.f(c)[d].e",
        "true.a",
        "(-1).f()",
        "a-1",
        "a -1",
        "has(a.b)",
        "a.map(x, x.b)",
        "a.map(x, x > 0, x.b)",
        "a.filter(x, x)",
        "a.exists(x, x)",
        "a.all(x, x)",
        "a.exists_one(x, x)",
    ];
    for source in accepted {
        assert!(evaluator_accepts(source), "cel refuses {source}");
        assert!(parse(source).is_ok(), "{source}: {:?}", parse(source));
    }
    let refused = [
        "",
        " ",
        "a b",
        "a.",
        ".",
        "a..b",
        "a.1",
        "(a",
        "a)",
        "[a",
        "a]",
        "{a}",
        "{a:}",
        "{:b}",
        "{a: b,,}",
        "[a,,b]",
        "[,a]",
        "{,a: b}",
        "f(a,)",
        "f(,)",
        "a ? b",
        "a ? b :",
        "a : b",
        "a ?? b",
        "a = b",
        "a & b",
        "a | b",
        "a === b",
        "a !== b",
        "a and b",
        "not a",
        "!-a",
        "-!a",
        "-!1",
        "a in",
        "in a",
        "a.in",
        "a.true",
        "a.null",
        "'a",
        "\"a",
        "'a\nb'",
        "'''a",
        "'\\q'",
        "'\\x4'",
        "'\\u004'",
        "'\\400'",
        "b'\\u0041'",
        "'\\U00110000'",
        "'\\ud800'",
        "rb'a'",
        "'a' 'b'",
        "1.",
        "1..2",
        "0x",
        "1e",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616u",
        "0x10000000000000000",
        "1e999",
        "1a",
        "a`b`",
        "a.`b`",
        "$a",
        "#a",
        "@a",
        "é",
        "a;b",
        "if",
        "a + while",
        "for(a)",
        "as.b",
        "a ? b ? c : d : e",
        "a.?f()",
        "a.(b)",
        "a[]",
        "a[b",
        "a[b,c]",
        "a, b",
        "...a",
        "+a",
        "a +",
        "* a",
        "a // b\n c",
    ];
    for source in refused {
        assert!(!evaluator_accepts(source), "cel accepts {source}");
        assert!(parse(source).is_err(), "{source}");
    }
}

/// What is accepted here neither overflows the evaluator's parser nor its limit on recursion. (Optimised, 2 MiB of stack suffice.)
#[test]
fn the_largest_expressions_do_not_overflow_the_evaluator() {
    let stack = if cfg!(debug_assertions) { 32 << 20 } else { 2 << 20 };
    let thread =
        std::thread::Builder::new().stack_size(stack).spawn(parse_the_largest).expect("a thread starts");
    assert!(thread.join().is_ok());
}

fn parse_the_largest() {
    let nested = super::MAX_DEPTH - 1;
    let steps = super::syntax::MAX_HEIGHT - 2;
    let sources = [
        format!("{}a{}", "(".repeat(nested), ")".repeat(nested)),
        format!("{}a{}", "[".repeat(nested), "]".repeat(nested)),
        format!("{}a{}", "f(".repeat(nested), ")".repeat(nested)),
        format!("{}a{}", "a[".repeat(nested), "]".repeat(nested)),
        format!("{}a{}", "{a:".repeat(nested), "}".repeat(nested)),
        format!("{}a", "a ? b : ".repeat(nested)),
        format!("a{}", ".b".repeat(steps)),
        format!("a{}", " + b".repeat(steps)),
        format!("a{}", "[b]".repeat(steps)),
        format!("a{}", ".f()".repeat(steps)),
        format!("{}a", "!".repeat(2000)),
        format!("[{}]", "a,".repeat(1500)),
    ];
    for source in sources {
        assert!(parse(&source).is_ok(), "{source}: {:?}", parse(&source));
        assert!(evaluator_accepts(&source), "{source}");
    }
}

/// Text made of CEL's own tokens, so that much of it is nearly right.
fn nearly() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a", "b", "x.y", "1", "1u", "-1", "1.5", "'s'", "b's'", "(", ")", "[", "]", "{", "}", ",", ".", "?",
        ":", "+", "-", "!", "&&", "==", "in", "<", "f(", "true", "null", ".?", "[?", " ", "\n", "//", "0x",
        "'", "r'\\'", "if", "a.f(", ")",
    ]);
    prop::collection::vec(word, 1..9).prop_map(|words| words.concat())
}

/// Expressions that are right.
fn right() -> impl Strategy<Value = String> {
    let leaf =
        prop::sample::select(vec!["a", "b.c", "1", "-2", "1.5", "'s'", "null", "true", "b'x'", ".d", "3u"])
            .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(vec!["+", "-", "*", "&&", "||", "==", " in ", "<"]),
                inner.clone()
            )
                .prop_map(|(one, sign, two)| format!("{one}{sign}{two}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(one, two, three)| format!("({one}) ? ({two}) : {three}")),
            inner.clone().prop_map(|one| format!("!({one})")),
            inner.clone().prop_map(|one| format!("({one}).f")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one})[{two}]")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("a.?b.g({one}, {two})")),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(", "))),
            (inner.clone(), inner).prop_map(|(one, two)| format!("{{'k': {one}, ({one}): {two}}}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_right_is_accepted_by_both(source in right()) {
        prop_assert!(evaluator_accepts(&source));
        prop_assert!(parse(&source).is_ok(), "{:?}", parse(&source));
    }

    #[test]
    fn what_is_nearly_right_is_judged_alike(source in nearly()) {
        // A name before a brace makes a message, which the evaluator could build and Sower has none of.
        prop_assume!(!source.contains(['{']) || !has_message(&source));
        prop_assert_eq!(parse(&source).is_ok(), evaluator_accepts(&source));
    }
}

fn has_message(source: &str) -> bool {
    let bytes: Vec<u8> = source.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    bytes.windows(2).any(|pair| pair[1] == b'{' && pair[0].is_ascii_alphanumeric())
}
