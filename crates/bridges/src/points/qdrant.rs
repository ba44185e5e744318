//! Collections of Qdrant with multivectors, read by its REST API.
//!
//! **In:** the URL of a collection, such as `http://localhost:6333/collections/papers`. **Out:** its points in the order
//! of their ids. `GET` of the URL describes the collection; `POST URL/points/scroll` gives a page of points and the
//! offset of the next. A point's id stays; its payload is the metadata, of which one field is the text.
//!
//! Pages are read one after another. Their number of points follows the bytes of those before, so that one takes about
//! 8 MiB. A page that fails by a timeout, a lost connection or a status of 429 or 5xx is requested again.

use super::{FoundPoints, Point, Points, document};
use crate::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;
use ureq::Agent;

/// Bytes of JSON that a page should have.
const PAGE_BYTES: u64 = 8 << 20;
/// Most bytes of an answer: of one point, where a page of more is requested again with fewer.
const MAX_BYTES: u64 = 64 << 20;
/// Points of the first page.
const FIRST_POINTS: u64 = 16;
/// Most points of a page.
const MAX_POINTS: u64 = 1024;
/// Number of points of which one must have the text that was named.
const LOOKED_AT: u64 = 4096;
/// Times that a request is made.
const ATTEMPTS: u32 = 5;
/// Most bytes of an error's message that are shown.
const MESSAGE_BYTES: usize = 300;

/// Options of reading a collection.
#[derive(Clone)]
pub struct Options {
    /// Name of the vectors; `None` takes the only multivectors.
    pub vector: Option<String>,
    /// Field of the payload that is the text; `None` takes the first of [`TEXT_FIELDS`](super::TEXT_FIELDS).
    pub text_field: Option<String>,
    /// API key. It appears in no error.
    pub api_key: Option<String>,
    /// Time before a request is made again; it doubles each time.
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { vector: None, text_field: None, api_key: None, pause: Duration::from_millis(500) }
    }
}

/// A collection that is read.
pub struct Collection {
    client: Client,
    options: Options,
    found: FoundPoints,
    page: std::vec::IntoIter<RawPoint>,
    /// Offset of the next page; `None` after the last one.
    next: Option<Value>,
    limit: u64,
    /// Whether a point had the text that was named, and the number of points before.
    has_text: bool,
    without_text: u64,
}

/// An answer of Qdrant.
#[derive(Deserialize)]
struct Answer<T> {
    result: T,
}

#[derive(Deserialize)]
struct Info {
    config: InfoConfig,
    points_count: Option<u64>,
}

#[derive(Deserialize)]
struct InfoConfig {
    params: InfoParams,
}

#[derive(Deserialize)]
struct InfoParams {
    vectors: Option<Vectors>,
}

/// Vectors without a name, or several with one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Vectors {
    One(Params),
    Named(BTreeMap<String, Params>),
}

#[derive(Deserialize)]
struct Params {
    size: usize,
    distance: String,
    multivector_config: Option<MultivectorConfig>,
}

#[derive(Deserialize)]
struct MultivectorConfig {
    comparator: String,
}

#[derive(Deserialize)]
struct Page {
    points: Vec<RawPoint>,
    next_page_offset: Option<Value>,
}

#[derive(Deserialize)]
struct RawPoint {
    id: Value,
    payload: Option<Map<String, Value>>,
    vector: Option<RawVector>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawVector {
    One(Vec<Vec<f32>>),
    /// Some may be sparse or single vectors.
    Named(BTreeMap<String, Value>),
}

impl Collection {
    /// Asks for the description of a collection, and chooses the vectors.
    ///
    /// # Errors
    /// - [`Error::Url`] if the URL is not that of a collection.
    /// - [`Error::Unreachable`] and [`Error::Status`] if there is no answer, or it is an error.
    /// - [`Error::Answer`] if it is not an answer of Qdrant.
    /// - [`Error::Vectors`] if the collection has no multivectors compared by `max_sim`, several and none is named, or
    ///   none of that name, or their distance is neither the cosine nor the dot product.
    pub fn open(url: &str, options: Options) -> Result<Self> {
        let client = Client::new(url, &options)?;
        let (bytes, _) = client.ask(None, MAX_BYTES)?;
        let info: Answer<Info> = client.parse(&bytes)?;
        let (vector, dim) = choose(&client.url, info.result.config.params.vectors, options.vector.as_deref())?;
        let found = FoundPoints { format: "qdrant", dim, points: info.result.points_count, vector };
        let (page, next) = (Vec::new().into_iter(), Some(Value::Null));
        Ok(Self { client, options, found, page, next, limit: FIRST_POINTS, has_text: false, without_text: 0 })
    }

