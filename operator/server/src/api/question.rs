//! What a question says behind its `?`.

use percent_encoding::percent_decode_str;

use super::{Named, Refusal};

/// The fields of a query, in their order, each of which is one of `known`. `+` is a space, as in forms.
pub(super) fn fields<'a>(query: &str, known: &[&'a str]) -> Result<Vec<(&'a str, String)>, Refusal> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let read = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        match known.iter().find(|known| **known == name) {
            Some(known) => Ok((*known, value)),
            None => Err(Refusal::Bad(format!("no such field; there are {}", known.join(", ")))),
        }
    });
    read.collect()
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| Refusal::Bad("the query is no UTF-8".to_owned()))
}

/// The only value of a field.
pub(super) fn once(fields: &[(&str, String)], name: &str) -> Result<Option<String>, Refusal> {
    let mut values = fields.iter().filter(|(field, _)| *field == name);
    let first = values.next().map(|(_, value)| value.clone());
    match values.next() {
        Some(_) => Err(Refusal::Bad(format!("`{name}` is there more than once"))),
        None => Ok(first),
    }
}

/// An environment as it is named, where the namespace may stand beside it; else what is wrong.
pub(super) fn named(text: &str, namespace: Option<&str>) -> Result<Named, String> {
    let named = Named::parse(text);
    match (namespace, &named.namespace) {
        (Some(beside), Some(before)) if beside != before => {
            Err(format!("`{text}` and the namespace `{beside}`: which is it?"))
        }
        (Some(beside), None) => Ok(Named { namespace: Some(beside.to_owned()), ..named }),
        (Some(_) | None, _) => Ok(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_strictly() {
        let known = ["key", "label"];
        let ok = |query| fields(query, &known).expect("good");
        assert_eq!(ok(""), []);
        assert_eq!(
            ok("key=a+b%2B%26&&label=tier%3Dgold&label=x"),
            [("key", "a b+&".to_owned()), ("label", "tier=gold".to_owned()), ("label", "x".to_owned())]
        );
        assert_eq!(ok("key=%C3%BC"), [("key", "ü".to_owned())]);
        for bad in ["key=%FF", "kee=1", "%ff=1"] {
            assert!(fields(bad, &known).is_err(), "{bad}");
        }
        assert!(once(&ok("key=a&key=b"), "key").is_err());
        assert_eq!(once(&ok("key="), "key"), Ok(Some(String::new())));
    }

    #[test]
    fn a_namespace_stands_before_or_beside() {
        let both = Named { namespace: Some("shop".into()), name: "production".into() };
        assert_eq!(named("production", Some("shop")), Ok(both.clone()));
        assert_eq!(named("shop/production", None), Ok(both.clone()));
        assert_eq!(named("shop/production", Some("shop")), Ok(both));
        assert_eq!(named("production", None), Ok(Named { namespace: None, name: "production".into() }));
        assert!(named("shop/production", Some("other")).is_err());
    }
}
