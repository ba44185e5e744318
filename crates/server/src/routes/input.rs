//! Parts of requests: JSON bodies, embeddings, filters, ids.

use crate::error::{ApiError, Result};
use crate::state::App;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use selvedge::Filter;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// A body of JSON. Errors name the field.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        let read = axum::Json::from_request(request, app);
        // A client that sends byte by byte must not keep a place for ever.
        let read = tokio::time::timeout(app.config.timeout(None), read).await.map_err(|_| slow_body())?;
        let axum::Json(value) = read?;
        Ok(Self(value))
    }
}

/// Parts of a path. Errors are JSON, as all errors are.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let axum::extract::Path(value) = axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// The query of a URL. Errors are JSON, too.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let axum::extract::Query(value) = axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// The error of a body that does not arrive.
pub(crate) fn slow_body() -> ApiError {
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "SLOW_BODY", "the body did not arrive in time")
}

/// Embeddings of one text: rows of numbers, or base64 of little-endian f32 with a shape.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub(crate) enum EmbeddingsInput {
    /// `T` rows of `D` numbers.
    Rows(Vec<Vec<f32>>),
    /// The bytes of `(T, D)` f32, little-endian.
    Base64 {
        /// The bytes in base64.
        base64: String,
        /// `[T, D]`.
        shape: [usize; 2],
    },
}

/// By hand: of an untagged enum, serde keeps a copy of each number until it knows the variant, and its errors name
/// neither.
impl<'de> Deserialize<'de> for EmbeddingsInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EmbeddingsVisitor)
    }
}

/// Reads either form of embeddings.
struct EmbeddingsVisitor;

/// The form of embeddings in base64.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64Input {
    base64: String,
    shape: [usize; 2],
}

impl<'de> Visitor<'de> for EmbeddingsVisitor {
    type Value = EmbeddingsInput;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("rows of numbers, or {\"base64\", \"shape\"}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
        let mut all: Vec<Vec<f32>> = Vec::new();
        while let Some(row) = rows.next_element()? {
            all.push(row);
        }
        Ok(EmbeddingsInput::Rows(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let Base64Input { base64, shape } = Base64Input::deserialize(MapAccessDeserializer::new(map))?;
        Ok(EmbeddingsInput::Base64 { base64, shape })
    }
}

impl EmbeddingsInput {
    /// The embeddings `(T, D) f32` and `D`, which is 0 for no rows.
    pub(crate) fn rows(self) -> Result<(Vec<f32>, usize)> {
        match self {
            Self::Rows(rows) => {
                let dim = rows.first().map_or(0, Vec::len);
                if let Some(at) = rows.iter().position(|row| row.len() != dim) {
                    let found = rows[at].len();
                    let message = format!("row 0 of the embeddings has {dim} numbers, row {at} has {found}");
                    return Err(ApiError::bad_request(message));
                }
                Ok((rows.concat(), dim))
            }
            Self::Base64 { base64, shape } => decoded(&base64, shape),
        }
    }
}

/// Decodes base64 of `(T, D)` f32.
pub(crate) fn decoded(base64: &str, [len, dim]: [usize; 2]) -> Result<(Vec<f32>, usize)> {
    let bytes = STANDARD.decode(base64).map_err(|error| ApiError::bad_request(format!("base64: {error}")))?;
    let expected = len.checked_mul(dim).and_then(|count| count.checked_mul(4));
    if expected != Some(bytes.len()) {
        let message = format!("{} bytes are not the f32 of shape [{len}, {dim}]", bytes.len());
        return Err(ApiError::bad_request(message));
    }
    let floats = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")));
    Ok((floats.collect(), dim))
}

/// Encodes f32 as base64 of their little-endian bytes.
pub(crate) fn encoded(floats: &[f32]) -> String {
    STANDARD.encode(floats.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

/// A filter: a text in the grammar of `--where`, or JSON.
pub(crate) fn filter(value: Value) -> Result<Filter> {
    match value {
        Value::String(text) => Ok(text.parse::<Filter>()?),
        json => {
            let bad = |error| ApiError::new(StatusCode::BAD_REQUEST, "BAD_FILTER", format!("where: {error}"));
            serde_json::from_value(json).map_err(bad)
        }
    }
}

/// An id: a text, or a number as it is written.
pub(crate) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(id) => Ok(id),
        Value::Number(id) => Ok(id.to_string()),
        other => Err(serde::de::Error::custom(format!("an id is a text or a number, not {other}"))),
    }
}
