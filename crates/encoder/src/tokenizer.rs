//! Text to token ids: `tokenizer.json`, or a WordPiece `vocab.txt`, and the special tokens that the settings name.

use serde_json::Value;
use tokenizers::models::ModelWrapper;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{Encoding, Model, PostProcessor, Tokenizer, TruncationDirection};

use crate::checkpoint::{Checkpoint, Json};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;

/// A tokenizer that neither pads nor truncates by itself.
pub(crate) struct TextTokenizer {
    inner: Tokenizer,
    /// Tokens that the tokenizer itself adds to every text, such as `[CLS]` and `[SEP]`.
    pub(crate) num_added: usize,
    pub(crate) special: Special,
    /// Bytes at the end of a prefix in which one of the added tokens may be cut in two.
    margin: usize,
}

/// Words at the end of a prefix that what follows may still change. Pre-tokenizers look a word ahead at most: `'r` is two
/// words, `'re` is one.
const UNSURE_WORDS: u32 = 4;

/// The least bytes of [`TextTokenizer::margin`].
const LEAST_MARGIN: usize = 64;

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
        // A normalizer may write a character in fewer bytes than the text has for it: at most four for one.
        let longest = inner.get_added_tokens_decoder().values().map(|token| 4 * token.content.len()).max();
        let margin = longest.unwrap_or(0).max(LEAST_MARGIN);
        Ok(Self { inner, num_added, special, margin })
    }

    /// Tokens of a text alone, with neither words nor offsets.
    pub(crate) fn tokens(&self, text: &str) -> Result<Encoding> {
        self.inner.encode_fast(text, false).map_err(failure)
    }

    /// Tokens of a text alone, with their words and their byte offsets.
    pub(crate) fn tokens_with_offsets(&self, text: &str) -> Result<Encoding> {
        self.inner.encode(text, false).map_err(failure)
    }

    /// Number of a prefix's tokens that the whole text begins with too, whatever follows the prefix.
    ///
    /// Tokenizing is local: a word (of the pre-tokenizer) is made into tokens alone, and where a word ends is seen within
    /// a few words. So tokens are sure that lie before the last words, the last white space, and the bytes that an added
    /// token could begin in.
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

    /// The first `room` of a text's tokens, with the special tokens that the tokenizer adds to every text.
    pub(crate) fn complete(&self, mut tokens: Encoding, room: usize) -> Result<Encoding> {
        tokens.truncate(room, 0, TruncationDirection::Right);
        tokens.take_overflowing();
        self.inner.post_process(tokens, None, true).map_err(failure)
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
