//! Filters held to a naive evaluation, one passage at a time, and to SQLite; their texts, and their mistakes.

#![allow(missing_docs, unreachable_pub)] // nothing imports a test crate

#[allow(dead_code)]
mod support;

use proptest::prelude::*;
use selvedge_backend::Cpu;
use selvedge_index::{Check, Document, Index, Limits, ManifestInfo, Memory, Storage, Value, Writer};
use selvedge_search::filter::key;
use selvedge_search::{Error, Filter, FilterStats, Search, SearchParams, Searcher};
use serde_json::{Value as Json, json};
use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

/// A codec, and a passage of one token.
static CODEC: LazyLock<(selvedge_codec::Codec, Vec<u32>, selvedge_backend::Packed)> = LazyLock::new(|| {
    let backend = Cpu::new().unwrap();
    let options = selvedge_codec::TrainOptions { iterations: 1, ..selvedge_codec::TrainOptions::new(2, 8) };
    let codec = selvedge_codec::train(&backend, support::DIM, support::rows(300), &options, &()).unwrap();
    let (codes, packed) = codec.compressor(&backend).unwrap().compress(&backend, &mut support::rows(1)).unwrap();
    (codec, codes, packed)
});

/// An index of passages with this metadata, in segments of three, of which every fifth is deleted.
fn searcher(metadata: &[Json]) -> Searcher<Cpu> {
    let (codec, codes, packed) = &*CODEC;
    let storage: Arc<dyn Storage> = Arc::new(Memory::default());
    let mut writer = Writer::create_in(Arc::clone(&storage)).unwrap();
    writer.set_limits(Limits { segment_tokens: 3, ..Limits::default() });
    for (pid, metadata) in metadata.iter().enumerate() {
        let metadata = Some(metadata.clone());
        writer.push_document(&Document { id: pid.to_string(), metadata, ..Document::default() }).unwrap();
    }
    writer.finish_documents().unwrap();
    writer.set_codec(codec).unwrap();
    metadata.iter().for_each(|_| writer.push_passages(&[1], codes, packed).unwrap());
    writer.finish(ManifestInfo::default()).unwrap();
    let mut writer = Writer::open_in(Arc::clone(&storage)).unwrap();
    (0..metadata.len())
        .filter(|pid| is_deleted(*pid))
        .for_each(|pid| assert!(writer.delete(&pid.to_string()).unwrap()));
    writer.commit().unwrap();
    Searcher::new(Cpu::new().unwrap(), &Index::open_in(storage, Check::Checksums).unwrap()).unwrap()
}

fn is_deleted(pid: usize) -> bool {
    pid % 5 == 4
}

/// Whether a filter is true for a passage; `None` if that is unknown.
fn naive(filter: &Filter, metadata: &Json) -> Option<bool> {
    let values = |key: &str| -> Vec<Value> {
        match metadata.get(key) {
            Some(Json::Array(all)) => all.iter().filter_map(Value::of_json).collect(),
            Some(scalar) => Value::of_json(scalar).into_iter().collect(),
            None => Vec::new(),
        }
    };
    let compare = |key: &str, literal: &Value, holds: fn(Ordering) -> bool| {
        let orders: Vec<Ordering> = values(key).iter().filter_map(|value| value.compare(literal)).collect();
        (!orders.is_empty()).then(|| orders.into_iter().any(holds))
    };
    match filter {
        Filter::And(all) => {
            let all: Vec<_> = all.iter().map(|filter| naive(filter, metadata)).collect();
            if all.contains(&Some(false)) { Some(false) } else { all.iter().all(Option::is_some).then_some(true) }
        }
        Filter::Or(all) => {
            let all: Vec<_> = all.iter().map(|filter| naive(filter, metadata)).collect();
            if all.contains(&Some(true)) { Some(true) } else { all.iter().all(Option::is_some).then_some(false) }
        }
        Filter::Not(filter) => naive(filter, metadata).map(|is| !is),
        Filter::Eq(key, value) => compare(key, value, Ordering::is_eq),
        Filter::Ne(key, value) => compare(key, value, Ordering::is_eq).map(|is| !is),
        Filter::Lt(key, value) => compare(key, value, Ordering::is_lt),
        Filter::Le(key, value) => compare(key, value, Ordering::is_le),
        Filter::Gt(key, value) => compare(key, value, Ordering::is_gt),
        Filter::Ge(key, value) => compare(key, value, Ordering::is_ge),
        Filter::In(_, all) if all.is_empty() => Some(false),
        Filter::In(key, all) => {
            let equal: Vec<_> = all.iter().map(|value| compare(key, value, Ordering::is_eq)).collect();
            equal[0].map(|_| equal.contains(&Some(true)))
        }
        Filter::Between(key, low, high) => {
            let values: Vec<Value> = values(key).into_iter().filter(|value| value.compare(low).is_some()).collect();
            let is_within = |v: &Value| v.compare(low).unwrap().is_ge() && v.compare(high).unwrap().is_le();
            (!values.is_empty()).then(|| values.iter().any(is_within))
        }
        Filter::Like(key, pattern) => {
            let is_text = |value: Value| if let Value::Text(text) = value { Some(text) } else { None };
            let texts: Vec<String> = values(key).into_iter().filter_map(is_text).collect();
            let parts: Vec<char> = pattern.chars().collect();
            (!texts.is_empty()).then(|| texts.iter().any(|t| is_like(&t.chars().collect::<Vec<_>>(), &parts)))
        }
        Filter::Null(key) => Some(values(key).is_empty()),
    }
}

