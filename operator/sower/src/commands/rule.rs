//! `sower rule`: what a problem means and how to mend it.

use serde_json::{Value, json};
use sower_controllers::seeding::UNDERSTATED;
use sower_core::problem::{Code, Severity};
use sower_core::rule::rule;

use crate::cli::RuleArgs;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document;
use crate::output::table::Table;

/// The problems that lie between a manifest and a database.
const BETWEEN: [(&str, &str); 2] = [("foreign-row", FOREIGN_ROW), (UNDERSTATED, UNDERSTATED_VERSION)];
const UNDERSTATED_VERSION: &str = "an update breaks what uses the integration, its version does not say so, and the environment \
     has `policy: { semver: deny }`: the integration keeps its rows, and everything else comes in. Raise the major version \
     (below 1.0.0 the minor one), or take the break back; `sower plan` says what it is.";
const FOREIGN_ROW: &str = "a row that Sower did not write holds an id that a manifest wants. Sower never touches such a \
     row (its column `seeding` is null), so the integration is refused and everything else comes in. Take the row \
     over with `sower adopt DIR`, where it says what the manifest says; else rename the integration, or delete the row if \
     nobody needs it, and seed again.";

/// Runs it.
///
/// # Errors
/// Usage, where no problem has that code.
pub fn run(args: &RuleArgs, context: &Context) -> Result<Exit, Failure> {
    let between =
        |text: &String| BETWEEN.into_iter().find(|(code, _)| text.trim().eq_ignore_ascii_case(code));
    match &args.code {
        Some(text) => match between(text) {
            Some((code, meaning)) => {
                let described = json!({ "code": code, "severity": "error", "meaning": meaning });
                if !document::write(&context.style, args.output, &described)? {
                    context.style.raw(&format!("error[{code}]: {}\n", wrapped(meaning)));
                }
                Ok(Exit::Done)
            }
            None => one(parse(text)?, args, context),
        },
        None => all(args, context),
    }
}

fn parse(text: &str) -> Result<Code, Failure> {
    let lower = text.trim().to_ascii_lowercase();
    lower.parse().map_err(|()| {
        let nearest = Code::ALL
            .iter()
            .map(|code| (strsim::damerau_levenshtein(code.as_str(), &lower), code))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= 3);
        let meant = nearest.map(|(_, code)| format!(": did you mean `{code}`?")).unwrap_or_default();
        Failure::usage(format!("no problem has the code `{text}`{meant}")).next("all of them", "sower rule")
    })
}

fn severity(code: Code) -> &'static str {
    match code.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn described(code: Code) -> Value {
    let rule = rule(code);
    json!({
        "code": code.as_str(), "severity": severity(code),
        "summary": rule.summary, "meaning": rule.meaning, "remedy": rule.remedy,
        "wrong": rule.wrong, "right": rule.right,
    })
}

fn one(code: Code, args: &RuleArgs, context: &Context) -> Result<Exit, Failure> {
    if document::write(&context.style, args.output, &described(code))? {
        return Ok(Exit::Done);
    }
    let rule = rule(code);
    let indented = |text: &str| text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n");
    let examples = [("wrong", rule.wrong), ("right", rule.right)];
    let examples = examples.map(|(word, text)| format!("\n{word}:\n{}\n", indented(text.trim_end())));
    let (meaning, remedy) = (wrapped(rule.meaning), wrapped(rule.remedy));
    let head = format!("{}[{code}]: {}", severity(code), rule.summary);
    context.style.raw(&format!("{head}\n\n{meaning}\n\n{remedy}\n{}", examples.concat()));
    Ok(Exit::Done)
}

/// Lines of at most 100 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

fn all(args: &RuleArgs, context: &Context) -> Result<Exit, Failure> {
    let documents: Vec<Value> = Code::ALL.iter().map(|code| described(*code)).collect();
    if document::write(&context.style, args.output, &documents)? {
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["CODE", "SEVERITY", "MEANING"]);
    for code in Code::ALL {
        table.row([code.as_str(), severity(*code), rule(*code).summary]);
    }
    context.style.say(&table.text());
    context.style.hint("One of them in whole: sower rule CODE");
    Ok(Exit::Done)
}
