//! Python's values as JSON, for metadata.

use crate::errors::{invalid, wrong_type};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// Deepest nesting of a value, as of the index's own JSON.
const MAX_DEPTH: usize = 100;

/// Converts metadata: a dictionary of JSON's values. Dates become text (`isoformat()`), scalars of arrays numbers
/// (`item()`).
pub(crate) fn metadata(value: &Bound<'_, PyAny>, id: &str) -> PyResult<Option<Value>> {
    if value.is_none() {
        return Ok(None);
    }
    if !value.is_instance_of::<PyDict>() {
        let found = type_name(value);
        return Err(wrong_type(format!("metadata of {id:?} is a {found}; give a dictionary, or None")));
    }
    let of_id = |error: PyErr| match error.is_instance_of::<pyo3::exceptions::PyException>(value.py()) {
        true => invalid(format!("metadata of {id:?}: {}", error.value(value.py()))),
        false => error,
    };
    let value = json(value, 0).map_err(of_id)?;
    Ok(Some(value).filter(|value| value.as_object().is_some_and(|object| !object.is_empty())))
}

fn json(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > MAX_DEPTH {
        return Err(invalid(format!("nested more than {MAX_DEPTH} deep")));
    }
    if value.is_none() {
        return Ok(Value::Null);
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Value::String(text(value)?));
    }
    if value.is_instance_of::<PyBool>() {
        return Ok(Value::Bool(value.extract()?));
    }
    if value.is_instance_of::<PyInt>() {
        let number = value.extract::<i64>().map(Number::from).or_else(|_| value.extract::<u64>().map(Number::from));
        return number.map(Value::Number).map_err(|_| invalid(format!("{value} does not fit 64 bits")));
    }
    if value.is_instance_of::<PyFloat>() {
        let number = Number::from_f64(value.extract()?);
        return number.map(Value::Number).ok_or_else(|| invalid(format!("{value} is no number of JSON")));
    }
    if let Ok(object) = value.cast::<PyDict>() {
        let mut map = Map::new();
        // A copy, since a value's methods may change the dictionary.
        for item in object.items() {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            if !key.is_instance_of::<PyString>() {
                return Err(invalid(format!("the key {key} is a {}, not a str", type_name(&key))));
            }
            map.insert(text(&key)?, json(&value, depth + 1)?);
        }
        return Ok(Value::Object(map));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        return value.try_iter()?.map(|item| json(&item?, depth + 1)).collect();
    }
    for method in ["isoformat", "item"] {
        if value.hasattr(method)? {
            return json(&value.call_method0(method)?, depth + 1);
        }
    }
    Err(invalid(format!("a {} is no value of JSON", type_name(value))))
}

/// Text of a `str`, which may hold surrogates that are no text.
pub(crate) fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let Ok(text) = value.cast::<PyString>() else {
        return Err(wrong_type(format!("expected a str, found a {}", type_name(value))));
    };
    text.extract().map_err(|_| invalid(format!("{:?} has surrogates, which are no text in UTF-8", text)))
}

/// Name of a value's type, for messages.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "value".to_owned(), |name| name.to_string())
}
