//! Splitting long texts into parts that fit, and the byte ranges of tokens.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use std::ops::Range;

use selvedge_encoder::{Encoder, Error, LoadOptions, TextKind, TokenizedText, shipped};
use support::{copy, golden};

/// Checkpoints of each kind of tokenizer: WordPiece, Unigram, byte-level BPE; with and without prefix tokens and
/// skiplists.
const MODELS: [&str; 6] =
    ["plain_bert", "pylate_bert", "stanford_xlm_roberta", "plain_modernbert", "pylate_modernbert", shipped::NAME];

fn load(model: &str, passage_maxlen: usize) -> Encoder {
    let folder = golden(model);
    let model = if model == shipped::NAME { model } else { folder.to_str().unwrap() };
    let options = LoadOptions { passage_maxlen: Some(passage_maxlen), ..LoadOptions::default() };
    Encoder::load(model, &options).unwrap()
}

/// Tokens of a passage, as the encoder reads them: what is truncated and kept does not depend on the transformer.
fn tokenize(encoder: &Encoder, text: &str) -> TokenizedText {
    encoder.pipeline().tokenize(&[text], TextKind::Passage).unwrap().remove(0)
}

/// Texts in which bytes, characters and tokens differ.
fn texts() -> Vec<String> {
    let prose = "The selvedge keeps a cloth from fraying. Is it woven? It is!\nSee page 12.\n\n";
    vec![
        prose.repeat(8),
        "Déjà vu: Ça coûte 12 €, naïve Zoë — ÀÉÎÕÜ e\u{301}e\u{308} ﬁn. ".repeat(6),
        "東京都は日本の首都である。人口は約千四百万人！".repeat(6),
        "word".repeat(120),
        "...!?".repeat(60),
        "👩‍🚀🏳️‍🌈".repeat(24),
        format!("{}{}", "a\tb  c\r\n \u{a0}".repeat(30), "\u{1c}\n x".repeat(40)),
        "İSTANBUL ΣΊΣΥΦΟΣ Straße [MASK] [unused0] <mask> don't we'll ".repeat(10),
    ]
}

/// Text outside all parts.
fn outside(text: &str, parts: &[Range<usize>]) -> String {
    let (mut rest, mut at) = (String::new(), 0);
    for part in parts {
        rest.push_str(&text[at.min(part.start)..part.start]);
        at = at.max(part.end);
    }
    rest + &text[at..]
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

#[test]
fn parts_are_encoded_whole_and_lose_nothing() {
    for model in MODELS {
        let encoder = load(model, 24);
        for text in texts() {
            let is_long = tokenize(&encoder, &text).is_truncated;
            // WordPiece makes one token of a long word.
            assert!(is_long || !text.contains(char::is_whitespace), "{model}: {text}");
            for overlap in [0, 5, 1000] {
                let parts = encoder.split_passage(&text, overlap).unwrap();
                let passages: Vec<&str> = parts.iter().map(|part| &text[part.clone()]).collect();
                assert!(if is_long { parts.len() > 1 } else { parts.len() == 1 }, "{model}: {parts:?} of {text}");
                let is_cut = passages.iter().any(|passage| tokenize(&encoder, passage).is_truncated);
                assert!(!is_cut, "{model}: {passages:?}");
                assert!(is_blank(&outside(&text, &parts)), "{model}: {:?}", outside(&text, &parts));
                for pair in parts.windows(2) {
                    assert!(pair[0].start < pair[1].start && pair[0].end < pair[1].end, "{model}: {pair:?}");
                    assert!(overlap > 0 || pair[0].end <= pair[1].start, "{model}: {pair:?}");
                }
            }
        }
    }
}

#[test]
fn parts_end_at_the_best_boundary_of_their_last_half() {
    let encoder = load(shipped::NAME, 22);
    let parts = |text: &str, overlap| encoder.split_passage(text, overlap).unwrap();
    let expect = |text: String, overlap: usize, expected: &[&str]| {
        let parts: Vec<&str> = parts(&text, overlap).into_iter().map(|part| &text[part]).collect();
        assert_eq!(parts, expected);
    };
    let ten = "one two three four five six seven eight nine ten";
    let five = "one two three four five";
    let (ten_five, sentences) = (format!("{ten} {five}"), format!("{ten}. {five}"));
    expect(format!("{ten_five}\n \n{sentences}"), 0, &[&ten_five, &sentences]);
    expect(format!("{ten}.\n\n{five}. {five}"), 0, &[&format!("{ten}."), &format!("{five}. {five}")]);
    expect(format!("{ten} one\n{five} {ten}"), 0, &[&format!("{ten} one"), &format!("{five} {ten}")]);
    expect(format!("{ten}\n{five} {ten}"), 0, &[&format!("{ten}\n{five} {five}"), "six seven eight nine ten"]);
    expect(format!("{ten}! {five} {ten}"), 0, &[&format!("{ten}!"), &format!("{five} {ten}")]);
    expect(format!("{ten} {ten} {five}"), 0, &[&format!("{ten} {ten}"), five]);
    expect(format!("{ten} {ten} {five}"), 3, &[&format!("{ten} {ten}"), &format!("eight nine ten {five}")]);
    expect(format!("  {ten} "), 3, &[ten]);
    assert!(parts("", 3).is_empty() && parts(" \n\t\u{1f}", 3).is_empty());
}

#[test]
fn a_text_of_one_word_is_split_in_bounded_windows() {
    for (model, len) in [("plain_bert", 600_000), ("plain_modernbert", 10_000)] {
        let encoder = load(model, 40);
        let text = "x".repeat(len);
        let parts = encoder.split_passage(&text, 0).unwrap();
        assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, text.len()));
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(parts.iter().all(|part| part.len() <= 1 << 18), "{model}: {}", parts[0].len());
        assert!(parts.len() > 2, "{model}: {}", parts.len());
    }
}

