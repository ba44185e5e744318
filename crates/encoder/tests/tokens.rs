//! Settings that override `tokenizer.json`, and words that are one token only because the settings list them.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use selvedge_encoder::{Encoder, TextKind};
use support::copy;
use tempfile::TempDir;

/// Copies a golden checkpoint and replaces texts in its files: (file, from, to). Without `from` the file is new.
fn changed(case: &str, changes: &[(&str, &str, &str)]) -> TempDir {
    let dir = copy(case);
    for (file, from, to) in changes {
        let path = dir.path().join(file);
        match from.is_empty() {
            true => std::fs::write(path, to).unwrap(),
            false => support::replace(path, from, to),
        }
    }
    dir
}

fn load(dir: &TempDir) -> Encoder {
    support::load(dir).unwrap()
}

fn count(encoder: &Encoder, text: &str) -> usize {
    encoder.count_tokens(&[text]).unwrap()
}

const CLASS: &str = "\"tokenizer_class\": \"TokenizersBackend\"";

/// Change that gives `tokenizer_config.json` another class and more settings.
fn with_class(class: &str, settings: &str) -> (&'static str, &'static str, String) {
    ("tokenizer_config.json", CLASS, format!("\"tokenizer_class\": \"{class}\"{settings}"))
}

#[test]
fn settings_of_bert_tokenizers_override_the_normalizer() {
    let original = load(&changed("plain_bert", &[]));
    let of = |case: &str, (file, from, to): (&str, &str, String)| load(&changed(case, &[(file, from, &to)]));
    let cased = ", \"do_lower_case\": false";
    let texts = ["A woven Cloth from cloth", "a woven cloth from cloth"];
    // transformers: [CLS] [UNK] wo ##ve ##n [UNK] from cl ##o ##th [SEP], and each letter of "a" and "cloth" as it is.
    let counts = |encoder: &Encoder| texts.map(|text| count(encoder, text));
    assert_eq!(counts(&original), [13, 13]);
    for (case, class) in [("plain_bert", "BertTokenizer"), ("plain_bert", "BertTokenizerFast")] {
        let encoder = of(case, with_class(class, cased));
        assert_eq!(counts(&encoder), [11, 13], "{class}");
        assert_ne!(encoder.fingerprint(), original.fingerprint(), "{class}");
    }
    let distil = of("plain_distilbert", with_class("DistilBertTokenizer", cased));
    assert_eq!(counts(&distil), [11, 13]);
    // Other classes read only tokenizer.json.
    for class in ["PreTrainedTokenizerFast", "TokenizersBackend"] {
        let encoder = of("plain_bert", with_class(class, cased));
        assert_eq!((counts(&encoder), encoder.fingerprint()), ([13, 13], original.fingerprint()), "{class}");
    }
    // Without a class the model type decides; settings that agree do not change the fingerprint.
    let unnamed = changed("plain_bert", &[("tokenizer_config.json", CLASS, "\"do_lower_case\": false")]);
    assert_eq!(counts(&load(&unnamed)), [11, 13]);
    let agreeing = of("plain_bert", with_class("BertTokenizer", ", \"do_lower_case\": true, \"strip_accents\": null"));
    assert_eq!((counts(&agreeing), agreeing.fingerprint()), ([13, 13], original.fingerprint()));

    let accents = of("plain_bert", with_class("BertTokenizer", ", \"strip_accents\": false"));
    assert!(count(&original, "clóth") > 3 && count(&accents, "clóth") == 3, "{}", count(&accents, "clóth"));
    let chinese = of("plain_bert", with_class("BertTokenizer", ", \"tokenize_chinese_chars\": false"));
    assert_eq!([count(&original, "東京東京"), count(&chinese, "東京東京")], [6, 3]);
    // A default overrides as well: here the normalizer keeps case, and the settings have no flag for it.
    let keeps = changed(
        "plain_bert",
        &[
            ("tokenizer.json", "\"lowercase\": true", "\"lowercase\": false"),
            ("tokenizer_config.json", CLASS, "\"tokenizer_class\": \"BertTokenizer\""),
        ],
    );
    assert_eq!(counts(&load(&keeps)), [13, 13]);
}

