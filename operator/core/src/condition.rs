//! Conditions in CEL that people write into specs: bounded in what they may cost.
//!
//! A condition is at most [`LONGEST`] characters, nested at most [`DEEPEST`] levels; it asks lists whether `all`, `exists` or
//! `exists_one`, two within each other at most, and makes no lists out of others, and no patterns: so what it costs is bounded
//! by its length and by what it is given, and not by an exponent.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, Value};
use serde_json::Value as Json;

/// Characters of the longest condition.
pub const LONGEST: usize = 1024;
/// How deep parentheses, lists, calls and chains of operators may be nested.
pub const DEEPEST: usize = 48;
/// How many questions to lists may stand within each other.
const WITHIN: usize = 2;

/// The functions that a condition may call.
const FUNCTIONS: [&str; 12] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "dyn",
    "type",
    "has",
];

/// A condition that can be asked.
#[derive(Debug)]
pub struct Condition(IdedExpr);

impl Condition {
    /// Reads a condition over these names.
    ///
    /// # Errors
    /// Why it is none, in a clause.
    pub fn read(text: &str, names: &[&str]) -> Result<Self, String> {
        if text.chars().count() > LONGEST {
            return Err(format!("it is longer than {LONGEST} characters"));
        }
        if deeper_than(text, DEEPEST) {
            return Err(too_deep());
        }
        let env = Env::stdlib().with_optional_support(false);
        let limit = u16::try_from(DEEPEST).unwrap_or(u16::MAX);
        let read = env.parser().max_recursion_depth(limit).parse(text).map_err(|errors| {
            let first = errors.errors.first().map(|error| one_line(&error.msg)).unwrap_or_default();
            format!("it is no CEL: {first}")
        })?;
        let mut scope: Vec<&str> = names.to_vec();
        check(&read, &mut scope, DEEPEST, WITHIN)?;
        Ok(Self(read))
    }

    /// Whether it is true of what is known: a map of its names.
    ///
    /// # Errors
    /// Why it is neither true nor false, in a clause.
    pub fn holds(&self, known: &Json) -> Result<bool, String> {
        let mut context = Context::with_env(std::sync::Arc::new(Env::stdlib()));
        for (name, value) in known.as_object().into_iter().flatten() {
            context.add_variable_from_value(name.as_str(), cel_value(value));
        }
        match Value::resolve(&self.0, &context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err("it is neither true nor false".to_owned()),
            Err(error) => Err(told(&error)),
        }
    }
}

fn too_deep() -> String {
    format!("it is nested deeper than {DEEPEST} levels")
}

fn told(error: &cel::ExecutionError) -> String {
    match error {
        cel::ExecutionError::UndeclaredReference(name) => format!("{name} is not known"),
        cel::ExecutionError::NoSuchKey(name) => format!("{name} is not there"),
        // Some of them hold what was compared: what is said of it is bounded.
        other => crate::sentence::cut(&one_line(&other.to_string())),
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// Whether brackets, or signs before a value, are nested deeper: told before anything recurses into them.
fn deeper_than(text: &str, most: usize) -> bool {
    let (mut open, mut signs) = (0usize, 0usize);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        signs = if matches!(c, '!' | '-' | '?') { signs + 1 } else { signs };
        if open > most || signs > most {
            return true;
        }
    }
    false
}

/// Holds an expression against the bounds, and its names against those in scope.
fn check<'a>(at: &'a IdedExpr, scope: &mut Vec<&'a str>, depth: usize, within: usize) -> Result<(), String> {
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    match &at.expr {
        Expr::Unspecified => Err("a part of it is missing".to_owned()),
        Expr::Literal(_) => Ok(()),
        Expr::Ident(name) => {
            if scope.contains(&name.as_str()) {
                return Ok(());
            }
            let names: Vec<&str> = scope.iter().copied().filter(|name| !name.starts_with('@')).collect();
            Err(format!("`{}` is none of {}", one_line(name), names.join(", ")))
        }
        Expr::Select(select) => check(&select.operand, scope, depth, within),
        Expr::Call(call) => {
            let plain = call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
            if plain && !FUNCTIONS.contains(&call.func_name.as_str()) {
                return Err(format!("there is no {} in conditions", one_line(&call.func_name)));
            }
            let target = call.target.as_deref();
            target.into_iter().chain(&call.args).try_for_each(|part| check(part, scope, depth, within))
        }
        Expr::List(list) => list.elements.iter().try_for_each(|part| check(part, scope, depth, within)),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                check(&entry.key, scope, depth, within)?;
                check(&entry.value, scope, depth, within)
            }
            EntryExpr::StructField(_) => Err("it makes an object".to_owned()),
        }),
        Expr::Struct(_) => Err("it makes an object".to_owned()),
        Expr::Comprehension(each) => {
            if matches!(each.accu_init.expr, Expr::List(_) | Expr::Map(_)) {
                return Err("there is no map and no filter in conditions: ask all or exists".to_owned());
            }
            let within = within
                .checked_sub(1)
                .ok_or_else(|| format!("more than {WITHIN} questions to lists stand within each other"))?;
            check(&each.iter_range, scope, depth, within)?;
            let before = scope.len();
            scope.push(&each.accu_var);
            scope.push(&each.iter_var);
            scope.extend(each.iter_var2.as_deref());
            let inner = [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result];
            inner.into_iter().try_for_each(|part| check(part, scope, depth, within))?;
            scope.truncate(before);
            Ok(())
        }
    }
}

/// Whole numbers become signed ones, so that `a.count + 1` is one too.
fn cel_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_f64().map(Value::Float))
            .unwrap_or(Value::Null),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(cel_value).collect::<Vec<_>>()),
        Json::Object(fields) => {
            let fields: std::collections::HashMap<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), cel_value(value))).collect();
            Value::from(fields)
        }
    }
}

#[cfg(test)]
mod tests;