fn is_like(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skipped| is_like(&text[skipped..], rest)),
        Some((expected, rest)) => text
            .split_first()
            .is_some_and(|(found, text)| (*expected == '_' || expected == found) && is_like(text, rest)),
    }
}

/// Number of types that [`literal`] chooses from.
const TYPES: usize = 4;

/// A value of one of the types: few different ones, so that comparisons often hold.
fn literal(of: usize) -> BoxedStrategy<Json> {
    match of {
        0 => any::<bool>().prop_map(Json::from).boxed(),
        1 => prop_oneof![(-3..4).prop_map(Json::from), (-6..7).prop_map(|n| json!(f64::from(n) / 2.0))].boxed(),
        2 => {
            prop::sample::select(&["2024-02-28", "2024-02-29T12:00:00Z", "2024-03-01"][..]).prop_map(Json::from).boxed()
        }
        _ => "[ab]{0,3}".prop_map(Json::from).boxed(),
    }
}

/// Condition on a key with a literal of a type.
fn condition(key: &'static str, of: usize) -> BoxedStrategy<Filter> {
    let one = move || literal(of).prop_map(|json| Value::of_json(&json).unwrap());
    let key = key.to_owned();
    prop_oneof![
        6 => (one(), 0..6usize).prop_map({
            let key = key.clone();
            move |(value, operation): (Value, usize)| {
                let make: [fn(String, Value) -> Filter; 6] =
                    [Filter::Eq, Filter::Ne, Filter::Lt, Filter::Le, Filter::Gt, Filter::Ge];
                make[operation](key.clone(), value)
            }
        }),
        1 => prop::collection::vec(one(), 1..4).prop_map({
            let key = key.clone();
            move |values| Filter::In(key.clone(), values)
        }),
        1 => (one(), one()).prop_map({
            let key = key.clone();
            move |(low, high)| Filter::Between(key.clone(), low, high)
        }),
        1 => "[ab%_]{0,4}".prop_map({
            let key = key.clone();
            move |pattern| Filter::Like(key.clone(), pattern)
        }),
        1 => Just(Filter::Null(key)),
    ]
    .boxed()
}

fn nested(leaf: impl Strategy<Value = Filter> + 'static) -> impl Strategy<Value = Filter> {
    leaf.prop_recursive(4, 16, 3, |inner| {
        let several = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![several().prop_map(Filter::And), several().prop_map(Filter::Or), inner.prop_map(|filter| !filter),]
    })
}

/// Filter of some of these keys.
fn filter(keys: &'static [&'static str]) -> impl Strategy<Value = Filter> {
    nested((prop::sample::select(keys), 0..TYPES).prop_flat_map(|(key, of)| condition(key, of)))
}

/// Filter of [`typed_metadata`] that compares each key with its own type.
fn typed_filter() -> impl Strategy<Value = Filter> {
    let is_typed = |filter: &Filter| !matches!(filter, Filter::Like(key, _) if key == "number");
    nested(prop_oneof![condition("number", 1), condition("text", 3)].prop_filter("no LIKE with a number", is_typed))
}

/// Metadata of any types, with several values and none.
fn metadata() -> impl Strategy<Value = Vec<Json>> {
    let scalar = || (0..TYPES).prop_flat_map(literal);
    let several = prop::collection::vec(scalar(), 0..3).prop_map(Json::from);
    let value = prop_oneof![3 => scalar(), 1 => Just(Json::Null), 1 => several];
    let object = prop::collection::hash_map(prop::sample::select(&["a", "b", "no word"][..]), value, 0..4);
    prop::collection::vec(object.prop_map(|fields| json!(fields)), 0..14)
}

/// Metadata whose keys have one type each, as columns of SQL do.
fn typed_metadata() -> impl Strategy<Value = Vec<Json>> {
    let field = |of| prop::option::weighted(0.7, literal(of)).prop_map(|value| value.unwrap_or(Json::Null));
    let object = (field(1), field(3)).prop_map(|(number, text)| json!({ "number": number, "text": text }));
    prop::collection::vec(object, 0..14)
}

