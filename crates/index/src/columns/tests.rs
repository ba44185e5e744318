//! Sets of passages, held to the metadata read one by one; and damaged files.

use super::{Columns, ColumnsBuilder, Value, ValueType};
use crate::error::Result;
use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::{Map, Value as Json, json};
use std::ops::Bound;

/// Columns of passages with this metadata.
fn columns(metadata: &[Json]) -> Columns {
    open(&payload(metadata), metadata.len()).unwrap()
}

fn payload(metadata: &[Json]) -> Vec<u8> {
    let mut builder = ColumnsBuilder::default();
    metadata.iter().for_each(|json| builder.push(json.to_string().as_bytes()));
    builder.into_bytes()
}

fn open(payload: &[u8], num_passages: usize) -> Result<Columns> {
    Columns::of_payload("columns".into(), &bytes::Bytes::copy_from_slice(payload), num_passages as u32)
}

/// All values that a JSON value has for a key of one or two names.
fn values(json: &Json, key: &str) -> Vec<Value> {
    let found = key.split('.').try_fold(json, |json, name| json.get(name));
    match found {
        Some(Json::Array(elements)) => elements.iter().filter_map(Value::of_json).collect(),
        Some(scalar) => Value::of_json(scalar).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Passages for which something holds of a value.
fn naive(metadata: &[Json], key: &str, holds: impl Fn(&Value) -> bool) -> RoaringBitmap {
    let passages = metadata.iter().zip(0..).filter(|(json, _)| values(json, key).iter().any(&holds));
    passages.map(|(_, pid)| pid).collect()
}

/// Whether a value is between two of its type.
fn is_within(value: &Value, low: &Bound<Value>, high: &Bound<Value>) -> bool {
    let order = |end: &Value| value.compare(end);
    let is_above = match low {
        Bound::Included(end) => order(end).is_some_and(|order| order.is_ge()),
        Bound::Excluded(end) => order(end).is_some_and(|order| order.is_gt()),
        Bound::Unbounded => true,
    };
    let is_below = match high {
        Bound::Included(end) => order(end).is_some_and(|order| order.is_le()),
        Bound::Excluded(end) => order(end).is_some_and(|order| order.is_lt()),
        Bound::Unbounded => true,
    };
    is_above && is_below
}

/// A scalar; with large `spread`, most are different from each other.
fn scalar(spread: i64) -> impl Strategy<Value = Json> + Clone {
    let day = |day: i64| json!(format!("20{:02}-{:02}-{:02}", day / 336 % 100, day / 28 % 12 + 1, day % 28 + 1));
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-spread..spread).prop_map(Json::from),
        (-spread..spread).prop_map(|n| json!(n as f64 / 4.0)),
        (-spread..spread).prop_map(|n| json!(n as f64 * 1e18)),
        (0..spread).prop_map(day),
        (0..spread).prop_map(|n| json!(format!("word {n}"))),
    ]
}

