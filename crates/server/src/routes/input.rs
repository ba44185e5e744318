//! Parts of requests: JSON bodies, embeddings, filters, ids.

use crate::error::{ApiError, Result};
use crate::state::App;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use selvedge::Filter;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Bytes of a body that are read on the async threads.
const QUICK_BYTES: usize = 64 << 10;
/// Most components of an embedding.
const MOST_DIM: usize = 4096;
/// Most bytes of an id.
const LONGEST_ID: usize = 4096;
/// Most bytes of a filter as text, and most values that a filter compares with.
const LONGEST_FILTER: usize = 256 << 10;
const MOST_VALUES: usize = 20_000;

/// A body of JSON. Errors name the field.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Arc<App>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, app).await?;
        Self::read(app, bytes).await
    }
}

impl<T: DeserializeOwned + Send + 'static> Json<T> {
    /// Reads a body, on the pool if that takes longer than a change of the thread.
    pub(crate) async fn read(app: &App, bytes: Bytes) -> Result<Self> {
        match bytes.len() {
            ..=QUICK_BYTES => Self::from_bytes(&bytes),
            _ => app.reads.run(move || Self::from_bytes(&bytes)).await?,
        }
    }
}

impl<T: DeserializeOwned> Json<T> {
    /// Reads a body.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        // Structures are read from arrays, too, field by field.
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(ApiError::bad_request("expected an object, not an array"));
        }
        let axum::Json(value) = axum::Json::from_bytes(bytes)?;
        Ok(Self(value))
    }
}

/// A body of JSON that is not read yet.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl FromRequest<Arc<App>> for JsonBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        if !is_json(content_type(&request)) {
            let message = "expected a body of the Content-Type application/json";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        body(request, app).await.map(Self)
    }
}

/// The type of a request's body, without parameters.
pub(crate) fn content_type(request: &Request) -> &str {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

fn is_json(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
}

/// The whole body of a request.
pub(crate) async fn body(request: Request, app: &Arc<App>) -> Result<Bytes> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > app.config.max_body as u64) {
        let message = format!("the body is larger than {} bytes", app.config.max_body);
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message));
    }
    let read = Bytes::from_request(request, app);
    // A client that sends byte by byte must not keep a place for ever.
    Ok(tokio::time::timeout(app.config.timeout(None), read).await.map_err(|_| slow_body())??)
}

/// A part of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let axum::extract::Path(value) = axum::extract::Path::from_request_parts(parts, app).await?;
        Ok(Self(value))
    }
}

/// The parameters after the path.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let axum::extract::Query(value) = axum::extract::Query::from_request_parts(parts, app).await?;
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
                check_dim(dim)?;
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
    check_dim(dim)?;
    let bytes = STANDARD.decode(base64).map_err(|error| ApiError::bad_request(format!("base64: {error}")))?;
    let expected = len.checked_mul(dim).and_then(|count| count.checked_mul(4));
    if expected != Some(bytes.len()) {
        let message = format!("{} bytes are not the f32 of shape [{len}, {dim}]", bytes.len());
        return Err(ApiError::bad_request(message));
    }
    let floats = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")));
    Ok((floats.collect(), dim))
}

/// Checks that embeddings can have a dimension; 0 is that of none.
pub(crate) fn check_dim(dim: usize) -> Result<()> {
    match dim <= MOST_DIM {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!("embeddings of {dim} components; at most {MOST_DIM}"))),
    }
}

/// Encodes f32 as base64 of their little-endian bytes.
pub(crate) fn encoded(floats: &[f32]) -> String {
    STANDARD.encode(floats.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

/// A filter: a text in the grammar of `--where`, or JSON.
pub(crate) fn filter(value: Value) -> Result<Filter> {
    let bad = |reason: String| ApiError::new(StatusCode::BAD_REQUEST, "BAD_FILTER", format!("where: {reason}"));
    match value {
        Value::String(text) if text.len() > LONGEST_FILTER => {
            Err(bad(format!("{} bytes; at most {LONGEST_FILTER}", text.len())))
        }
        Value::String(text) => Ok(text.parse::<Filter>()?),
        json if num_values(&json) > MOST_VALUES => Err(bad(format!("more than {MOST_VALUES} keys and values"))),
        json => serde_json::from_value(json).map_err(|error| bad(error.to_string())),
    }
}

/// Number of texts, numbers and constants.
fn num_values(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(num_values).sum(),
        Value::Object(fields) => fields.values().map(num_values).sum(),
        _ => 1,
    }
}

/// An id: a text, or a number as it is written.
pub(crate) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(id) if id.len() > LONGEST_ID => {
            Err(serde::de::Error::custom(format!("an id of {} bytes; at most {LONGEST_ID}", id.len())))
        }
        Value::String(id) => Ok(id),
        // Others are rounded when they are read.
        Value::Number(id) if id.is_i64() || id.is_u64() => Ok(id.to_string()),
        other => Err(serde::de::Error::custom(format!("an id is a text or an integer of 64 bits, not {other}"))),
    }
}

/// A list of ids, or null.
pub(crate) fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    struct Id(#[serde(deserialize_with = "id")] String);
    let ids = Option::<Vec<Id>>::deserialize(deserializer)?;
    Ok(ids.map(|ids| ids.into_iter().map(|Id(id)| id).collect()))
}
