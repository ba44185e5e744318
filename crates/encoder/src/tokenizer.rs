//! The tokenizer of a checkpoint: `tokenizer.json` or a WordPiece `vocab.txt`, and the special tokens of the settings.

use std::collections::BTreeSet;

use serde_json::Value;
use tokenizers::models::ModelWrapper;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, Lowercase, NormalizerWrapper, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Encoding, Model, PostProcessor, Tokenizer, TruncationDirection};

use crate::checkpoint::{Checkpoint, Json};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;

/// A tokenizer that neither pads nor truncates.
pub(crate) struct TextTokenizer {
    inner: Tokenizer,
    /// Number of tokens that the tokenizer adds to every text, such as `[CLS]` and `[SEP]`.
    pub(crate) num_added: usize,
    pub(crate) special: SpecialTokens,
    /// Number of bytes at the end of a prefix in which an added token may have been cut.
    margin: usize,
}

/// Number of words at the end of a prefix that the following text may still change. Pre-tokenizers look at most one
/// word ahead: `'r` is two words, `'re` is one.
const UNSURE_WORDS: u32 = 4;

/// Lower bound of [`TextTokenizer::margin`].
const LEAST_MARGIN: usize = 64;

/// Ids of the special tokens; `None` for a token that the vocabulary lacks.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct SpecialTokens {
    pub(crate) mask: Option<u32>,
    pub(crate) end: Option<u32>,
    pub(crate) pad: Option<u32>,
    pub(crate) unknown: Option<u32>,
}

impl TextTokenizer {
    /// Loads the tokenizer and adds its files to the fingerprint.
    pub(crate) fn load(checkpoint: &Checkpoint, fingerprint: &mut Fingerprint) -> Result<Self> {
        let config = checkpoint.json("tokenizer_config.json")?;
        check_truncation(config.as_ref())?;
        let mut inner = if checkpoint.has("tokenizer.json")? {
            let bytes = checkpoint.read("tokenizer.json")?;
            fingerprint.bytes("tokenizer.json", &bytes);
            let mut inner = Tokenizer::from_bytes(&bytes).map_err(|error| {
                let path = checkpoint.describe("tokenizer.json");
                Error::MalformedJson { path, reason: error.to_string() }
            })?;
            override_normalizer(&mut inner, checkpoint, config.as_ref(), fingerprint)?;
            inner
        } else if checkpoint.has("vocab.txt")? {
            word_piece(checkpoint, config.as_ref(), fingerprint)?
        } else {
            return Err(checkpoint.missing("tokenizer.json"));
        };
        inner.with_padding(None);
        inner.with_truncation(None).map_err(failure)?;
        let map = checkpoint.json("special_tokens_map.json")?;
        let special = SpecialTokens::find(&inner, [config.as_ref(), map.as_ref()]);
        add_special_tokens(&mut inner, [config.as_ref(), map.as_ref()])?;
        fingerprint.json("special tokens", &special);
        let num_added = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        let margin = margin(&inner);
        Ok(Self { inner, num_added, special, margin })
    }

