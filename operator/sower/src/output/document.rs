//! One document on standard output, for programs.

use serde::Serialize;

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
    style.say(text.trim_end());
    style.say("\n");
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
