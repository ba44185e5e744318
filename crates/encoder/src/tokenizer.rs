//! Text to token ids: `tokenizer.json`, or a WordPiece `vocab.txt`, and the special tokens that the settings name.

use serde_json::Value;
use tokenizers::models::ModelWrapper;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{Model, PostProcessor, Tokenizer, TruncationDirection};

use crate::checkpoint::{Checkpoint, Json};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;

/// A tokenizer that neither pads nor truncates by itself.
pub(crate) struct TextTokenizer {
    inner: Tokenizer,
    /// Tokens that the tokenizer itself adds to every text, such as `[CLS]` and `[SEP]`.
    pub(crate) num_added: usize,
    pub(crate) special: Special,
}

/// Ids of the special tokens; `None` where the vocabulary has none.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Special {
    pub(crate) mask: Option<u32>,
    pub(crate) end: Option<u32>,
    pub(crate) pad: Option<u32>,
    pub(crate) unknown: Option<u32>,
}

impl TextTokenizer {
    pub(crate) fn load(checkpoint: &Checkpoint, fingerprint: &mut Fingerprint) -> Result<Self> {
        let config = checkpoint.json("tokenizer_config.json")?;
        let mut inner = if checkpoint.has("tokenizer.json")? {
            let bytes = checkpoint.read("tokenizer.json")?;
            fingerprint.bytes("tokenizer.json", &bytes);
            Tokenizer::from_bytes(&bytes).map_err(|error| {
                let path = checkpoint.describe("tokenizer.json");
                Error::MalformedJson { path, reason: error.to_string() }
            })?
        } else if checkpoint.has("vocab.txt")? {
            word_piece(checkpoint, config.as_ref(), fingerprint)?
        } else {
            return Err(Error::MissingFile { path: checkpoint.describe("tokenizer.json") });
        };
        inner.with_padding(None);
        inner.with_truncation(None).map_err(failure)?;
        let map = checkpoint.json("special_tokens_map.json")?;
        let special = Special::find(&inner, [config.as_ref(), map.as_ref()]);
        fingerprint.json("special tokens", &special);
        let num_added = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        Ok(Self { inner, num_added, special })
    }

    /// The ids of a text with the tokenizer's own special tokens, its end cut so that they are `max_len` at most.
    pub(crate) fn encode(&self, text: &str, max_len: usize) -> Result<Vec<u32>> {
        let mut encoding = self.inner.encode_fast(text, false).map_err(failure)?;
        encoding.truncate(max_len.saturating_sub(self.num_added), 0, TruncationDirection::Right);
        let encoding = self.inner.post_process(encoding, None, true).map_err(failure)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a text alone.
    pub(crate) fn pieces(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.inner.encode_fast(text, false).map_err(failure)?.get_ids().to_vec())
    }

    /// A token's spelling.
    pub(crate) fn spelling(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The vocabulary of a WordPiece tokenizer, by id; none of any other kind.
    pub(crate) fn word_pieces(&self) -> Option<Vec<String>> {
        let ModelWrapper::WordPiece(model) = self.inner.get_model() else { return None };
        let mut vocabulary: Vec<(u32, String)> = model.get_vocab().into_iter().map(|(token, id)| (id, token)).collect();
        vocabulary.sort_unstable();
        Some(vocabulary.into_iter().map(|(_, token)| token).collect())
    }

    /// The id of a token by its exact spelling.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }
}

impl Special {
    /// Looks in the settings first; then for the usual spellings, which the settings of old checkpoints leave out.
    fn find(tokenizer: &Tokenizer, settings: [Option<&Json>; 2]) -> Self {
        let named = |role: &str| {
            let spelling = |json: &Json| match json.get(role)? {
                Value::String(token) => Some(token.clone()),
                token => Some(token.get("content")?.as_str()?.to_owned()),
            };
            settings.iter().flatten().find_map(|json| spelling(json)).and_then(|token| tokenizer.token_to_id(&token))
        };
        let usual = |spellings: [&str; 2]| spellings.iter().find_map(|token| tokenizer.token_to_id(token));
        Self {
            mask: named("mask_token").or_else(|| usual(["[MASK]", "<mask>"])),
            end: named("eos_token").or_else(|| usual(["[SEP]", "</s>"])),
            pad: named("pad_token").or_else(|| usual(["[PAD]", "<pad>"])),
            unknown: named("unk_token").or_else(|| usual(["[UNK]", "<unk>"])),
        }
    }
}

/// BERT's tokenizer out of its vocabulary, for checkpoints from before `tokenizer.json`.
fn word_piece(checkpoint: &Checkpoint, config: Option<&Json>, fingerprint: &mut Fingerprint) -> Result<Tokenizer> {
    let vocabulary = checkpoint.read("vocab.txt")?;
    fingerprint.bytes("vocab.txt", &vocabulary);
    let flag = |key| config.map_or(Ok(None), |config| config.bool(key));
    let lowercase = flag("do_lower_case")?.unwrap_or(true);
    let strip_accents = flag("strip_accents")?;
    let chinese = flag("tokenize_chinese_chars")?.unwrap_or(true);
    fingerprint.json("vocab.txt settings", &(lowercase, strip_accents, chinese));
    let vocabulary = WordPiece::read_bytes(&vocabulary).map_err(failure)?;
    let model = WordPiece::builder().vocab(vocabulary).unk_token("[UNK]".into()).build().map_err(failure)?;
    let mut tokenizer = Tokenizer::new(model);
    let special = |token: &str| {
        let missing = Error::UnknownToken {
            model: checkpoint.model().to_owned(),
            token: token.to_owned(),
            role: "the WordPiece tokenizer",
        };
        tokenizer.token_to_id(token).map(|id| (token.to_owned(), id)).ok_or(missing)
    };
    let wrap = BertProcessing::new(special("[SEP]")?, special("[CLS]")?);
    let normalizer = BertNormalizer::new(true, chinese, strip_accents, lowercase);
    tokenizer.with_normalizer(Some(normalizer)).map_err(failure)?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(wrap));
    let specials =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(|token| tokenizers::AddedToken::from(token, true));
    tokenizer.add_special_tokens(specials).map_err(failure)?;
    Ok(tokenizer)
}

fn failure(error: tokenizers::Error) -> Error {
    Error::Tokenizer { reason: error.to_string() }
}
