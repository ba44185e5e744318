//! Values in filters.

use crate::errors::invalid;
use crate::json;
use pyo3::prelude::*;
use serde_json::Value;

/// Puts values in place of the question marks of a filter, as literals of its grammar. Within quotes a question mark is
/// text.
#[pyfunction]
pub(crate) fn filled(filter: &str, values: Vec<Bound<'_, PyAny>>) -> PyResult<String> {
    let (mut text, mut quote, mut marks) = (String::with_capacity(2 * filter.len()), None, 0);
    for c in filter.chars() {
        match quote {
            // A quote that is doubled within a text ends it, and begins it again.
            Some(open) => quote = Some(open).filter(|open| c != *open),
            None if c == '?' => {
                if let Some(value) = values.get(marks) {
                    // Spaces, so that it stays one literal whatever stands beside the mark.
                    text.push_str(&format!(" {} ", literal(&json::value(value, marks)?, marks)?));
                }
                marks += 1;
                continue;
            }
            None => quote = Some(c).filter(|c| matches!(c, '\'' | '"')),
        }
        text.push(c);
    }
    match marks == values.len() {
        true => Ok(text),
        false => Err(invalid(format!("where has {marks} question marks for {} values", values.len()))),
    }
}

/// Literal of a value, or the list of an array's values, in parentheses.
fn literal(value: &Value, number: usize) -> PyResult<String> {
    match value {
        Value::Null => Err(invalid(format!("value {number} of where is None: write IS NULL"))),
        // The text itself: a date would be written in another form, which LIKE would not find.
        Value::String(text) => Ok(format!("'{}'", text.replace('\'', "''"))),
        Value::Array(all) if !all.is_empty() && !all.iter().any(Value::is_array) => {
            let all: Vec<String> = all.iter().map(|value| literal(value, number)).collect::<PyResult<_>>()?;
            Ok(format!("({})", all.join(", ")))
        }
        scalar => selvedge_index::Value::of_json(scalar).map(|value| value.to_string()).ok_or_else(|| {
            invalid(format!("value {number} of where is {scalar}; give a text, a number, a bool, a date, or a list"))
        }),
    }
}
