use super::*;

fn one(text: &str) -> Node {
    let mut parsed = parse(text.as_bytes());
    assert_eq!(parsed.faults, [], "{text}");
    assert_eq!(parsed.documents.len(), 1, "{text}");
    parsed.documents.remove(0).root
}

fn faults(bytes: &[u8]) -> Vec<(Code, u32, u32)> {
    parse(bytes).faults.iter().map(|f| (f.code, f.mark.line, f.mark.column)).collect()
}

#[test]
fn every_key_and_value_knows_where_it_stands() {
    let root = one("a: 1\nbé:\n  - x: \"ünï\"   # note\n    y: 'z'\n");
    let b = root.entry("bé").unwrap();
    assert_eq!((b.key_mark.line, b.key_mark.column, b.key_mark.length), (2, 1, 2));
    let x = &b.node.list()[0].entry("x").unwrap();
    assert_eq!((x.node.mark.line, x.node.mark.column, x.node.mark.length), (3, 8, 5));
    let y = at(&root, "/bé/0/y").unwrap();
    assert_eq!((y.mark.line, y.mark.column, y.mark.length), (4, 8, 3));
}

#[test]
fn json_is_read_as_json() {
    let root = one("{\n\t\"smile\": \"\\ud83d\\ude00\\/\",\n\t\"n\": [1, 1.5, null, true]\n}\n");
    assert_eq!(root.text_at("smile"), Some("\u{1F600}/"));
    assert_eq!(root.to_json()["n"].to_string(), "[1,1.5,null,true]");
    assert_eq!(faults(br#"{"a": "\ud83d"}"#).first().map(|f| f.0), Some(Code::Encoding));
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    let root = one(
        "base: &b { x: 1, y: 2 }\nother: &o { z: 3, x: 9 }\nuse: *b\nall: { <<: [*b, *o], y: 5 }\nlast:\n  <<: *b\n",
    );
    assert_eq!(root.to_json()["use"].to_string(), r#"{"x":1,"y":2}"#);
    assert_eq!(root.to_json()["all"].to_string(), r#"{"x":1,"y":5,"z":3}"#);
    assert_eq!(root.to_json()["last"].to_string(), r#"{"x":1,"y":2}"#);
    assert_eq!(faults(b"<<: 3\n"), [(Code::WrongType, 1, 1)]);
}

#[test]
fn files_that_are_no_documents_say_where() {
    for (bytes, expected) in [
        (&b"a: 1\nb: [1, 2\nc: 3\n"[..], (Code::Syntax, 3)),
        (b"a: *nowhere\n", (Code::Syntax, 1)),
        (b"a: 1\na: 2\n", (Code::DuplicateKey, 2)),
        (b"a: .nan\n", (Code::Encoding, 1)),
        (b"a: \"x\\0y\"\n", (Code::Encoding, 1)),
        (b"a: x\0y\n", (Code::Encoding, 1)),
        (b"a: 1\nb: \xFF\n", (Code::Encoding, 2)),
        (b"\xFF\xFEa\0", (Code::Encoding, 1)),
        (b"? [a]\n: 1\n", (Code::Syntax, 1)),
        (b"a: &x [*x]\n", (Code::AliasBomb, 1)),
        (b"a:\n\t- b\n", (Code::Syntax, 2)),
    ] {
        let found = faults(bytes);
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(found.first().map(|f| (f.0, f.1)), Some(expected), "{text} {found:?}");
    }
    assert_eq!(faults(b"\xEF\xBB\xBFa: 1\n"), []);
}

#[test]
fn documents_before_a_broken_one_are_read() {
    let parsed = parse(b"a: 1\n---\n# nothing\n---\nb: 2\n---\nc: [\n");
    assert_eq!(parsed.documents.iter().map(|d| d.number).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((parsed.broken, parsed.faults[0].document), (Some(3), 3));
}

#[test]
fn nothing_takes_memory_or_time_without_bound() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        let list = vec![format!("*a{}", i - 1); 9].join(", ");
        bomb.push_str(&format!("a{i}: &a{i} [{list}]\n"));
    }
    let found = faults(bomb.as_bytes());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, Code::AliasBomb);

    let text = "x".repeat(1024 * 1024);
    let long = format!("a: &a {text}\nb: [{}]\n", vec!["*a"; 100].join(", "));
    assert_eq!(faults(long.as_bytes())[0].0, Code::AliasBomb);

    assert_eq!(faults("[".repeat(100_000).as_bytes())[0].0, Code::TooDeep);
    assert_eq!(faults("{a: ".repeat(100_000).as_bytes())[0].0, Code::TooDeep);
    assert_eq!(faults("- ".repeat(100_000).as_bytes())[0].0, Code::TooDeep);
    let deep = (0..70).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>();
    assert_eq!(faults(deep.as_bytes()), [(Code::TooDeep, 65, 65)]);
    assert_eq!(faults(format!("{}x{}", "[".repeat(64), "]".repeat(64)).as_bytes()), []);
    let nested =
        format!("a: &a {}x{}\nb: {}*a{}\n", "[".repeat(40), "]".repeat(40), "[".repeat(40), "]".repeat(40));
    assert_eq!(faults(nested.as_bytes())[0].0, Code::TooDeep);

    assert_eq!(faults("- a\n".repeat(MAX_NODES + 1).as_bytes())[0].0, Code::TooLarge);
    assert_eq!(faults("#".repeat(MAX_BYTES + 1).as_bytes())[0].0, Code::TooLarge);
    assert_eq!(faults(format!("a: {}", "x".repeat(MAX_BYTES - 10)).as_bytes()), []);
}

#[test]
fn a_byte_of_a_value_is_found_in_its_source() {
    for (yaml, needle, expected) in [
        ("t: \"${input.mesage}\"\n", "input.mesage", (1, 7, 12)),
        ("t: ${input.mesage}\n", "input.mesage", (1, 6, 12)),
        ("t: 'it''s ${input.x}'\n", "input.x", (1, 13, 7)),
        ("t: \"é\\n\\u00e9\\ud83d\\ude00 ${x}\"\n", "x", (1, 29, 1)),
        ("t: |\n  one\n    two ${x}\n  three\n", "${x}", (3, 9, 4)),
        ("t: |\n  one\n\n  two ${x}\n", "x", (4, 9, 1)),
        ("t: >\n  one\n  two ${x}\n\n  three ${y}\n", "${y}", (5, 9, 4)),
        ("t: >-\n  one\n  ${x}\n", "${x}", (3, 3, 4)),
        ("t: >-\n\n\n  one\n  ${x}\n", "${x}", (5, 3, 4)),
        ("t: one\n  two\n\n  ${x}\n", "${x}", (4, 3, 4)),
        ("t: \"one\n  two\n\n  ${x}\"\n", "${x}", (4, 3, 4)),
        ("t: \"one \\\n  two ${x}\"\n", "${x}", (2, 7, 4)),
    ] {
        let root = one(yaml);
        let node = root.get("t").unwrap();
        let offset = node.text().unwrap().find(needle).unwrap();
        let mark = node.locate(yaml, offset, needle.len());
        assert_eq!((mark.line, mark.column, mark.length), expected, "{yaml}");
    }
}

mod properties {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = super::parse(&bytes);
        }

        #[test]
        fn arbitrary_yaml_like_text_never_panics(text in r#"([-a-c:{}\[\]&*!|>'"%@,?# \t\n\\u0xd8]|<<: |\$\{|---\n){0,80}"#) {
            let parsed = super::parse(text.as_bytes());
            for document in &parsed.documents {
                every_text(&document.root, &mut |node, value| {
                    for offset in 0..=value.len() {
                        let _ = node.locate(&text, offset, 1);
                    }
                });
            }
        }

        #[test]
        fn json_is_read_back(value in json()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            let parsed = super::parse(text.as_bytes());
            prop_assert_eq!(&parsed.faults, &[]);
            prop_assert_eq!(parsed.documents[0].root.to_json(), value);
        }
    }

    fn every_text(node: &super::Node, visit: &mut impl FnMut(&super::Node, &str)) {
        match &node.value {
            super::Value::Text(text) => visit(node, text),
            super::Value::List(items) => items.iter().for_each(|n| every_text(n, visit)),
            super::Value::Map(entries) => entries.iter().for_each(|e| every_text(&e.node, visit)),
            _ => {}
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_filter("JSON has finite numbers", |f| f.is_finite()).prop_map(Into::into),
            r"[^\x00\x7f-\x9f\u{feff}\u{fffe}\u{ffff}]{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(r"[^\x00\x7f-\x9f\u{feff}\u{fffe}\u{ffff}]{1,8}", inner, 0..6)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }
}
