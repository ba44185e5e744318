//! Rules for turning text into embeddings: the one form into which the settings of all families are read.
//!
//! A [`TextRules`] names tokens and tensors; `pipeline` resolves it against the tokenizer, `projection` against the
//! weights. Its JSON form is part of the fingerprint, so JSON keys and stored names never change.

use serde::Serialize;

/// Library whose format and rules a checkpoint follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Stanford ColBERT: `linear.weight` beside the transformer, settings in `artifact.metadata`.
    Stanford,
    /// PyLate: `modules.json` with a chain of Dense layers, settings in `config_sentence_transformers.json`.
    PyLate,
    /// The `MultiVectorEncoder` of sentence-transformers 6: masking and query expansion are modules.
    SentenceTransformers,
    /// A transformer without a projection: its hidden states are the embeddings.
    Plain,
}

impl Family {
    /// Name of the family in indexes. It never changes: existing indexes store it, and the fingerprint covers it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stanford => "Stanford",
            Self::PyLate => "PyLate",
            Self::SentenceTransformers => "SentenceTransformers",
            Self::Plain => "Plain",
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Family {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Kind of text to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// A query: short, may be expanded with `[MASK]`.
    Query,
    /// A passage: long, may have a skiplist.
    Passage,
}

impl std::fmt::Display for TextKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Query => "query",
            Self::Passage => "passage",
        })
    }
}

/// Settings of a checkpoint, besides its transformer's, that decide which embeddings a text has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextRules {
    /// Library whose format and rules the settings follow.
    pub family: Family,
    /// Rules for queries.
    pub query: TextConfig,
    /// Rules for passages.
    pub passage: TextConfig,
    /// Expansion of short queries; `None` leaves them at their own length.
    pub expansion: Option<Expansion>,
    /// Whether surrounding whitespace is stripped before tokenizing. If it is not, a byte-level tokenizer makes tokens
    /// of it.
    pub strip: bool,
    /// Whether texts are lowercased before tokenizing, in addition to the tokenizer's own normalization.
    pub lowercase: bool,
    /// Dense layers of the projection, in order; empty for plain checkpoints.
    pub projection: Vec<DenseSpec>,
}

/// Rules for one kind of text.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TextConfig {
    /// Maximum number of tokens of a text, special tokens and prefix token included.
    pub max_len: usize,
    /// Token inserted at position 1, after the first special token.
    #[serde(rename = "marker")]
    pub prefix_token: Option<PrefixToken>,
    /// Text that is prepended to every text.
    pub prompt: String,
    /// Words whose tokens the transformer reads, but whose embeddings are dropped.
    pub skiplist: Vec<String>,
    /// Rule by which the skiplist's words become token ids.
    pub skiplist_rule: SkiplistRule,
    /// The only token ids whose embeddings are kept; empty to keep all.
    pub keep_only: Vec<u32>,
}

/// Token that marks a text as a query or a passage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrefixToken {
    /// Spelling in the vocabulary.
    pub token: String,
    /// Whether a spelling that the vocabulary lacks becomes the unknown token instead of an error.
    pub or_unknown: bool,
}

/// Expansion of queries with `[MASK]` tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expansion {
    /// Number of tokens to which shorter queries are padded.
    pub length: usize,
    /// Whether other tokens attend to the added ones. The added tokens attend to the query and are kept in either case.
    pub attend: bool,
    /// Spelling of the added token; `None` for the tokenizer's mask token.
    pub token: Option<String>,
    /// Whether padding tokens that occur in a query's text are replaced with the added token.
    pub replace_pad: bool,
}

/// Rule by which a word of the skiplist becomes a token id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum SkiplistRule {
    /// Stanford: the first token of the tokenized word, which in a sentencepiece vocabulary can be the bare word-start
    /// mark. Padding tokens are dropped as well, even those that occur in the text.
    FirstPieceAndPadding,
    /// PyLate: the word's own id. A word that the vocabulary lacks becomes the unknown token, so that every unknown
    /// token of a passage is dropped.
    IdOrUnknown,
    /// sentence-transformers: the word's own id; a word that the vocabulary lacks is left out.
    #[default]
    KnownId,
}

