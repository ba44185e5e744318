//! Hits of searches, and their order.

use crate::support::{Split, find, one_segment, segment_bytes};
use bytes::Bytes;
use roaring::RoaringBitmap;
use selvedge_lexical::{Builder, Error, Language, Segment, Words};
use std::sync::Arc;

#[test]
fn identifiers_are_found_whole_and_by_their_parts() {
    let parts_only = ["the hash map of std collections", "map of a hash", "http server", "snake and a case"];
    for (text, whole, parts) in [
        ("use std.collections.HashMap here", "std.collections.HashMap", vec!["collections", "hash", "hashmap", "Maps"]),
        ("call snake_case now", "snake_case", vec!["snake", "case", "Snake_Case"]),
        ("the HTTPServer2 class", "HTTPServer2", vec!["http", "server", "httpserver2", "servers"]),
        ("in a/b/searcher.rs there", "a/b/searcher.rs", vec!["searcher", "rs"]),
        ("foo::bar is", "foo::bar", vec!["foo", "bar"]),
        ("part AB-1234/X fits", "AB-1234/X", vec!["ab", "1234", "x", "ab-1234/x"]),
        ("version 1.2.3.", "1.2.3", vec!["1", "v1.2.3"]),
        ("written in C++, not C", "C++", vec!["c"]),
        ("written in C#.", "c#", vec!["c"]),
        ("write to Jane.Doe@example.org!", "jane.doe@example.org", vec!["doe", "example"]),
        ("a state-of-the-art (well-known) thing", "state-of-the-art", vec!["state", "art", "well-known"]),
    ] {
        let texts: Vec<&str> = parts_only.into_iter().chain([text]).collect();
        let words = one_segment(Language::English, &texts);
        assert_eq!(find(&words, whole)[0], 4, "{whole}");
        for part in parts {
            assert!(find(&words, part).contains(&4), "{part} of {text}");
        }
    }
}

#[test]
fn a_whole_ranks_above_its_parts() {
    let mut texts = vec!["snake case snake case".to_owned(), "the case of a snake".to_owned()];
    texts.extend((0..20).map(|i| format!("other text number {i} about a case")));
    texts.push("a longer text that names snake_case among many other words of no importance".to_owned());
    texts.push("a shorter text about the snake case".to_owned());
    let words = one_segment(Language::English, &texts);
    assert_eq!(find(&words, "snake_case")[0], 22);
}

#[test]
fn words_are_stemmed_by_language() {
    let english = one_segment(Language::English, &["she connects", "connected things", "ein Haus"]);
    assert_eq!(find(&english, "connections"), [0, 1]);
    let none = one_segment(Language::None, &["she connects", "connected things"]);
    assert_eq!(find(&none, "connections"), [0u32; 0]);
    assert_eq!(find(&none, "CONNECTED"), [1]);
    let german = one_segment(Language::German, &["viele Häuser", "ein Haus"]);
    assert_eq!(find(&german, "Häusern").len(), 2);
    let tamil = one_segment(Language::Tamil, &["தமிழ் மொழி", "வேறு"]);
    assert_eq!(find(&tamil, "தமிழ்"), [0]);
}

#[test]
fn accents_count() {
    let words = one_segment(Language::Spanish, &["el año", "el ano", "ΛΌΓΟΣ λόγος"]);
    assert_eq!(find(&words, "AÑO"), [0]);
    assert_eq!(find(&words, "λόγος"), [2]);
}

#[test]
fn words_are_found_in_text_without_spaces() {
    let words =
        one_segment(Language::English, &["東京都に住んでいます", "京都の水", "한국어를 배우다", "iPhone手机 ok"]);
    assert_eq!(find(&words, "東京")[0], 0);
    assert_eq!(find(&words, "京都")[0], 1, "the shorter one");
    assert_eq!(find(&words, "水"), [1]);
    assert_eq!(find(&words, "한국"), [2]);
    assert_eq!(find(&words, "手机"), [3]);
    assert_eq!(find(&words, "iphone"), [3]);
}

#[test]
fn long_tokens_are_left_out() {
    let long = "x".repeat(100_000);
    let dotted = vec!["ab"; 40_000].join(".");
    let words = one_segment(Language::English, &[format!("data {long} end"), format!("data {dotted} end")]);
    assert_eq!(find(&words, &long), [0u32; 0]);
    assert_eq!(find(&words, "end").len(), 2);
    assert_eq!(find(&words, &dotted), [1], "by its parts");
}

#[test]
fn a_long_query_works() {
    let texts: Vec<String> = (0..500).map(|i| crate::support::text(&[i, i + 1, i * 7])).collect();
    let query = crate::support::text(&(0..5000).collect::<Vec<_>>());
    assert_eq!(Split::new(Language::None, &texts, &[100, 200]).search(&query, 1000, None).len(), 500);
}

