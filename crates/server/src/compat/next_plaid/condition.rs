//! Conditions of next-plaid, such as `category = ? AND score > ?`, as [filters](mod@selvedge::filter).
//!
//! Each `?` outside of quotes becomes the literal of its parameter, in quotes that a text cannot leave; what comes out
//! is parsed by the grammar of filters, which knows literals, columns and comparisons alone.
//!
//! SQLite knows no booleans: `true` is stored as 1, so that a comparison with one finds the other. Here both are kept
//! apart, and a comparison with `true`, `false`, 0 or 1 looks for both.
//!
//! Different from SQLite: a key that no document has finds nothing and is no error, LIKE tells upper from lower case,
//! and a number finds no text of its digits. `_subset_` is no key: `subset` and `document_ids` are for that.

use super::unsupported;
use crate::error::{ApiError, Result};
use selvedge::{Filter, Value};
use serde_json::Value as Json;

/// The filter of a condition and its parameters.
pub(super) fn filter(condition: &str, parameters: &[Json]) -> Result<Filter> {
    if condition.trim().is_empty() {
        return Err(ApiError::bad_request("the condition is empty"));
    }
    let text = substituted(condition, parameters)?;
    let filter: Filter = text.parse().map_err(|error| bad(&format!("{error}")))?;
    if filter.keys().iter().any(|(key, _)| key.eq_ignore_ascii_case("_subset_")) {
        return Err(bad("_subset_ is no key here: give subset, or document_ids"));
    }
    Ok(loose(filter, true))
}

fn bad(reason: &str) -> ApiError {
    ApiError::bad_request(format!("condition: {reason}"))
}

/// The condition with its parameters as literals.
fn substituted(condition: &str, parameters: &[Json]) -> Result<String> {
    let mut text = String::with_capacity(condition.len());
    let mut rest = parameters.iter();
    for (part, is_quoted) in parts(condition) {
        if is_quoted {
            text.push_str(part);
            continue;
        }
        if part.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word.eq_ignore_ascii_case("regexp")) {
            return Err(unsupported("REGEXP is not supported; LIKE is"));
        }
        for (n, piece) in part.split('?').enumerate() {
            if n > 0 {
                let value = rest.next().ok_or_else(|| bad("it has more ? than parameters"))?;
                // Blanks keep a literal from joining with what is beside it.
                text.extend([" ", &literal(value)?, " "]);
            }
            text.push_str(piece);
        }
    }
    match rest.next() {
        None => Ok(text),
        Some(_) => Err(bad("it has fewer ? than parameters")),
    }
}

/// Parts of a condition, and whether each is in quotes. A quote that is not closed goes on to the end.
fn parts(condition: &str) -> Vec<(&str, bool)> {
    let (mut parts, mut rest) = (Vec::new(), condition);
    while let Some(at) = rest.find(['\'', '"']) {
        let quote = rest.as_bytes()[at] as char;
        let end = rest[at + 1..].find(quote).map_or(rest.len(), |len| at + len + 2);
        parts.extend([(&rest[..at], false), (&rest[at..end], true)]);
        rest = &rest[end..];
    }
    parts.push((rest, false));
    parts
}

/// The literal of a parameter.
fn literal(value: &Json) -> Result<String> {
    match value {
        Json::String(text) => Ok(format!("'{}'", text.replace('\'', "''"))),
        Json::Bool(true) => Ok("TRUE".into()),
        Json::Bool(false) => Ok("FALSE".into()),
        Json::Number(number) => Ok(number.to_string()),
        Json::Null => Err(bad("no value is equal to null; use IS NULL")),
        _ => Err(bad("a parameter is a text, a number, true or false")),
    }
}

/// The filter, or its opposite, in which 1 and `true` are one value, and 0 and `false`.
///
/// A comparison with one type, or its twin with the other type, is unknown; their OR is the one that is known. So the
/// opposite is taken of each, not of their OR.
fn loose(filter: Filter, is_true: bool) -> Filter {
    let all = |filters: Vec<Filter>| filters.into_iter().map(|filter| loose(filter, is_true)).collect();
    match filter {
        Filter::Not(inner) => loose(*inner, !is_true),
        Filter::And(filters) if is_true => Filter::And(all(filters)),
        Filter::Or(filters) if is_true => Filter::Or(all(filters)),
        Filter::And(filters) => Filter::Or(all(filters)),
        Filter::Or(filters) => Filter::And(all(filters)),
        leaf => {
            let signed = |filter: Filter| if is_true { filter } else { !filter };
            match twin(&leaf) {
                None => signed(leaf),
                Some(twin) => Filter::Or(vec![signed(leaf), signed(twin)]),
            }
        }
    }
}

