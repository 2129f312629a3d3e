//! Plain scalars by the core schema of YAML 1.2 (section 10.3.2).

use serde_json::Number;

use super::Value;

/// A number that JSON cannot hold.
pub(super) struct NotFinite;

/// What a plain scalar means.
pub(super) fn resolve(text: &str) -> Result<Option<Value>, NotFinite> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        _ => number(text)?.map(Value::Number),
    })
}

/// The number a scalar spells.
pub(super) fn number(text: &str) -> Result<Option<Number>, NotFinite> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Err(NotFinite),
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => return Err(NotFinite),
        _ => {}
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(None);
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            return Ok(if all { u64::from_str_radix(digits, radix).ok().map(Number::from) } else { None });
        }
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let digits = text.strip_prefix('+').unwrap_or(text);
        if let Ok(n) = digits.parse::<i64>() {
            return Ok(Some(Number::from(n)));
        }
        if let Ok(n) = digits.parse::<u64>() {
            return Ok(Some(Number::from(n)));
        }
    } else if !is_float(unsigned) {
        return Ok(None);
    }
    let float: f64 = text.parse().map_err(|_| NotFinite)?;
    Number::from_f64(float).map(Some).ok_or(NotFinite)
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    mantissa && exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, expected) in [
            ("12", "12"),
            ("-12", "-12"),
            ("+12", "12"),
            ("007", "7"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1.5", "1.5"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("1e3", "1000.0"),
            ("18446744073709551615", "18446744073709551615"),
            ("100000000000000000000", "1e+20"),
        ] {
            let Ok(Some(Value::Number(n))) = resolve(text) else { panic!("{text} is a number") };
            assert_eq!(n.to_string(), expected, "{text}");
        }
        for text in ["1.2.3", "v1", "0xZZ", "e3", "1e", "-", ".", "yes", "on", "0x", "12:30", "nan", "1_000"]
        {
            assert!(matches!(resolve(text), Ok(None)), "{text} is text");
        }
        for text in [".inf", "-.inf", ".nan", "1e999"] {
            assert!(resolve(text).is_err(), "{text} is not finite");
        }
    }
}