#[test]
fn a_repeated_word_counts_as_often() {
    let words = one_segment(Language::English, &["cat and more", "dog and more", "neither"]);
    assert_eq!(find(&words, "cat dog dog"), [1, 0]);
    assert_eq!(find(&words, "dog cat cat"), [0, 1]);
    let score = |query| words.search(query, 1, |_| None).unwrap()[0].score;
    assert_eq!(score("cat cat"), 2.0 * score("cat"));
}

#[test]
fn nothing_is_found_without_a_term() {
    let words = one_segment(Language::English, &["a text", "", "another"]);
    assert!(find(&words, "").is_empty());
    assert!(find(&words, " ... -- !?").is_empty());
    assert!(find(&words, "missing").is_empty());
    assert!(words.search("text", 0, |_| None).unwrap().is_empty());
    assert_eq!(words.search("text", usize::MAX, |_| None).unwrap().len(), 1);
}

#[test]
fn ties_follow_the_order_of_passages() {
    let texts = vec!["the same words".to_owned(); 100];
    for cuts in [vec![], vec![50], vec![1, 2, 3, 99]] {
        let hits = Split::new(Language::English, &texts, &cuts).search("words", 7, None);
        assert_eq!(hits.iter().map(|hit| hit.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn only_allowed_passages_are_found_and_scores_stay() {
    let texts: Vec<String> = (0..10).map(|i| format!("word {}", "more ".repeat(i))).collect();
    let split = Split::new(Language::English, &texts, &[4]);
    let all = split.search("word", 10, None);
    let allowed = RoaringBitmap::from([3, 8, 77]);
    assert_eq!(split.search("word", 10, Some(&allowed)), [all[3], all[8]]);
    assert_eq!(split.search("word", 10, Some(&RoaringBitmap::new())), []);
}

#[test]
fn empty_segments_work() {
    let empty = || Arc::new(Segment::open(segment_bytes::<&str>(Language::English, &[])).unwrap());
    let blank = Arc::new(Segment::open(segment_bytes(Language::English, &["", "?"])).unwrap());
    assert_eq!((empty().num_passages(), blank.num_passages()), (0, 2));
    for segments in [vec![], vec![empty()], vec![blank.clone()], vec![empty(), blank.clone()]] {
        assert_eq!(Words::new(segments).unwrap().search("word", 10, |_| None).unwrap(), []);
    }
    let full = Arc::new(Segment::open(segment_bytes(Language::English, &["no", "word"])).unwrap());
    let hits = Words::new(vec![empty(), blank, full]).unwrap().search("words", 10, |_| None).unwrap();
    assert_eq!(hits.iter().map(|hit| (hit.segment, hit.pid)).collect::<Vec<_>>(), [(2, 1)]);
}

#[test]
fn one_view_has_one_language() {
    let segment = |language| Arc::new(Segment::open(segment_bytes(language, &["text"])).unwrap());
    let error = Words::new(vec![segment(Language::English), segment(Language::French)]).err().unwrap();
    let expected = "segment 1 is in french, the first in english; one search analyses its query once";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn languages_have_names() {
    for language in Language::ALL {
        assert_eq!(language.to_string().parse::<Language>().unwrap(), language);
        assert_eq!(Segment::open(segment_bytes(language, &["text"])).unwrap().language(), language);
        assert_eq!(serde_json::to_string(&language).unwrap(), format!("\"{language}\""));
    }
    assert_eq!(Language::default().to_string(), "english");
    assert!(matches!("klingon".parse::<Language>(), Err(Error::UnknownLanguage { .. })));
}

#[test]
fn equal_texts_give_equal_bytes() {
    let texts: Vec<String> = (0..3000).map(|i| crate::support::text(&[i % 5, i % 700, i])).collect();
    let bytes = segment_bytes(Language::English, &texts);
    assert_eq!(bytes, segment_bytes(Language::English, &texts));
    assert_ne!(bytes, segment_bytes(Language::English, &texts[1..]));
}

#[test]
fn a_builder_counts() {
    let mut builder = Builder::new(Language::English).unwrap();
    let before = builder.bytes_held();
    for i in 0..20_000 {
        builder.push(&crate::support::text(&[i, i * 2])).unwrap();
    }
    assert_eq!(builder.num_passages(), 20_000);
    assert!(builder.bytes_held() > before + 100_000);
    let segment = Segment::open(Bytes::from(builder.finish().unwrap())).unwrap();
    assert_eq!((segment.num_passages(), segment.num_tokens()), (20_000, 40_000));
}