#[test]
fn a_prompt_that_leaves_no_room_is_an_error() {
    let folder = copy("plain_bert");
    let modules = r#"[{"type": "sentence_transformers.models.Transformer", "path": ""}]"#;
    std::fs::write(folder.path().join("modules.json"), modules).unwrap();
    let settings = r#"{"prompts": {"document": "the cloth: "}}"#;
    std::fs::write(folder.path().join("config_sentence_transformers.json"), settings).unwrap();
    let load = |passage_maxlen| {
        let options = LoadOptions { passage_maxlen: Some(passage_maxlen), ..LoadOptions::default() };
        Encoder::load(folder.path().to_str().unwrap(), &options).unwrap()
    };
    let full = load(40).count_tokens(&["a"]).unwrap();
    assert_eq!(load(40).split_passage("a b", 0).unwrap(), [0..3]);
    assert_eq!(load(full).split_passage("a a", 0).unwrap(), [0..1, 2..3]);
    let error = load(full - 1).split_passage("a b", 0).unwrap_err();
    assert!(matches!(error, Error::MaxLength { requested, least, .. } if requested + 1 == least), "{error}");
}

#[test]
fn every_embedding_has_its_bytes() {
    for model in MODELS {
        let encoder = load(model, 24);
        let prose = "The selvedge keeps a cloth from fraying.";
        let encoded = encoder.encode_passages(&[prose]).unwrap();
        assert_eq!(encoder.passage_token_spans(prose).unwrap().len(), encoded.num_embeddings(), "{model}");
        for text in texts().into_iter().chain(["", " \n", "a", "Zoë"].map(String::from)) {
            let spans = encoder.passage_token_spans(&text).unwrap();
            assert_eq!(spans.len(), tokenize(&encoder, &text).kept.len(), "{model}: {text}");
            assert!(spans.iter().all(|span| text.get(span.clone()).is_some()), "{model}: {spans:?}");
            let covering: Vec<_> = spans.iter().filter(|span| !span.is_empty()).collect();
            assert!(covering.is_sorted_by_key(|span| (span.start, span.end)), "{model}: {spans:?}");
            // A skiplist may drop all tokens of the other texts.
            let has_words = text.contains("cloth") || text == "a";
            assert!(!has_words || !covering.is_empty(), "{model}: {text}");
        }
    }
}

/// Text of each embedding, for a text that fits.
fn covered<'a>(encoder: &Encoder, text: &'a str) -> Vec<&'a str> {
    encoder.passage_token_spans(text).unwrap().into_iter().map(|span| &text[span]).collect()
}

#[test]
fn spans_follow_accents_case_and_bytes() {
    // [CLS], words without punctuation, [SEP].
    let encoder = load(shipped::NAME, 24);
    assert_eq!(covered(&encoder, "Zoë's CAFÉ,  東京"), ["", "Zoë", "s", "CAFÉ", "東", "京", ""]);
    let encoder = load("plain_modernbert", 24);
    let spans = covered(&encoder, "é 東 cloth");
    // Each of the three bytes of a character is a token.
    assert_eq!(spans, ["", "é", " ", "東", "東", "東", " ", "c", "l", "o", "th", ""]);
}