/// Comparison with the other type of a boolean.
fn twin(filter: &Filter) -> Option<Filter> {
    let other = |value: &Value| match value {
        Value::Bool(value) => Some(Value::Integer(i64::from(*value))),
        Value::Integer(value @ (0 | 1)) => Some(Value::Bool(*value == 1)),
        _ => None,
    };
    match filter {
        Filter::Eq(key, value) => Some(Filter::Eq(key.clone(), other(value)?)),
        Filter::Ne(key, value) => Some(Filter::Ne(key.clone(), other(value)?)),
        Filter::In(key, values) => {
            let values: Vec<Value> = values.iter().filter_map(other).collect();
            (!values.is_empty()).then(|| Filter::In(key.clone(), values))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge::filter::key;
    use serde_json::json;

    fn made(condition: &str, parameters: Json) -> Result<Filter> {
        filter(condition, parameters.as_array().unwrap())
    }

    #[test]
    fn parameters_become_typed_values() {
        let expected = key("category").eq("science") & key("score").gt(90);
        assert_eq!(made("category = ? AND score > ?", json!(["science", 90])).unwrap(), expected);
        assert_eq!(made("x IN (?,?)", json!(["a", "b"])).unwrap(), key("x").is_in(["a", "b"]));
        assert_eq!(made("x BETWEEN ? AND ?", json!([2, 2.5])).unwrap(), key("x").between(2, 2.5));
        assert_eq!(made("x LIKE ?", json!(["%s"])).unwrap(), key("x").like("%s"));
        assert_eq!(made("x IS NOT NULL", json!([])).unwrap(), !key("x").is_null());
        assert_eq!(made("x<?", json!([-1e-7])).unwrap(), key("x").lt(-1e-7));
        assert_eq!(made("a = 'why?' AND \"b?\" = ?", json!([7])).unwrap(), key("a").eq("why?") & key("b?").eq(7));
    }

    #[test]
    fn a_parameter_stays_a_value() {
        for text in ["' OR TRUE OR x = '", "''", "'", "?", "x' -- ", "\\'", "\"", "TRUE"] {
            assert_eq!(made("x = ?", json!([text])).unwrap(), key("x").eq(text), "{text}");
            assert_eq!(
                made("x = ? AND y = ?", json!([text, 5])).unwrap(),
                key("x").eq(text) & key("y").eq(5),
                "{text}"
            );
        }
    }

    #[test]
    fn booleans_and_their_numbers_are_one_value() {
        let either = |value: bool| Filter::Or(vec![key("x").eq(value), key("x").eq(i64::from(value))]);
        assert_eq!(made("x = ?", json!([true])).unwrap(), either(true));
        assert_eq!(made("x = FALSE", json!([])).unwrap(), either(false));
        let neither = Filter::Or(vec![!key("x").eq(1), !key("x").eq(true)]);
        assert_eq!(made("NOT (x = 1 AND y = 2)", json!([])).unwrap(), Filter::Or(vec![neither, !key("y").eq(2)]));
        let listed = Filter::Or(vec![key("x").is_in([1, 5]), key("x").is_in([true])]);
        assert_eq!(made("x IN (?, ?)", json!([1, 5])).unwrap(), listed);
        assert_eq!(made("x > ?", json!([1])).unwrap(), key("x").gt(1));
    }

    #[test]
    fn other_conditions_are_refused() {
        let refused = [
            ("", json!([])),
            ("x = ?", json!([])),
            ("x = ?", json!([1, 2])),
            ("x = ?", json!([null])),
            ("x = ?", json!([["a"]])),
            ("x = ? ? ?", json!([1, 2, 3])),
            ("x = 1; DROP TABLE y", json!([])),
            ("x = 'open", json!([])),
            ("_subset_ = ?", json!([1])),
            ("EXISTS (SELECT 1)", json!([])),
        ];
        for (condition, parameters) in refused {
            assert_eq!(made(condition, parameters).unwrap_err().code, "BAD_REQUEST", "{condition}");
        }
        assert_eq!(made("x REGEXP ?", json!(["a"])).unwrap_err().code, "NOT_IMPLEMENTED");
        assert!(made("x = 'regexp'", json!([])).is_ok());
    }
}