    /// Makes each of these words one token wherever it occurs in a text, as PyLate does with its prefixes. Words that
    /// the vocabulary lacks are ignored.
    pub(crate) fn add_tokens<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let known = words.into_iter().filter(|word| self.inner.token_to_id(word).is_some());
        let tokens: Vec<AddedToken> = known.map(|word| AddedToken::from(word, false)).collect();
        let tokens = unlisted(&self.inner, tokens);
        self.inner.add_tokens(tokens).map_err(failure)?;
        self.margin = margin(&self.inner);
        Ok(())
    }

    /// Lowercases every text before any other normalization, except special tokens that occur in it.
    pub(crate) fn lowercase(&mut self) -> Result<()> {
        let mut steps = vec![NormalizerWrapper::from(Lowercase)];
        steps.extend(self.inner.get_normalizer().cloned());
        self.inner.with_normalizer(Some(Sequence::new(steps))).map_err(failure)?;
        Ok(())
    }

    /// Tokenizes a text without adding special tokens. The result has neither word numbers nor offsets.
    pub(crate) fn tokens(&self, text: &str) -> Result<Encoding> {
        self.inner.encode_fast(text, false).map_err(failure)
    }

    /// Tokenizes a text without adding special tokens. The result has word numbers and byte offsets.
    pub(crate) fn tokens_with_offsets(&self, text: &str) -> Result<Encoding> {
        self.inner.encode(text, false).map_err(failure)
    }

    /// Number of a prefix's tokens that stay the same whatever text follows the prefix.
    ///
    /// Tokenizing is local: each word of the pre-tokenizer is tokenized alone, and the end of a word depends on a few
    /// following words. A token is therefore certain if it is before the last [`UNSURE_WORDS`] words, before the last
    /// whitespace, and before the last `margin` bytes, in which an added token could begin.
    pub(crate) fn num_sure(&self, tokens: &Encoding, prefix: &str) -> usize {
        let words = tokens.get_word_ids();
        let Some(&last) = words.iter().rev().flatten().next() else { return 0 };
        let half = prefix.floor_char_boundary(prefix.len() / 2);
        let blank = prefix[half..].rfind(char::is_whitespace).map_or(prefix.len(), |at| half + at);
        let end = prefix.len().saturating_sub(self.margin).min(blank);
        let is_sure = |word: Option<u32>, offsets: (usize, usize)| {
            word.is_some_and(|word| word + UNSURE_WORDS <= last) && offsets.1 <= end
        };
        let tokens = words.iter().zip(tokens.get_offsets());
        tokens.take_while(|&(&word, &offsets)| is_sure(word, offsets)).count()
    }

    /// Truncates to the first `capacity` tokens and adds the special tokens of every text.
    pub(crate) fn complete(&self, mut tokens: Encoding, capacity: usize) -> Result<Encoding> {
        tokens.truncate(capacity, 0, TruncationDirection::Right);
        tokens.take_overflowing();
        self.inner.post_process(tokens, None, true).map_err(failure)
    }

    /// Token ids of a text without special tokens.
    pub(crate) fn pieces(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.inner.encode_fast(text, false).map_err(failure)?.get_ids().to_vec())
    }

    /// Spelling of a token.
    pub(crate) fn spelling(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Vocabulary of a WordPiece tokenizer, by id; `None` for any other tokenizer.
    pub(crate) fn word_pieces(&self) -> Option<Vec<String>> {
        let ModelWrapper::WordPiece(model) = self.inner.get_model() else { return None };
        let mut vocabulary: Vec<(u32, String)> = model.get_vocab().into_iter().map(|(token, id)| (id, token)).collect();
        vocabulary.sort_unstable();
        Some(vocabulary.into_iter().map(|(_, token)| token).collect())
    }

    /// Id of a token by its exact spelling.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }
}

