//! Python's values as JSON, for metadata.

use crate::errors::{invalid, wrong_type};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Deepest nesting of a value, as of the index's own JSON.
const MAX_DEPTH: usize = 100;

/// Place of a value: the keys on its way.
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    key: &'a str,
    depth: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent.filter(|parent| parent.depth > 0) {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.key)
    }
}

/// Converts metadata: a dictionary of JSON's values. Dates become text of RFC 3339, which the index knows as dates, and
/// arrays lists or numbers (`tolist()`).
pub(crate) fn metadata(value: &Bound<'_, PyAny>, id: &str) -> PyResult<Option<Value>> {
    if value.is_none() {
        return Ok(None);
    }
    if !value.is_instance_of::<PyDict>() {
        let found = type_name(value);
        return Err(wrong_type(format!("metadata of {id:?} is a {found}; give a dictionary, or None")));
    }
    let about = || format!("metadata of {id:?}");
    let value = json(value, &ROOT).map_err(|error| named(value.py(), error, about))?;
    Ok(Some(value).filter(|value| value.as_object().is_some_and(|object| !object.is_empty())))
}

/// Converts a value of a filter.
pub(crate) fn value(value: &Bound<'_, PyAny>, number: usize) -> PyResult<Value> {
    json(value, &ROOT).map_err(|error| named(value.py(), error, || format!("value {number} of where")))
}

/// Place of the outermost value.
const ROOT: Place<'_> = Place { parent: None, key: "", depth: 0 };

/// Error of a value, with its place before it. An interruption stays one.
pub(crate) fn named(py: Python<'_>, error: PyErr, place: impl Fn() -> String) -> PyErr {
    match error.is_instance_of::<PyException>(py) {
        true => invalid(format!("{}: {}", place(), error.value(py))),
        false => error,
    }
}

fn json(value: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<Value> {
    if value.is_instance_of::<PyDict>() || value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        return several(value, place);
    }
    // Errors are of single values, so that each has its place once.
    let made = one(value).map_err(|error| match place.key {
        "" => error,
        _ => named(value.py(), error, || place.to_string()),
    });
    match made? {
        One::Value(value) => Ok(value),
        One::Array(listed) => json(&listed, &Place { parent: place.parent, key: place.key, depth: place.depth + 1 }),
    }
}

/// A single value, or the lists or the scalar of an array.
enum One<'py> {
    Value(Value),
    Array(Bound<'py, PyAny>),
}

/// Converts a dictionary or a list.
fn several(value: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<Value> {
    if place.depth > MAX_DEPTH {
        return Err(invalid(format!("nested more than {MAX_DEPTH} deep")));
    }
    if let Ok(object) = value.cast::<PyDict>() {
        return object_of(object, place);
    }
    let at = Place { parent: place.parent, key: place.key, depth: place.depth + 1 };
    value.try_iter()?.map(|item| json(&item?, &at)).collect()
}

/// Converts any other value.
fn one<'py>(value: &Bound<'py, PyAny>) -> PyResult<One<'py>> {
    let single = |value: Value| Ok(One::Value(value));
    if value.is_none() {
        return single(Value::Null);
    }
    if value.is_instance_of::<PyString>() {
        return single(Value::String(text(value)?));
    }
    if value.is_instance_of::<PyBool>() {
        return single(Value::Bool(value.extract()?));
    }
    if value.is_instance_of::<PyInt>() {
        let number = value.extract::<i64>().map(Number::from).or_else(|_| value.extract::<u64>().map(Number::from));
        let number = number.map_err(|_| invalid(format!("{value} does not fit 64 bits")))?;
        return single(Value::Number(number));
    }
    if value.is_instance_of::<PyFloat>() {
        let reason = || invalid(format!("{value} is no number of JSON; give None where there is no value"));
        return single(Value::Number(Number::from_f64(value.extract()?).ok_or_else(reason)?));
    }
    // NaT of pandas has both.
    if value.hasattr("total_seconds")? && !value.hasattr("year")? {
        return Err(invalid("a duration is no value of JSON"));
    }
    if value.hasattr("isoformat")? {
        return single(Value::String(date(value)?));
    }
    let of_numpy = value.getattr("dtype").and_then(|dtype| dtype.getattr("kind")?.extract::<String>());
    match of_numpy.as_deref() {
        // Nanoseconds would become numbers, as do dates that Python does not have.
        Ok("M") => {
            let listed = value.call_method1("astype", ("datetime64[us]",))?.call_method0("tolist")?;
            only_dates(&listed)?;
            Ok(One::Array(listed))
        }
        Ok("m") => Err(invalid("a duration is no value of JSON")),
        _ if value.hasattr("tolist")? => Ok(One::Array(value.call_method0("tolist")?)),
        _ => Err(invalid(format!("a {} is no value of JSON", type_name(value)))),
    }
}

/// Refuses values of an array of dates, as nested lists, that are none.
fn only_dates(listed: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(list) = listed.cast::<PyList>() {
        return list.iter().try_for_each(|item| only_dates(&item));
    }
    if listed.is_none() {
        return Err(not_a_time());
    }
    match listed.is_instance_of::<PyInt>() {
        true => Err(invalid("a date is not of the years 1 to 9999")),
        false => Ok(()),
    }
}

fn object_of(object: &Bound<'_, PyDict>, place: &Place<'_>) -> PyResult<Value> {
    let mut map = Map::new();
    // A copy, since a value's methods may change the dictionary.
    for item in object.items() {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        if !key.is_instance_of::<PyString>() {
            return Err(invalid(format!("the key {key} is a {}, not a str", type_name(&key))));
        }
        let key = text(&key)?;
        let at = Place { parent: Some(place), key: &key, depth: place.depth + 1 };
        let value = json(&value, &at)?;
        map.insert(key, value);
    }
    Ok(Value::Object(map))
}

/// Error of the value that numpy and pandas have in place of a missing time.
fn not_a_time() -> PyErr {
    invalid("NaT is no date; give None where there is no value")
}

/// Text of a date or a time by RFC 3339. A time without a zone is one of UTC, as a date is in the index; a time of day
/// stays a text.
fn date(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut iso = text(&value.call_method0("isoformat")?)?;
    if iso == "NaT" {
        return Err(not_a_time());
    }
    if !value.hasattr("year")? {
        return Ok(iso);
    }
    if value.hasattr("utcoffset")? && value.call_method0("utcoffset")?.is_none() {
        iso.push('Z');
    }
    match selvedge_index::Value::from(iso.as_str()) {
        selvedge_index::Value::Date(_) => Ok(iso),
        _ => Err(invalid(format!("{iso} is no date of RFC 3339"))),
    }
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