    /// Reads the next page.
    fn turn(&mut self, offset: &Value) -> Result<()> {
        let with_vector = if self.found.vector.is_empty() { json!(true) } else { json!([self.found.vector]) };
        let (bytes, page) = loop {
            let mut request = json!({ "limit": self.limit, "with_payload": true, "with_vector": with_vector });
            if !offset.is_null() {
                request["offset"] = offset.clone();
            }
            match self.client.ask(Some(&request), MAX_BYTES)? {
                (_, true) if self.limit > 1 => self.limit = (self.limit / 4).max(1),
                (_, true) => {
                    let reason = format!("one point has more than {MAX_BYTES} bytes");
                    return Err(self.client.bad(reason));
                }
                (bytes, false) => {
                    let page: Answer<Page> = self.client.parse(&bytes)?;
                    break (bytes.len() as u64, page.result);
                }
            }
        };
        let is_stuck = page.points.is_empty() || page.next_page_offset.as_ref() == Some(offset);
        if is_stuck && page.next_page_offset.is_some() {
            return Err(self.client.bad(format!("the page at offset {offset} leads no further")));
        }
        self.check_text_field(&page)?;
        let each = bytes / (page.points.len() as u64).max(1);
        self.limit = (PAGE_BYTES / each.max(1)).clamp(1, MAX_POINTS);
        self.page = page.points.into_iter();
        self.next = page.next_page_offset;
        Ok(())
    }

    /// Checks that the field that was named is a text of a point, before too many are read in vain.
    fn check_text_field(&mut self, page: &Page) -> Result<()> {
        let Some(field) = self.options.text_field.as_ref().filter(|_| !self.has_text) else { return Ok(()) };
        let mut payloads = page.points.iter().filter_map(|point| point.payload.as_ref());
        self.has_text = payloads.clone().any(|payload| payload.get(field).is_some_and(Value::is_string));
        self.without_text += page.points.len() as u64;
        let is_late = self.without_text >= LOOKED_AT || page.next_page_offset.is_none();
        if self.has_text || self.without_text == 0 || !is_late {
            return Ok(());
        }
        let known: Vec<_> = payloads.next().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let (count, known) = (self.without_text, known.join(", "));
        Err(self
            .client
            .bad(format!("none of the first {count} points has a text {field:?}; fields of one are: {known}")))
    }

    /// Checks a point. Without a vector it has no tokens.
    fn point(&self, raw: RawPoint) -> Result<Point> {
        let id = match &raw.id {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            other => return Err(self.client.bad(format!("a point has the id {other}"))),
        };
        let matrix = match raw.vector {
            Some(RawVector::One(matrix)) if self.found.vector.is_empty() => matrix,
            Some(RawVector::Named(mut named)) => match named.remove(&self.found.vector) {
                Some(matrix) => serde_json::from_value(matrix)
                    .map_err(|error| self.client.bad(format!("the vectors of point {id}: {error}")))?,
                None if self.found.vector.is_empty() && !named.is_empty() => {
                    let names: Vec<_> = named.keys().map(String::as_str).collect();
                    let names = names.join(", ");
                    return Err(self.client.bad(format!("point {id} has vectors {names}, and none without a name")));
                }
                None => Vec::new(),
            },
            None => Vec::new(),
            Some(RawVector::One(_)) => return Err(self.client.bad(format!("the vectors of point {id} have no name"))),
        };
        if let Some(row) = matrix.iter().find(|row| row.len() != self.found.dim) {
            let (found, expected) = (row.len(), self.found.dim);
            return Err(self.client.bad(format!("a vector of point {id} has {found} components, expected {expected}")));
        }
        let document = document(id, raw.payload.unwrap_or_default(), self.options.text_field.as_deref());
        Ok(Point { document, rows: matrix.concat() })
    }
}

impl Points for Collection {
    fn found(&self) -> &FoundPoints {
        &self.found
    }
}

impl Iterator for Collection {
    type Item = Result<Point>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(raw) = self.page.next() {
                return Some(self.point(raw));
            }
            let offset = self.next.take()?;
            if let Err(error) = self.turn(&offset) {
                return Some(Err(error));
            }
        }
    }
}

/// Chooses the vectors: their name, empty if they have none, and their dimension.
fn choose(url: &str, vectors: Option<Vectors>, name: Option<&str>) -> Result<(String, usize)> {
    let named = match vectors {
        Some(Vectors::One(params)) => BTreeMap::from([(String::new(), params)]),
        Some(Vectors::Named(named)) => named,
        None => BTreeMap::new(),
    };
    let multi = |params: &Params| params.multivector_config.as_ref().is_some_and(|of| of.comparator == "max_sim");
    let names: Vec<String> = named.iter().filter(|(_, params)| multi(params)).map(|(name, _)| name.clone()).collect();
    let bad = |reason: &str| Error::Vectors { url: url.into(), reason: reason.into(), names: names.clone() };
    let (name, params) = match (name, names.as_slice()) {
        (_, []) => return Err(bad("no vectors have a multivector_config with the comparator max_sim")),
        (Some(name), _) if names.iter().any(|known| known == name) => (name, &named[name]),
        (Some(_), _) => return Err(bad("no multivectors have this name")),
        (None, [only]) => (only.as_str(), &named[only]),
        (None, _) => return Err(bad("there are several multivectors")),
    };
    match params.distance.as_str() {
        "Cosine" | "Dot" => Ok((name.to_owned(), params.size)),
        other => Err(bad(&format!("MaxSim is a sum of dot products, and these are compared by {other}"))),
    }
}

