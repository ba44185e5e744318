//! What a checkpoint's family says about turning text into rows: the one form that all families are read into.
//!
//! In: the settings files of a checkpoint. Out: a [`TextRules`], in names and words; `rows` and `projection` resolve it
//! against the tokenizer and the weights.

use serde::Serialize;

/// The library whose format, and whose rules, a checkpoint follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Stanford ColBERT: `linear.weight` beside the transformer, settings in `artifact.metadata`.
    Stanford,
    /// PyLate: `modules.json` with a chain of Dense layers, settings in `config_sentence_transformers.json`.
    PyLate,
    /// The `MultiVectorEncoder` of sentence-transformers 6: masks and query expansion are modules of their own.
    SentenceTransformers,
    /// A transformer without a projection: its token vectors as they are.
    Plain,
}

impl Family {
    /// The name that indexes store. It does not change: the fingerprint covers it, and existing indexes have it.
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

/// Which of the two kinds of text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// Short, asked; may be augmented with `[MASK]`.
    Query,
    /// Long, searched; may have a skiplist.
    Passage,
}

/// Everything about a checkpoint, beside its transformer, that decides which rows a text has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextRules {
    /// The format that the settings were read from.
    pub family: Family,
    /// How queries are tokenized and which rows they keep.
    pub query: TextConfig,
    /// The same for passages.
    pub passage: TextConfig,
    /// How short queries are augmented; `None` leaves them at their own length.
    pub expansion: Option<Expansion>,
    /// Whether whitespace around a text is dropped before tokenizing: byte-level tokenizers see it.
    pub strip: bool,
    /// Whether texts are lowercased before tokenizing, beside what the tokenizer itself does.
    pub lowercase: bool,
    /// The projection, applied in order; empty for plain checkpoints.
    pub projection: Vec<DenseSpec>,
}

/// One kind of text.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TextConfig {
    /// Tokens of a text at most, special tokens and marker included.
    pub max_len: usize,
    /// A token inserted at position 1, after the first special token.
    pub marker: Option<PrefixToken>,
    /// Text put before every text.
    pub prompt: String,
    /// Words whose tokens are dropped after the transformer has seen them.
    pub skiplist: Vec<String>,
    /// How words become token ids: each family has its own trap.
    pub skiplist_rule: SkiplistRule,
    /// If not empty, only these token ids are kept.
    pub keep_only: Vec<u32>,
}

/// A token that says whether a text is a query or a passage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrefixToken {
    /// Its spelling in the vocabulary.
    pub token: String,
    /// Whether a spelling that the vocabulary lacks becomes the unknown token, instead of an error.
    pub or_unknown: bool,
}

/// `[MASK]` augmentation of queries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expansion {
    /// Queries shorter than this are filled up to it.
    pub length: usize,
    /// Whether the transformer's attention sees the added tokens. They see the query, and are kept, in any case.
    pub attend: bool,
    /// The token to add; `None` for the tokenizer's mask token.
    pub token: Option<String>,
    /// Whether a literal padding token in a query's text also becomes the added token.
    pub replace_pad: bool,
}

/// How a word of the skiplist becomes a token id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum SkiplistRule {
    /// Stanford: the first piece of the word when it is tokenized, which on a sentencepiece vocabulary can be the
    /// bare word-start mark. Padding tokens are dropped with them, even literal ones in the text.
    FirstPieceAndPadding,
    /// PyLate: the word's own id. A word that the vocabulary lacks stands for the unknown token, so that every
    /// unknown token of a passage is dropped.
    IdOrUnknown,
    /// sentence-transformers: the word's own id; a word that the vocabulary lacks is left out.
    #[default]
    KnownId,
}

/// What follows a Dense layer's product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x Phi(x)`, by the error function.
    Gelu,
    /// `x sigmoid(x)`.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// One layer, as its settings describe it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DenseSpec {
    /// The folder of its weights; empty for the checkpoint's root.
    pub folder: String,
    /// The weight's name there; (out, in).
    pub weight: String,
    /// Width of its input.
    pub in_features: usize,
    /// Width of its output; `None` takes it from the weight's shape.
    pub out_features: Option<usize>,
    /// Whether `linear.bias` is added.
    pub bias: bool,
    /// What follows.
    pub activation: Activation,
    /// Whether the input, or its product with `residual.weight`, is added after the activation.
    pub residual: bool,
}

impl DenseSpec {
    /// A bare product whose weight lies in the transformer's own file.
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

impl TextRules {
    /// The caller's maximum lengths in place of the checkpoint's. Augmented queries are filled up to theirs.
    pub(crate) fn set_max_lens(&mut self, query: Option<usize>, passage: Option<usize>) {
        if let Some(max_len) = query {
            if let Some(expansion) = &mut self.expansion {
                let fills_all = expansion.length == self.query.max_len;
                expansion.length = if fills_all { max_len } else { expansion.length.min(max_len) };
            }
            self.query.max_len = max_len;
        }
        if let Some(max_len) = passage {
            self.passage.max_len = max_len;
        }
    }
}

/// ASCII punctuation, the skiplist of the ColBERT papers.
pub fn punctuation() -> Vec<String> {
    ('!'..='~').filter(char::is_ascii_punctuation).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests and fingerprints of existing indexes hold these.
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
}