impl SpecialTokens {
    /// Finds special tokens in the settings, else by the usual spellings, which the settings of old checkpoints omit.
    fn find(tokenizer: &Tokenizer, settings: [Option<&Json>; 2]) -> Self {
        let named = |role: &str| {
            settings
                .iter()
                .flatten()
                .find_map(|json| spelling(json.get(role)?))
                .and_then(|token| tokenizer.token_to_id(&token))
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

/// Number of bytes at the end of a prefix in which an added token may have been cut. A normalizer shortens a character
/// to no less than a quarter of its bytes, hence the factor of 4.
fn margin(tokenizer: &Tokenizer) -> usize {
    let longest = tokenizer.get_added_tokens_decoder().values().map(|token| 4 * token.content.len()).max();
    longest.unwrap_or(0).max(LEAST_MARGIN)
}

/// Refuses a checkpoint that truncates long texts at the beginning: this crate truncates at the end.
fn check_truncation(config: Option<&Json>) -> Result<()> {
    let Some(config) = config else { return Ok(()) };
    match config.string("truncation_side")? {
        Some(side) if side != "right" => {
            Err(Error::Unsupported { path: config.path.clone(), what: format!("truncation_side {side}") })
        }
        _ => Ok(()),
    }
}

/// Replaces the normalizer of `tokenizer.json` with that of the settings, as transformers does: `BertTokenizer` and
/// `DistilBertTokenizer`, which are also the default classes of those models, take their flags from
/// `tokenizer_config.json` or from their defaults. Only flags that differ are added to the fingerprint.
fn override_normalizer(
    tokenizer: &mut Tokenizer,
    checkpoint: &Checkpoint,
    config: Option<&Json>,
    fingerprint: &mut Fingerprint,
) -> Result<()> {
    let class = config.map_or(Ok(None), |config| config.string("tokenizer_class"))?;
    let is_bert = match &class {
        Some(class) => matches!(class.trim_end_matches("Fast"), "BertTokenizer" | "DistilBertTokenizer"),
        None => {
            let model = checkpoint.json("config.json")?;
            let model_type = model.map_or(Ok(None), |model| model.string("model_type"))?;
            matches!(model_type.as_deref(), Some("bert" | "distilbert"))
        }
    };
    let Some(NormalizerWrapper::BertNormalizer(listed)) = tokenizer.get_normalizer().filter(|_| is_bert) else {
        return Ok(());
    };
    let listed = *listed;
    let flags = BertFlags::read(config)?;
    if flags == BertFlags::of(&listed) {
        return Ok(());
    }
    tracing::debug!(model = checkpoint.model(), ?flags, "tokenizer_config.json overrides tokenizer.json");
    fingerprint.json("normalizer", &(flags.lowercase, flags.strip_accents, flags.chinese));
    let normalizer = flags.normalizer(listed.clean_text);
    tokenizer.with_normalizer(Some(normalizer)).map_err(failure)?;
    Ok(())
}

/// Flags of BERT's normalizer in `tokenizer_config.json`.
#[derive(Debug, PartialEq)]
struct BertFlags {
    lowercase: bool,
    /// `None` follows `lowercase`.
    strip_accents: Option<bool>,
    chinese: bool,
}

impl BertFlags {
    fn read(config: Option<&Json>) -> Result<Self> {
        let flag = |key| config.map_or(Ok(None), |config| config.bool(key));
        Ok(Self {
            lowercase: flag("do_lower_case")?.unwrap_or(true),
            strip_accents: flag("strip_accents")?,
            chinese: flag("tokenize_chinese_chars")?.unwrap_or(true),
        })
    }

    fn of(normalizer: &BertNormalizer) -> Self {
        let BertNormalizer { lowercase, strip_accents, handle_chinese_chars: chinese, .. } = *normalizer;
        Self { lowercase, strip_accents, chinese }
    }

    fn normalizer(&self, clean_text: bool) -> BertNormalizer {
        BertNormalizer::new(clean_text, self.chinese, self.strip_accents, self.lowercase)
    }
}

/// Adds the special tokens that only the settings list: transformers makes one token of each that occurs in a text.
/// Words that the vocabulary lacks would have random embeddings and are left out.
fn add_special_tokens(tokenizer: &mut Tokenizer, settings: [Option<&Json>; 2]) -> Result<()> {
    let mut words = Vec::new();
    for settings in settings.into_iter().flatten() {
        for (key, value) in settings.value.as_object().into_iter().flatten() {
            match value {
                Value::Array(list) if key.ends_with("_special_tokens") => {
                    words.extend(list.iter().filter_map(spelling))
                }
                value if key.ends_with("_token") => words.extend(spelling(value)),
                _ => {}
            }
        }
    }
    words.retain(|word| tokenizer.token_to_id(word).is_some());
    let tokens = unlisted(tokenizer, words.into_iter().map(|word| AddedToken::from(word, true)).collect());
    tokenizer.add_special_tokens(tokens).map_err(failure)?;
    Ok(())
}

/// Spelling of a token in the settings: a string, or the `content` of an object.
fn spelling(token: &Value) -> Option<String> {
    Some(token.as_str().or_else(|| token.get("content")?.as_str())?.to_owned())
}

/// Returns the tokens that are not among the tokenizer's added ones, each once.
fn unlisted(tokenizer: &Tokenizer, tokens: Vec<AddedToken>) -> Vec<AddedToken> {
    let listed = tokenizer.get_added_tokens_decoder();
    let mut seen: BTreeSet<String> = listed.into_values().map(|token| token.content).collect();
    tokens.into_iter().filter(|token| seen.insert(token.content.clone())).collect()
}

/// Builds BERT's tokenizer from its vocabulary, for checkpoints older than `tokenizer.json`.
fn word_piece(checkpoint: &Checkpoint, config: Option<&Json>, fingerprint: &mut Fingerprint) -> Result<Tokenizer> {
    let vocabulary = checkpoint.read("vocab.txt")?;
    fingerprint.bytes("vocab.txt", &vocabulary);
    let flags = BertFlags::read(config)?;
    fingerprint.json("vocab.txt settings", &(flags.lowercase, flags.strip_accents, flags.chinese));
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
    tokenizer.with_normalizer(Some(flags.normalizer(true))).map_err(failure)?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(wrap));
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(|token| AddedToken::from(token, true));
    tokenizer.add_special_tokens(specials).map_err(failure)?;
    Ok(tokenizer)
}

fn failure(error: tokenizers::Error) -> Error {
    Error::Tokenizer { reason: error.to_string() }
}