#[test]
fn words_of_the_settings_are_one_token_each() {
    let text = "cloth ##th cloth";
    let original = load(&changed("plain_bert", &[]));
    let map = "{\"additional_special_tokens\": [\"##th\", {\"content\": \"[nowhere]\"}]}";
    let listed = load(&changed("plain_bert", &[("special_tokens_map.json", "", map)]));
    assert_eq!(count(&listed, text), count(&original, "cloth cloth") + 1);
    assert_ne!(count(&listed, text), count(&original, text));
    assert_eq!(count(&listed, "[nowhere]"), count(&original, "[nowhere]"), "a word that the vocabulary lacks");

    let prefix = ("config_sentence_transformers.json", "\"query_prefix\": \"[Q] \"", "\"query_prefix\": \"##th\"");
    let (original, changed) = (load(&changed("pylate_bert", &[])), load(&changed("pylate_bert", &[prefix])));
    assert_eq!(count(&changed, text), count(&original, "cloth cloth") + 1);
}

#[test]
fn special_tokens_keep_their_case_in_a_lowercased_text() {
    let file = "sentence_bert_config.json";
    let original = load(&changed("sentence_transformers_modernbert", &[]));
    let task = "\"transformer_task\"";
    let lowered = load(&changed(
        "sentence_transformers_modernbert",
        &[(file, task, "\"do_lower_case\": true, \"transformer_task\"")],
    ));
    let ids = |encoder: &Encoder, text: &str| encoder.encode_passages(&[text]).unwrap();
    assert_eq!(ids(&lowered, "Woven CLOTH [MASK] Edge"), ids(&original, "woven cloth [MASK] edge"));
    assert_ne!(ids(&original, "Woven CLOTH [MASK] Edge"), ids(&original, "woven cloth [MASK] edge"));
    let spans = lowered.passage_token_spans("İ [MASK]").unwrap();
    assert!(spans.contains(&(3..9)), "{spans:?}");
}

#[test]
fn a_passage_has_the_prompt_of_a_document_alone() {
    let of = |prompts: &str| {
        let file = "config_sentence_transformers.json";
        load(&changed("sentence_transformers_bert", &[(file, "\"document\"", prompts)]))
    };
    let without = count(&of("\"other\""), "cloth");
    assert_eq!([count(&of("\"passage\""), "cloth"), count(&of("\"corpus\""), "cloth")], [without, without]);
    assert!(count(&of("\"document\""), "cloth") > without);
}

/// Every embedding has its token: markers, special tokens and expansion are told apart from the text.
#[test]
fn embedded_tokens_are_told_apart() {
    use selvedge_encoder::TokenKind::{Expansion, Marker, Special, Text};
    let encoder = load(&changed("stanford_bert", &[]));
    for (text, kind) in [("a woven cloth", TextKind::Query), ("a woven cloth.", TextKind::Passage)] {
        let tokens = encoder.embedded_tokens(text, kind).unwrap();
        let embeddings = match kind {
            TextKind::Query => encoder.encode_queries(&[text]).unwrap(),
            TextKind::Passage => encoder.encode_passages(&[text]).unwrap(),
        };
        assert_eq!(tokens.len(), embeddings.num_embeddings(), "{kind}");
        assert_eq!((tokens[0].kind, tokens[1].kind, tokens[2].kind), (Special, Marker, Text), "{kind}");
        assert_eq!(
            (tokens[1].spelling.as_str(), &text[tokens[2].span.clone()]),
            (["[unused0]", "[unused1]"][usize::from(kind == TextKind::Passage)], "a")
        );
        let in_text: Vec<&str> = tokens.iter().filter(|t| t.kind == Text).map(|t| &text[t.span.clone()]).collect();
        assert_eq!(in_text.concat(), "awovencloth", "{kind}: {in_text:?}");
        assert!(tokens.iter().all(|token| (token.kind == Text) != token.span.is_empty()), "{kind}: {tokens:?}");
        let expanded = tokens.iter().filter(|token| token.kind == Expansion).count();
        assert_eq!(expanded > 0, kind == TextKind::Query, "{kind}");
        assert!(tokens.iter().all(|token| (token.kind == Expansion) == (token.spelling == "[MASK]")));
    }
    assert!(encoder.embedded_tokens(" ", TextKind::Query).unwrap().is_empty());
}
