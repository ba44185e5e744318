//! The checkpoint that ships within this crate, so that text can be indexed without a download: a small model for English.
//!
//! How it was made, on what and how good it is: `crates/encoder/shipped/README.md`.

/// What it is called where a model is named.
pub const NAME: &str = "shipped";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../shipped/", $name)))),*]
    };
}

const FILES: &[(&str, &[u8])] = files![
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "tokenizer_config.json",
    "vocab.txt",
    "1_MultiVectorMask/config.json",
    "2_Normalize/config.json",
    "model.safetensors",
];

/// The bytes of one of its files.
pub(crate) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|&(_, bytes)| bytes)
}