/// Activation function of a Dense layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Activation {
    /// `x`.
    Identity,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x Phi(x)`, with the error function.
    Gelu,
    /// `x sigmoid(x)`.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// Settings of a Dense layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DenseSpec {
    /// Folder of the weights; empty for the checkpoint's root.
    pub folder: String,
    /// Name of the weight in that folder; (out, in).
    pub weight: String,
    /// Width of the input.
    pub in_features: usize,
    /// Width of the output; `None` takes it from the weight's shape.
    pub out_features: Option<usize>,
    /// Whether `linear.bias` is added.
    pub bias: bool,
    /// Activation after the product.
    pub activation: Activation,
    /// Whether the input, or its product with `residual.weight`, is added after the activation.
    pub residual: bool,
}

impl DenseSpec {
    /// Layer without bias and activation, whose weight is in the transformer's file.
    pub(crate) fn inline(weight: &str, in_features: usize, out_features: Option<usize>) -> Self {
        Self {
            folder: String::new(),
            weight: weight.to_owned(),
            in_features,
            out_features,
            bias: false,
            activation: Activation::Identity,
            residual: false,
        }
    }
}

/// Tokens up to which queries are read whole. Statements that are asked as queries have 75 tokens and more: cut at 32,
/// the nDCG@10 of the shipped model fell from .36 to .23 on them.
const LONG_QUERY: usize = 256;

impl TextRules {
    /// Replaces the checkpoint's maximum lengths with the caller's. Expanded queries are padded to the new length.
    ///
    /// Without the caller's, queries have the checkpoint's length if they are padded to it, since the model knows no
    /// other; queries of their own length are cut at 256 tokens or at `positions`, the longest sequence.
    pub(crate) fn set_max_lens(&mut self, query: Option<usize>, passage: Option<usize>, positions: usize) {
        if query.is_none() && self.expansion.is_none() {
            self.query.max_len = self.query.max_len.max(LONG_QUERY.min(positions));
        }
        if let Some(max_len) = query {
            if let Some(expansion) = &mut self.expansion {
                let pads_all = expansion.length == self.query.max_len;
                expansion.length = if pads_all { max_len } else { expansion.length.min(max_len) };
            }
            self.query.max_len = max_len;
        }
        if let Some(max_len) = passage {
            self.passage.max_len = max_len;
        }
    }
}

/// Returns the 32 ASCII punctuation characters, one per string: the skiplist of the ColBERT papers.
pub fn punctuation() -> Vec<String> {
    ('!'..='~').filter(char::is_ascii_punctuation).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests and fingerprints of existing indexes contain these names.
    #[test]
    fn stored_names_of_families_stay() {
        for (family, name) in [
            (Family::Stanford, "Stanford"),
            (Family::PyLate, "PyLate"),
            (Family::SentenceTransformers, "SentenceTransformers"),
            (Family::Plain, "Plain"),
        ] {
            assert_eq!(serde_json::to_value(family).unwrap(), name);
        }
    }

    #[test]
    fn queries_are_cut_at_256_tokens_unless_they_are_padded() {
        let rules = |expansion| TextRules {
            family: Family::Plain,
            query: TextConfig { max_len: 32, ..TextConfig::default() },
            passage: TextConfig { max_len: 180, ..TextConfig::default() },
            expansion,
            strip: false,
            lowercase: false,
            projection: Vec::new(),
        };
        let padded = || Some(Expansion { length: 32, attend: false, token: None, replace_pad: false });
        for (expansion, asked, positions, expected) in [
            (None, None, 512, 256),
            (None, None, 100, 100),
            (None, Some(32), 512, 32),
            (padded(), None, 512, 32),
            (padded(), Some(48), 512, 48),
        ] {
            let mut it = rules(expansion);
            it.set_max_lens(asked, None, positions);
            assert_eq!((it.query.max_len, it.passage.max_len), (expected, 180), "{asked:?}, {positions} positions");
        }
        let mut longer = rules(None);
        longer.query.max_len = 400;
        longer.set_max_lens(None, None, 512);
        assert_eq!(longer.query.max_len, 400);
    }

    /// The fingerprint hashes this text: another key would make existing indexes refuse their model.
    #[test]
    fn json_keys_stay() {
        let text_rules = TextRules {
            family: Family::PyLate,
            query: TextConfig {
                prefix_token: Some(PrefixToken { token: "[Q]".into(), or_unknown: false }),
                ..TextConfig::default()
            },
            passage: TextConfig::default(),
            expansion: Some(Expansion { length: 32, attend: true, token: None, replace_pad: false }),
            strip: true,
            lowercase: false,
            projection: vec![DenseSpec::inline("linear.weight", 24, Some(16))],
        };
        let expected = concat!(
            r#"{"family":"PyLate","query":{"max_len":0,"marker":{"token":"[Q]","or_unknown":false},"prompt":"","#,
            r#""skiplist":[],"skiplist_rule":"KnownId","keep_only":[]},"passage":{"max_len":0,"marker":null,"#,
            r#""prompt":"","skiplist":[],"skiplist_rule":"KnownId","keep_only":[]},"expansion":{"length":32,"#,
            r#""attend":true,"token":null,"replace_pad":false},"strip":true,"lowercase":false,"projection":[{"#,
            r#""folder":"","weight":"linear.weight","in_features":24,"out_features":16,"bias":false,"#,
            r#""activation":"Identity","residual":false}]}"#
        );
        assert_eq!(serde_json::to_string(&text_rules).unwrap(), expected);
    }
}
