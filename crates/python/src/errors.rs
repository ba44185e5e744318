//! Errors of the engine as exceptions of `selvedge_search.errors`, which carry the values.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use selvedge::{BackendError, Error, IndexError, SearchError};

/// Makes an exception of a class of `selvedge_search.errors`, with its message and values.
pub(crate) fn exception(class: &str, message: &str, values: &[(&str, Value)]) -> PyErr {
    Python::attach(|py| made(py, class, message, values).unwrap_or_else(|error| error))
}

fn made(py: Python<'_>, class: &str, message: &str, values: &[(&str, Value)]) -> PyResult<PyErr> {
    let class = py.import("selvedge_search.errors")?.getattr(class)?;
    let named = PyDict::new(py);
    for (name, value) in values {
        match value {
            Value::Text(text) => named.set_item(name, text)?,
            Value::Texts(texts) => named.set_item(name, texts)?,
            Value::Number(number) => named.set_item(name, number)?,
        }
    }
    Ok(PyErr::from_value(class.call((message,), Some(&named))?))
}

/// Value that an exception carries.
pub(crate) enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(u64),
}

/// Makes the exception of a value that is not allowed.
pub(crate) fn invalid(message: impl AsRef<str>) -> PyErr {
    exception("InvalidInput", message.as_ref(), &[])
}

/// Makes the exception of a value of a type that is not allowed.
pub(crate) fn wrong_type(message: impl AsRef<str>) -> PyErr {
    exception("WrongType", message.as_ref(), &[])
}

/// Converts an error of the engine.
pub(crate) fn to_py(error: Error) -> PyErr {
    let message = message_of(&error);
    let raise = |class: &str, values: &[(&str, Value)]| exception(class, &message, values);
    let text = |text: &dyn ToString| Value::Text(text.to_string());
    match &error {
        Error::Cancelled => raise("Cancelled", &[]),
        Error::UnknownIds { total, first } => {
            raise("UnknownIds", &[("ids", Value::Texts(first.clone())), ("total", Value::Number(*total as u64))])
        }
        Error::BadOption { option, value, .. } => {
            raise("InvalidInput", &[("name", text(option)), ("value", text(value))])
        }
        Error::BadEmbeddings { id, .. } => raise("InvalidInput", &[("id", text(id))]),
        Error::OtherEncoder { expected_model, found_model, .. } => {
            raise("ModelError", &[("expected", text(expected_model)), ("found", text(found_model))])
        }
        Error::StoredModel { model, .. } => raise("ModelError", &[("model", text(model))]),
        Error::Encoder(_) | Error::NoEncoder | Error::OtherModel { .. } => raise("ModelError", &[]),
        Error::Index(source) | Error::RefusedLine { source, .. } => of_index(source, &message),
        Error::Search(source) => of_search(source, &message),
        Error::Backend(source) => of_backend(source, &message),
        Error::UnreadableWords { source } => match &**source {
            Error::Index(source) => of_index(source, &message),
            _ => raise("CorruptIndex", &[]),
        },
        Error::Words(_) | Error::WordsMismatch { .. } | Error::Sources { .. } => raise("CorruptIndex", &[]),
        Error::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            raise("NotFound", &[("path", text(&path.display()))])
        }
        Error::Io { path, .. } => raise("ReadError", &[("path", text(&path.display()))]),
        Error::Line { path, line, .. } | Error::Utf8 { path, line } => {
            raise("InvalidInput", &[("path", text(&path.display())), ("line", Value::Number(*line as u64))])
        }
        Error::NotFollowed { report, .. } => {
            raise("NotFollowed", &[("generation", Value::Number(report.generation.into()))])
        }
        _ => raise("InvalidInput", &[]),
    }
}

/// Message of an error; where the engine's names a flag of the program, in Python's terms.
fn message_of(error: &Error) -> String {
    match error {
        Error::WithoutText { path, id } => format!(
            "{}: passage {id:?} has no text to encode again; train on what the index stores: \
             compact(retrain=\"stored\")",
            path.display()
        ),
        Error::MadeFromEmbeddings { path } => format!(
            "{}: the index was made from embeddings: add embeddings, and retrain with compact(retrain=\"stored\")",
            path.display()
        ),
        Error::NothingJudged { judged, asked, .. } => {
            format!("no query is judged: the first judged is {judged:?}, the first query {asked:?}")
        }
        Error::NoneIndexed { judgments, judged, indexed, .. } => format!(
            "none of the {judgments} judged passages is in the index: judged are ids such as {judged:?}, the index has \
             such as {indexed:?}"
        ),
        Error::NoEncoder => "the index was made from embeddings and names no model: give embeddings, or open it with \
                             the encoder that made them, Index.open(path, model=...)"
            .into(),
        // Not only deletions look for ids.
        Error::UnknownIds { .. } => error.to_string().replace("; nothing is deleted", ""),
        Error::Search(SearchError::DimMismatch { .. }) => format!("{error}: encode with the model that made the index"),
        error => error.to_string(),
    }
}

fn of_index(error: &IndexError, message: &str) -> PyErr {
    let raise = |class: &str, values: &[(&str, Value)]| exception(class, message, values);
    let path = |path: &std::path::Path| ("path", Value::Text(path.display().to_string()));
    match error {
        IndexError::NoIndex { path: at } => raise("IndexNotFound", &[path(at)]),
        IndexError::Exists { path: at } => raise("IndexExists", &[path(at)]),
        IndexError::Locked { path: at, holder, .. } => {
            let pid = holder.split(|c: char| !c.is_ascii_digit()).find_map(|digits| digits.parse::<u64>().ok());
            let pid = pid.map(|pid| ("pid", Value::Number(pid)));
            raise("IndexLocked", &[Some(path(at)), pid].into_iter().flatten().collect::<Vec<_>>())
        }
        IndexError::IdExists { id } | IndexError::DuplicateId { id, .. } => {
            raise("IdExists", &[("id", Value::Text(id.clone()))])
        }
        IndexError::InvalidId { id, .. } | IndexError::Metadata { id } | IndexError::DocumentTooLarge { id, .. } => {
            raise("InvalidInput", &[("id", Value::Text(id.clone()))])
        }
        IndexError::TooMany { .. } | IndexError::OldFormat { .. } | IndexError::NoColumns { .. } => {
            raise("InvalidInput", &[])
        }
        IndexError::Io { path: at, .. } => raise("ReadError", &[path(at)]),
        IndexError::LockLost { path: at, .. } | IndexError::Conflict { path: at } => raise("IndexLocked", &[path(at)]),
        _ => raise("CorruptIndex", &[]),
    }
}

fn of_search(error: &SearchError, message: &str) -> PyErr {
    match error {
        SearchError::DimMismatch { expected, found } => {
            let number = |number: &usize| Value::Number(*number as u64);
            exception("DimensionMismatch", message, &[("expected", number(expected)), ("found", number(found))])
        }
        SearchError::FilterSyntax { column, .. } => {
            exception("InvalidInput", message, &[("column", Value::Number(*column as u64))])
        }
        SearchError::Index(error) => of_index(error, message),
        SearchError::Backend(error) => of_backend(error, message),
        _ => exception("InvalidInput", message, &[]),
    }
}

fn of_backend(error: &BackendError, message: &str) -> PyErr {
    let class = match error {
        BackendError::NoCudaDevice { .. } => "DeviceError",
        _ => "SelvedgeError",
    };
    exception(class, message, &[])
}
