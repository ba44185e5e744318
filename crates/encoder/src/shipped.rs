//! The checkpoint that ships within this crate, so that text can be indexed without a download: a small English model.
//!
//! Training, data and quality: `crates/encoder/shipped/README.md`.

/// Name of the shipped model, accepted in place of a folder or hub id.
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

/// Returns the bytes of a file of the shipped model.
pub(crate) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|&(_, bytes)| bytes)
}
