//! Collections of Qdrant, served by a few lines over TCP: pages, vectors, payloads, failures.

use selvedge_bridges::points::qdrant::{Collection, Options};
use selvedge_bridges::points::{Point, Points};
use selvedge_bridges::{Error, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

/// A request: first line, headers in lower case, body.
struct Request {
    line: String,
    headers: String,
    body: Value,
}

/// Serves answers, status and body, until the process ends. Returns the URL of the collection `papers`.
fn serve(mut answer: impl FnMut(Request) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/collections/papers", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut headers) = (String::new(), String::new());
            reader.read_line(&mut line).unwrap();
            while !headers.ends_with("\r\n\r\n") && headers != "\r\n" {
                reader.read_line(&mut headers).unwrap();
            }
            let headers = headers.to_lowercase();
            let length = headers.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (status, text) = answer(Request { line: line.trim().to_owned(), headers, body });
            // A status of 0 is a lost connection.
            if status > 0 {
                let length = text.len();
                write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}")
                    .unwrap();
            }
        }
    });
    url
}

/// Description of a collection with these vectors.
fn info(vectors: &Value) -> (u16, String) {
    (200, json!({ "result": { "config": { "params": { "vectors": vectors } }, "points_count": 3 } }).to_string())
}

fn multi(size: usize) -> Value {
    json!({ "size": size, "distance": "Cosine", "multivector_config": { "comparator": "max_sim" } })
}

fn page(points: &Value, next: &Value) -> (u16, String) {
    (200, json!({ "result": { "points": points, "next_page_offset": next }, "status": "ok" }).to_string())
}

fn quick() -> Options {
    Options { pause: Duration::from_millis(1), ..Options::default() }
}

fn read(url: &str, options: Options) -> Result<Vec<Point>> {
    Collection::open(url, options)?.collect()
}

#[test]
fn pages_are_read_with_ids_texts_and_metadata() {
    let url = serve(|request| match request.line.as_str() {
        "GET /collections/papers HTTP/1.1" => {
            info(&json!({ "late": multi(2), "dense": { "size": 9, "distance": "Dot" } }))
        }
        "POST /collections/papers/points/scroll HTTP/1.1" => {
            assert_eq!((&request.body["with_vector"], &request.body["with_payload"]), (&json!(["late"]), &json!(true)));
            assert!(request.headers.contains("api-key: secret\r\n"), "{}", request.headers);
            match request.body["offset"].as_str() {
                None => {
                    let payload = json!({ "title": "T", "page_content": "a text", "year": 2020 });
                    let first = json!({ "id": 7, "payload": payload, "vector": { "late": [[1, 2.5], [-3, 4]] } });
                    page(&json!([first]), &json!("b-2"))
                }
                Some("b-2") => {
                    let payload = json!({ "text": 1, "content": "other" });
                    page(
                        &json!([
                            { "id": "b-2", "payload": payload, "vector": { "late": [[0.5, 0.25]] } },
                            { "id": "b-3", "payload": null, "vector": {} }
                        ]),
                        &Value::Null,
                    )
                }
                Some(other) => panic!("{other}"),
            }
        }
        other => panic!("{other}"),
    });
    let options = Options { api_key: Some("secret".into()), ..quick() };
    let collection = Collection::open(&format!("{url}/"), options.clone()).unwrap();
    let found = collection.found();
    assert_eq!((found.dim, found.points, found.vector.as_str()), (2, Some(3), "late"));
    let points: Vec<Point> = collection.collect::<Result<_>>().unwrap();
    let short: Vec<_> =
        points.iter().map(|p| (p.document.id.as_str(), p.document.text.as_str(), p.rows.len())).collect();
    assert_eq!(short, [("7", "a text", 4), ("b-2", "other", 2), ("b-3", "", 0)]);
    assert_eq!(points[0].rows, [1.0, 2.5, -3.0, 4.0]);
    assert_eq!(points[0].document.metadata, Some(json!({ "title": "T", "year": 2020 })));
    assert_eq!((&points[1].document.metadata, &points[2].document.metadata), (&Some(json!({ "text": 1 })), &None));
    // A field that is named: what it holds is the text, and the usual names are metadata.
    let points = read(&url, Options { text_field: Some("title".into()), ..options.clone() }).unwrap();
    assert_eq!((points[0].document.text.as_str(), points[1].document.text.as_str()), ("T", ""));
    assert_eq!(points[0].document.metadata.as_ref().unwrap()["page_content"], "a text");
    let said = read(&url, Options { text_field: Some("body".into()), ..options.clone() }).unwrap_err().to_string();
    assert!(
        said.contains("none of the first 3 points has a text \"body\"; fields of one are: content, text"),
        "{said}"
    );
    // On the second page alone.
    let points = read(&url, Options { text_field: Some("content".into()), ..options }).unwrap();
    assert_eq!(points[1].document.text, "other");
}