fn metadata(spread: i64, num_passages: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Json>> {
    let value = prop_oneof![4 => scalar(spread), 1 => prop::collection::vec(scalar(spread), 0..4).prop_map(Json::from)];
    let object = prop::option::of((value.clone(), prop::option::of(value))).prop_map(|fields| {
        let Some((value, nested)) = fields else { return json!({}) };
        json!({ "key": value, "in": nested.map(|value| json!({ "side": value })) })
    });
    prop::collection::vec(object, num_passages)
}

fn bound(spread: i64) -> impl Strategy<Value = Bound<Value>> {
    let value = scalar(spread).prop_filter_map("a value", |json| Value::of_json(&json));
    (value, 0..3).prop_map(|(value, bound)| match bound {
        0 => Bound::Unbounded,
        1 => Bound::Included(value),
        _ => Bound::Excluded(value),
    })
}

fn check(metadata: &[Json], low: &Bound<Value>, high: &Bound<Value>) -> std::result::Result<(), TestCaseError> {
    let columns = columns(metadata);
    for key in ["key", "in.side", "in", "none"] {
        let found = columns.within(key, low.as_ref(), high.as_ref()).unwrap();
        let is_bounded = !matches!((low, high), (Bound::Unbounded, Bound::Unbounded));
        prop_assert_eq!(found, naive(metadata, key, |value| is_bounded && is_within(value, low, high)));
        prop_assert_eq!(columns.present(key, None).unwrap(), naive(metadata, key, |_| true));
        for of in [ValueType::Bool, ValueType::Number, ValueType::Date, ValueType::Text] {
            prop_assert_eq!(columns.present(key, Some(of)).unwrap(), naive(metadata, key, |v| v.value_type() == of));
        }
        let is_word = |text: &str| text.ends_with('7');
        let found = columns.texts(key, "word 1", is_word).unwrap();
        let expected = naive(
            metadata,
            key,
            |value| matches!(value, Value::Text(text) if text.starts_with("word 1") && is_word(text)),
        );
        prop_assert_eq!(found, expected);
        let among: RoaringBitmap = (0..metadata.len() as u32).filter(|pid| pid % 3 != 1).collect();
        let counts = columns.counts(key, &among).unwrap();
        for (value, count) in &counts {
            prop_assert_eq!(*count, (naive(metadata, key, |v| v == value) & &among).len());
        }
        let mut found: Vec<Value> = among.iter().flat_map(|pid| values(&metadata[pid as usize], key)).collect();
        found.sort_by_key(|value| value.to_string());
        found.dedup();
        prop_assert_eq!(counts.len(), found.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn ranges_of_few_values(metadata in metadata(6, 0..60), low in bound(6), high in bound(6)) {
        check(&metadata, &low, &high)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Columns of many values hold pids rather than bitmaps.
    #[test]
    fn ranges_of_many_values(metadata in metadata(5000, 3000..3100), low in bound(5000), high in bound(5000)) {
        check(&metadata, &low, &high)?;
    }
}

/// In a large segment pids are scattered, and of a wide range the pids outside of it are read.
#[test]
fn ranges_of_a_large_segment() {
    let number = |pid: i64| pid * 7919 % 20_000;
    let metadata: Vec<Json> = (0..20_000).map(|pid| json!({ "key": number(pid), "half": number(pid) / 2 })).collect();
    let columns = columns(&metadata);
    for (low, high) in [(0, 20_000), (100, 200), (100, 9_000), (5, 19_990), (15_000, 30_000), (7, 7), (9, 8)] {
        let range = (Bound::Included(Value::Integer(low)), Bound::Excluded(Value::Integer(high)));
        for key in ["key", "half"] {
            let found = columns.within(key, range.0.as_ref(), range.1.as_ref()).unwrap();
            assert_eq!(
                found,
                naive(&metadata, key, |value| is_within(value, &range.0, &range.1)),
                "{key} {low} {high}"
            );
        }
    }
}

#[test]
fn long_texts_are_present_and_not_compared() {
    let long = "x".repeat(1025);
    let columns = columns(&[json!({ "key": long }), json!({ "key": "x" }), json!({ "key": &long[1..] })]);
    assert_eq!(columns.present("key", None).unwrap(), [0, 1, 2].into());
    assert_eq!(columns.present("key", Some(ValueType::Text)).unwrap(), [1, 2].into());
    assert_eq!(columns.texts("key", "x", |_| true).unwrap(), [1, 2].into());
}

#[test]
fn sizes_are_stated() {
    let metadata =
        [json!({ "a": 1, "b": { "c": ["x", "y", "x"] } }), json!({ "a": "one", "b": null }), json!({ "a": 1.0 })];
    let found: Vec<_> = columns(&metadata).infos().map(|i| (i.key, i.kind.to_string(), i.values, i.passages)).collect();
    let expected = [("a", "integer", 1, 2), ("a", "text", 1, 1), ("b.c", "text", 2, 1)];
    assert_eq!(found, expected.map(|(key, kind, values, passages)| (key.into(), kind.into(), values, passages)));
    assert_eq!(columns(&[]).infos().count(), 0);
}

/// Whatever byte of the file is changed, and wherever it ends: an error or an answer, no panic.
#[test]
fn damaged_files_do_not_panic() {
    let few: Vec<Json> = (0..40).map(|pid| json!({ "key": pid % 3, "text": format!("w{}", pid % 5) })).collect();
    let many: Vec<Json> = (0..600).map(|pid| json!({ "key": pid, "text": format!("w{pid}") })).collect();
    let number = Value::Integer(1);
    let ask = |payload: &[u8], num_passages| -> Result<()> {
        let columns = open(payload, num_passages)?;
        columns.within("key", Bound::Included(&number), Bound::Unbounded)?;
        columns.texts("text", "w", |text| text.len() > 1)?;
        columns.present("text", None)?;
        columns.counts("key", &(0..40).collect())?;
        Ok(())
    };
    for (metadata, step) in [(few, 1), (many, 37)] {
        let sound = payload(&metadata);
        ask(&sound, metadata.len()).unwrap();
        for end in (0..sound.len()).step_by(step) {
            assert!(ask(&sound[..end], metadata.len()).is_err(), "cut at {end}");
        }
        for at in (0..sound.len()).step_by(step) {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = sound.clone();
                damaged[at] ^= flip;
                let _ = ask(&damaged, metadata.len());
            }
        }
        assert!(ask(&sound, 20).is_err(), "passages after the last");
    }
}

#[test]
fn metadata_may_be_anything() {
    let mut builder = ColumnsBuilder::default();
    let nested = r#"{"a": {"": {"b": [[1, [2]], {"c": 3}]}}}"#;
    for metadata in ["", "no JSON", "3", "[]", "{}", r#"{"": 1}"#, r#"{"": {"a": 1}}"#, nested] {
        builder.push(metadata.as_bytes());
    }
    builder.push(&serde_json::to_vec(&Map::from_iter([("a.b".to_owned(), json!(4))])).unwrap());
    let columns = open(&builder.into_bytes(), 9).unwrap();
    let keys: Vec<_> = columns.infos().map(|info| (info.key, info.passages)).collect();
    let expected = [("", 1), (".a", 1), ("a..b", 1), ("a..b.c", 1), ("a.b", 1)];
    assert_eq!(keys, expected.map(|(key, count)| (key.to_owned(), count)));
}