/// Pids for which something holds and that are not deleted.
fn alive(metadata: &[Json], holds: impl Fn(usize) -> bool) -> Vec<u32> {
    (0..metadata.len()).filter(|&pid| holds(pid) && !is_deleted(pid)).map(|pid| pid as u32).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_finds_what_it_is_true_for(
        metadata in metadata(),
        filter in filter(&["a", "b", "no word", "none"]),
    ) {
        let found: Vec<u32> = searcher(&metadata).filtered(&filter).unwrap().pids().collect();
        prop_assert_eq!(found, alive(&metadata, |pid| naive(&filter, &metadata[pid]) == Some(true)), "{}", filter);
    }

    #[test]
    fn text_and_json_of_a_filter_are_read_back(
        filter in filter(&["a", "no word", "b.c\"d.", "and", "ä1-_"]),
    ) {
        prop_assert_eq!(&filter.to_string().parse::<Filter>().unwrap(), &filter);
        let json = serde_json::to_string(&filter).unwrap();
        prop_assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
    }

    /// SQLite compares numbers and texts as this crate does where a column has one type. The filter's own text is SQL.
    #[test]
    fn answers_are_those_of_sql(
        metadata in typed_metadata(),
        filter in typed_filter(),
    ) {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        let schema = "PRAGMA case_sensitive_like = ON; CREATE TABLE t (pid INTEGER, number NUMERIC, text TEXT)";
        database.execute_batch(schema).unwrap();
        for (pid, fields) in metadata.iter().enumerate() {
            let row = (pid as i64, fields["number"].as_f64(), fields["text"].as_str());
            database.execute("INSERT INTO t VALUES (?, ?, ?)", row).unwrap();
        }
        let mut query = database.prepare(&format!("SELECT pid FROM t WHERE {filter} ORDER BY pid")).unwrap();
        let rows: Vec<i64> = query.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let found: Vec<u32> = searcher(&metadata).filtered(&filter).unwrap().pids().collect();
        prop_assert_eq!(found, alive(&metadata, |pid| rows.contains(&(pid as i64))), "{}", filter);
    }

    /// Whatever is given, there is a filter or an error at a place in it.
    #[test]
    fn any_text_is_parsed_or_refused(
        text in r#"([a-b]|[ ()=<>,.'"%-]|NOT|AND|OR|IN|IS|NULL|LIKE|BETWEEN|[0-9é]){0,12}"#,
    ) {
        match text.parse::<Filter>() {
            Ok(filter) => prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter),
            Err(Error::FilterSyntax { column, .. }) => prop_assert!((1..=text.chars().count() + 1).contains(&column)),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn every_form_is_parsed() {
    for (text, expected) in [
        ("a=1", key("a").eq(1)),
        (" a == -1.5e0 ", key("a").eq(-1.5)),
        ("a.b <> 'it''s'", key("a.b").ne("it's")),
        (r#""a b"."c""d" != TRUE"#, key("a b.c\"d").ne(true)),
        ("day >= '2024-02-29'", key("day").ge(Value::Date(1_709_164_800_000_000))),
        ("a in (1,2.0, 3)", key("a").is_in([1, 2, 3])),
        ("NOT a NOT IN ('x')", !!key("a").is_in(["x"])),
        ("a BETWEEN 1 AND 2 AND b IS NULL", key("a").between(1, 2) & key("b").is_null()),
        ("a IS NOT NULL", !key("a").is_null()),
        ("a NOT LIKE 'x%' OR FALSE", !key("a").like("x%") | Filter::Or(vec![])),
        ("a=1 OR b=2 AND NOT (c=3 or d=4)", key("a").eq(1) | (key("b").eq(2) & !(key("c").eq(3) | key("d").eq(4)))),
        ("android = 1", key("android").eq(1)),
        ("a = 9223372036854775808", key("a").eq(9_223_372_036_854_775_808.0)),
    ] {
        assert_eq!(text.parse::<Filter>().unwrap(), expected, "{text}");
    }
}

#[test]
fn mistakes_are_named_with_their_column() {
    let comparison = "=, !=, <, <=, >, >=, IN, BETWEEN, LIKE or IS";
    let value = "a value: a number, a 'text' in single quotes, TRUE or FALSE";
    for (text, column, expected, found) in [
        ("", 1, "a key, NOT or (", ""),
        ("year", 5, comparison, ""),
        ("year ~ 3", 6, comparison, "~ 3"),
        ("année > ", 9, value, ""),
        ("year > \"2020\"", 8, value, "\"2020\""),
        ("year > 20x", 8, value, "20x"),
        ("a = 1 b = 2", 7, "AND, OR or the end", "b = 2"),
        ("a = 1 AND", 10, "a key, NOT or (", ""),
        ("a = 1 AND AND b = 2", 11, "a key, NOT or (", "AND b = 2"),
        ("(a = 1", 7, "AND, OR or )", ""),
        ("a = NULL", 5, "a value; passages without one are found by IS NULL", "NULL"),
        ("a IS 3", 6, "NULL or NOT NULL", "3"),
        ("a NOT = 3", 7, "IN, BETWEEN or LIKE", "= 3"),
        ("a IN ()", 7, value, ")"),
        ("a IN (1, 'x')", 6, "values of one type", "(1, 'x')"),
        ("a BETWEEN 1 OR 2", 13, "AND", "OR 2"),
        ("a BETWEEN 1 AND 'x'", 11, "values of one type", "1 AND 'x'"),
        ("a LIKE 3", 8, "a 'pattern' in single quotes", "3"),
        ("a = 'x", 7, "the quote at the end of a text", ""),
        ("a = 1 OR (b = 2 AND c)", 22, comparison, ")"),
    ] {
        match text.parse::<Filter>() {
            Err(Error::FilterSyntax { column: c, expected: e, found: f }) => {
                assert_eq!((c, e, f.as_str()), (column, expected, found), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let message = "a = 1 b".parse::<Filter>().unwrap_err().to_string();
    assert_eq!(message, "column 7 of the filter: expected AND, OR or the end, found \"b\"");
}

#[test]
fn filters_of_any_depth_are_refused_rather_than_overflowing() {
    let deep = |depth: usize, open: &str, close: &str| format!("{}a = 1{}", open.repeat(depth), close.repeat(depth));
    for (open, close) in [("(", ")"), ("NOT ", "")] {
        assert!(deep(100, open, close).parse::<Filter>().is_ok());
        let refused = deep(100_000, open, close).parse::<Filter>();
        assert!(matches!(refused, Err(Error::FilterSyntax { column, .. }) if column == 101 * open.len() + 1));
    }
    let searcher = searcher(&[json!({})]);
    let nested = |depth| (0..depth).fold(key("a").eq(1), |filter, _| !filter);
    assert!(searcher.filtered(&nested(100)).is_ok());
    assert!(matches!(searcher.filtered(&nested(101)), Err(Error::BadFilter { .. })));
    for bad in [key("a").eq(f64::NAN), key("a").between(1, "x"), Filter::In("a".into(), vec![1.into(), true.into()])] {
        assert!(matches!(searcher.filtered(&bad), Err(Error::BadFilter { .. })), "{bad}");
    }
}

/// A set is kept, also for the segments of the next generation; it belongs to one of them.
#[test]
fn sets_are_cached_and_belong_to_their_searcher() {
    let metadata: Vec<Json> = (0..10).map(|year| json!({ "year": year })).collect();
    let searcher = searcher(&metadata);
    let filter = key("year").ge(3);
    let set = searcher.filtered(&filter).unwrap();
    assert!(Arc::ptr_eq(&set, &searcher.filtered(&"year >= 3.0".parse().unwrap()).unwrap()));
    assert_eq!(Search::filter_stats(&searcher), FilterStats { kept: 1, hits: 1, misses: 1 });
    assert_eq!(set.pids().collect::<Vec<_>>(), [3, 5, 6, 7, 8]);
    let both = set.intersection(&searcher.passages(&[4, 8, 3, 0]).unwrap()).unwrap();
    assert_eq!((both.len(), both.is_empty(), both.pids().collect::<Vec<_>>()), (2, false, vec![3, 8]));
    let ranking = searcher.search(&support::rows(2), &SearchParams::exact(10), Some(&both)).unwrap();
    assert_eq!((ranking.hits.len(), ranking.num_scored), (2, 2));
}

/// A text made by hand is no date, although both look the same in a filter's text; and an empty list has a text.
#[test]
fn filters_of_one_text_are_kept_apart() {
    let searcher = searcher(&[json!({ "day": "2024-02-29" })]);
    let found = |value| searcher.filtered(&Filter::Eq("day".to_owned(), value)).unwrap().len();
    let date = Value::from("2024-02-29");
    assert_eq!([found(date.clone()), found(Value::Text("2024-02-29".to_owned())), found(date)], [1, 0, 1]);
    let none = key("day").is_in(Vec::<i32>::new());
    for (filter, expected) in [(none.clone(), 0), (!none, 1)] {
        let parsed: Filter = filter.to_string().parse().unwrap();
        assert_eq!(
            [&filter, &parsed].map(|filter| searcher.filtered(filter).unwrap().len()),
            [expected; 2],
            "{filter}"
        );
    }
}
