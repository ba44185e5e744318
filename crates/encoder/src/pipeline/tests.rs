use super::*;

#[test]
fn strip_follows_python() {
    assert_eq!(strip("\u{1c} a b\u{2003}\n"), "a b");
    assert!(TextPipeline::is_blank(" \t\u{1f}\u{a0}"));
    assert!(!TextPipeline::is_blank("."));
}

/// Pieces of text whose tokens depend on their neighbours.
const PIECES: [&str; 30] = [
    "the",
    "woven",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\u{a0}",
    "'",
    "r",
    "e",
    "'re",
    "'ll",
    "12",
    "345",
    ".",
    "...",
    "-",
    "[MASK]",
    "<mask>",
    "[Q] ",
    "[",
    "é",
    "e\u{301}",
    "\u{301}",
    "ﬁ",
    "東京",
    "Σ",
    "İ",
    "👩\u{200d}🚀",
    "aaaa",
];

#[test]
fn a_prefix_gives_the_tokens_of_the_whole() {
    use crate::{Encoder, LoadOptions};
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
    let models = ["plain_bert", "pylate_bert", "plain_modernbert", "pylate_modernbert", "stanford_xlm_roberta"];
    let mut cut = 0;
    for model in models.map(|name| format!("{golden}/{name}")).iter().map(String::as_str).chain([crate::shipped::NAME])
    {
        let options = LoadOptions { passage_maxlen: Some(16), query_maxlen: Some(8), ..LoadOptions::default() };
        let encoder = Encoder::load(model, &options).unwrap();
        let pipeline = encoder.pipeline();
        let mut state = 1u64;
        for _ in 0..12 {
            let mut text = String::new();
            while text.len() < 600 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(PIECES[(state >> 33) as usize % PIECES.len()]);
            }
            let config = &pipeline.passage;
            let whole = pipeline.tokenizer.tokens(&pipeline.prepare(&text, config)).unwrap();
            let capacity = config.capacity(&pipeline.tokenizer);
            for end in text.char_indices().map(|(at, _)| at).step_by(11) {
                let prepared = pipeline.prepare(&text[..end], config);
                let tokens = pipeline.tokenizer.tokens_with_offsets(&prepared).unwrap();
                let sure = pipeline.tokenizer.num_sure(&tokens, &prepared);
                assert_eq!(tokens.get_ids()[..sure], whole.get_ids()[..sure], "{model}: {:?}", &text[..end]);
            }
            cut += usize::from(first_prefix(capacity) < text.len());
            let expected = pipeline.tokenizer.complete(whole, capacity).unwrap();
            let found = pipeline.tokens(&text, config, false).unwrap();
            assert_eq!((found.0.get_ids(), found.1), (expected.get_ids(), true), "{model}: {text:?}");
        }
    }
    assert!(cut > 60, "{cut}: few texts are cut before they are tokenized");
}
