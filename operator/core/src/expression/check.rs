use super::{Finding, Scope, Uses};

/// Checks the expressions of `text`: what they read, and what is wrong with them.
pub fn check(text: &str, _scope: &Scope<'_>) -> (Uses, Vec<Finding>) {
    let template = super::split(text);
    let uses = Uses { exact: template.exact().is_some(), any: !template.parts.is_empty(), ..Uses::default() };
    (uses, Vec::new())
}
