//! One document on standard output, for programs.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::cli::Format;
use crate::failure::Failure;
use crate::output::style::Style;

/// Writes a value as JSON or YAML; `false` for the table, which is the caller's.
///
/// # Errors
/// Where the value cannot be written in that format.
pub fn write(style: &Style, format: Format, value: &impl Serialize) -> Result<bool, Failure> {
    let text = match format {
        Format::Table => return Ok(false),
        Format::Json => serde_json::to_string_pretty(value).map_err(|e| e.to_string()),
        Format::Yaml => serde_saphyr::to_string(value).map_err(|e| e.to_string()),
    }
    .map_err(|cause| Failure::failed(format!("the result cannot be written: {cause}")))?;
    style.raw(&format!("{}\n", text.trim_end()));
    Ok(true)
}

/// With a name one object, without one an array.
///
/// # Errors
/// As [`write`].
pub fn write_each<T: Serialize>(
    style: &Style,
    format: Format,
    named: bool,
    values: &[T],
) -> Result<bool, Failure> {
    match values {
        [only] if named => write(style, format, only),
        all => write(style, format, &all),
    }
}

/// What a command says that cannot go on, in the form that [`write_each`] gives its result.
///
/// # Errors
/// As [`write`].
pub fn write_failure(style: &Style, format: Format, named: bool, failure: &Failure) -> Result<bool, Failure> {
    let error = Fields::default().with("code", failure.coded()).with("message", &failure.message);
    write_each(style, format, named, &[Fields::default().with("errors", [error])])
}

/// The fields of an object, in the order in which people read them.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// Adds a field at the end. What cannot be told as JSON is null.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        self.0.push((name, serde_json::to_value(value).unwrap_or(Value::Null)));
        self
    }

    /// Adds a field at the end, where there is something to say.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