#[test]
fn failures_that_pass_are_tried_again_and_others_are_not() {
    let mut requests = 0;
    let url = serve(move |request| {
        requests += 1;
        match requests {
            1 => (503, "starting".into()),
            2 => (0, String::new()),
            3 => info(&multi(1)),
            4 => (500, "{\"status\": {\"error\": \"busy\"}}".into()),
            5 => {
                assert_eq!(request.body["with_vector"], true);
                page(&json!([{ "id": 1, "vector": [[1.0]] }]), &Value::Null)
            }
            _ => (403, "{\"status\": {\"error\": \"forbidden\"}}".into()),
        }
    });
    assert_eq!(read(&url, quick()).unwrap().len(), 1);
    let refused = read(&url, Options { api_key: Some("secret".into()), ..quick() }).unwrap_err();
    assert!(matches!(&refused, Error::Status { status: 403, message, .. } if message == "forbidden"));
    let said = refused.to_string();
    assert!(said.contains(&url) && said.contains("API key") && !said.contains("secret"), "{said}");

    let down = serve(|_| (502, "down".into()));
    let refused = read(&down, quick()).unwrap_err();
    assert!(
        matches!(&refused, Error::Unreachable { attempts: 5, reason, .. } if reason == "HTTP 502: down"),
        "{refused}"
    );
    let moved = serve(|_| (307, String::new()));
    assert!(matches!(read(&moved, quick()), Err(Error::Status { status: 307, .. })));
}

#[test]
fn vectors_are_chosen_by_name_or_the_names_are_listed() {
    let both = json!({ "a": multi(2), "b": multi(4), "dense": { "size": 9, "distance": "Dot" } });
    let url = serve(move |_| info(&both));
    let open = |name: Option<&str>| Collection::open(&url, Options { vector: name.map(Into::into), ..quick() });
    assert_eq!(open(Some("b")).ok().unwrap().found().dim, 4);
    for name in [None, Some("dense"), Some("c")] {
        let refused = open(name).err().unwrap();
        assert!(matches!(&refused, Error::Vectors { names, .. } if names == &["a", "b"]), "{name:?}: {refused}");
    }
    let dense = serve(|_| info(&json!({ "size": 9, "distance": "Cosine" })));
    assert!(matches!(read(&dense, quick()), Err(Error::Vectors { names, .. }) if names.is_empty()));
    let far = json!({ "size": 9, "distance": "Euclid", "multivector_config": { "comparator": "max_sim" } });
    let far = serve(move |_| info(&far));
    assert!(read(&far, quick()).unwrap_err().to_string().contains("compared by Euclid"));
}

#[test]
fn answers_that_are_not_of_qdrant_are_errors() {
    for (answer, reason) in [
        (page(&json!([{ "id": 1, "vector": [[1.0]] }]), &json!(1)), None),
        (page(&json!([{ "id": 1, "vector": [[1.0, 2.0]] }]), &Value::Null), Some("2 components, expected 1")),
        (page(&json!([{ "id": [], "vector": [[1.0]] }]), &Value::Null), Some("has the id []")),
        (page(&json!([{ "id": 1, "vector": [1.0] }]), &Value::Null), Some("not an answer of Qdrant")),
        (page(&json!([{ "id": 1, "vector": { "x": [[1.0]] } }]), &Value::Null), Some("none without a name")),
        (page(&json!([{ "id": 1, "vector": { "": "a" } }]), &Value::Null), Some("the vectors of point 1")),
        // Sparse vectors stand beside those without a name.
        (page(&json!([{ "id": 1, "vector": { "": [[]], "s": { "indices": [3] } } }]), &Value::Null), Some("0 comp")),
        (page(&json!([{ "id": 1, "vector": {} }]), &Value::Null), None),
        (page(&json!([]), &json!(5)), Some("leads no further")),
        ((200, "<html>".into()), Some("not an answer of Qdrant")),
    ] {
        let url = serve({
            let answer = answer.clone();
            move |request| if request.line.starts_with("GET") { info(&multi(1)) } else { answer.clone() }
        });
        match (read(&url, quick()), reason) {
            (Err(error), Some(reason)) => assert!(error.to_string().contains(reason), "{error}"),
            // The same page for ever ends.
            (Err(error), None) => assert!(error.to_string().contains("leads no further"), "{error}"),
            (Ok(points), None) => assert!(points[0].rows.is_empty()),
            (Ok(_), Some(reason)) => panic!("expected: {reason}"),
        }
    }
    for url in [
        "localhost:6333/collections/a",
        "http://localhost:6333",
        "http://h/collections/a/points",
        "http://h/collections/a?x",
    ] {
        assert!(matches!(Collection::open(url, quick()), Err(Error::Url { .. })), "{url}");
    }
    let said = Collection::open("http://me:secret@h/collections/a", quick()).err().unwrap().to_string();
    assert!(!said.contains("secret"), "{said}");
}