/// Requests to one collection.
struct Client {
    url: String,
    agent: Agent,
    api_key: Option<String>,
    pause: Duration,
}

/// Failure of one attempt.
enum Failure {
    /// It may succeed later.
    Passing(String),
    Final(Error),
}

impl Client {
    fn new(url: &str, options: &Options) -> Result<Self> {
        let bad = |reason| Error::Url { url: url.into(), reason };
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let rest = rest.ok_or_else(|| bad("it begins with neither http:// nor https://"))?.trim_end_matches('/');
        // The URL is not shown: it may hold a secret.
        if rest.contains('@') {
            let reason = "credentials do not belong into it; give the API key in its environment variable";
            return Err(Error::Url { url: "the URL of the collection".into(), reason });
        }
        let name = rest.split_once("/collections/").map(|(_, name)| name).unwrap_or_default();
        if name.is_empty() || rest.contains(['?', '#']) || name.contains('/') {
            return Err(bad("expected one such as http://localhost:6333/collections/NAME"));
        }
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A key is sent to no other address.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(seconds(10))
            .timeout_recv_response(seconds(60))
            .timeout_recv_body(seconds(120));
        let (agent, url) = (config.build().into(), url.trim_end_matches('/').to_owned());
        Ok(Self { url, agent, api_key: options.api_key.clone(), pause: options.pause })
    }

    /// Asks for the collection, or for the page of a request. Returns at most `most` bytes, and whether there are more.
    fn ask(&self, scroll: Option<&Value>, most: u64) -> Result<(Vec<u8>, bool)> {
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(self.pause * (1 << (attempt - 1)));
            }
            match self.attempt(scroll, most) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(why)) => reason = why,
            }
        }
        Err(Error::Unreachable { url: self.url.clone(), attempts: ATTEMPTS, reason })
    }

    fn attempt(&self, scroll: Option<&Value>, most: u64) -> Result<(Vec<u8>, bool), Failure> {
        let key = self.api_key.as_deref();
        let sent = match scroll {
            None => {
                let request = self.agent.get(&self.url);
                key.into_iter().fold(request, |request, key| request.header("api-key", key)).call()
            }
            Some(body) => {
                let request = self.agent.post(format!("{}/points/scroll", self.url));
                let request = key.into_iter().fold(request, |request, key| request.header("api-key", key));
                request.header("content-type", "application/json").send(body.to_string().as_bytes())
            }
        };
        let mut answer = sent.map_err(|error| self.failure(&error))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        let read = answer.body_mut().as_reader().take(most + 1).read_to_end(&mut bytes);
        read.map_err(|error| Failure::Passing(error.to_string()))?;
        match status {
            200 => {
                let has_more = bytes.len() as u64 > most;
                Ok((bytes, has_more))
            }
            429 | 500.. => Err(Failure::Passing(format!("HTTP {status}: {}", message(&bytes)))),
            _ => Err(Failure::Final(Error::Status { url: self.url.clone(), status, message: message(&bytes) })),
        }
    }

    fn failure(&self, error: &ureq::Error) -> Failure {
        let reason = error.to_string();
        match error {
            ureq::Error::Timeout(_) | ureq::Error::Io(_) | ureq::Error::ConnectionFailed => Failure::Passing(reason),
            ureq::Error::Protocol(_) => Failure::Passing(reason),
            _ => Failure::Final(Error::Unreachable { url: self.url.clone(), attempts: 1, reason }),
        }
    }

    fn parse<T: for<'a> Deserialize<'a>>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|error| self.bad(format!("not an answer of Qdrant: {error}")))
    }

    fn bad(&self, reason: String) -> Error {
        Error::Answer { url: self.url.clone(), reason }
    }
}

/// The message of an error: `status.error` of Qdrant's JSON, or the beginning of the text.
fn message(bytes: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(bytes).ok();
    let said = json.as_ref().and_then(|json| json["status"]["error"].as_str());
    let text = said.map_or_else(|| String::from_utf8_lossy(bytes), Into::into);
    let end = text.char_indices().map(|(at, _)| at).find(|&at| at >= MESSAGE_BYTES).unwrap_or(text.len());
    text[..end].trim().replace(char::is_control, " ")
}
