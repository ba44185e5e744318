//! What a checkpoint's family says about turning text into rows: the one form that all families are read into.
//!
//! In: the settings files of a checkpoint. Out: a [`Recipe`], in names and words; `rows` and `projection` resolve it
//! against the tokenizer and the weights.

use serde::Serialize;

use crate::checkpoint::{Checkpoint, Json};
use crate::projection::DenseSpec;
use crate::skiplist::Rule;
use crate::{Error, Result, plain, pylate, sentence_transformers, stanford};

/// The library whose format, and whose rules, a checkpoint follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
pub struct Recipe {
    /// The format that the settings were read from.
    pub family: Family,
    /// How queries are tokenized and which rows they keep.
    pub query: Side,
    /// The same for passages.
    pub passage: Side,
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
pub struct Side {
    /// Tokens of a text at most, special tokens and marker included.
    pub max_len: usize,
    /// A token inserted at position 1, after the first special token.
    pub marker: Option<Marker>,
    /// Text put before every text.
    pub prompt: String,
    /// Words whose tokens are dropped after the transformer has seen them.
    pub skiplist: Vec<String>,
    /// How words become token ids: each family has its own trap.
    pub skiplist_rule: Rule,
    /// If not empty, only these token ids are kept.
    pub keep_only: Vec<u32>,
}

/// A token that says whether a text is a query or a passage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Marker {
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

impl Recipe {
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

/// Reads whichever family the checkpoint is of. `positions` is the longest sequence that its transformer takes.
pub(crate) fn read(checkpoint: &Checkpoint, config: &Json, hidden: usize, positions: usize) -> Result<Recipe> {
    let Some(modules) = checkpoint.json("modules.json")? else {
        return if is_stanford(checkpoint, config)? {
            stanford::read(checkpoint, hidden)
        } else {
            plain::read(checkpoint, None, positions)
        };
    };
    let modules = Module::list(&modules)?;
    let settings = checkpoint.json("config_sentence_transformers.json")?;
    if sentence_transformers::recognizes(&modules, settings.as_ref())? {
        sentence_transformers::read(checkpoint, &modules, settings.as_ref(), positions)
    } else if pylate::recognizes(&modules, settings.as_ref())? {
        pylate::read(checkpoint, &modules, settings.as_ref())
    } else {
        plain::read(checkpoint, settings.as_ref(), positions)
    }
}

fn is_stanford(checkpoint: &Checkpoint, config: &Json) -> Result<bool> {
    let architectures = config.strings("architectures")?.unwrap_or_default();
    Ok(architectures.iter().any(|name| name == "HF_ColBERT") || checkpoint.has("artifact.metadata")?)
}

/// One entry of `modules.json`.
pub(crate) struct Module {
    /// The last part of the class's dotted name.
    pub(crate) class: String,
    /// The class's full dotted name.
    pub(crate) full_class: String,
    /// Its folder; empty for the checkpoint's root.
    pub(crate) folder: String,
}

impl Module {
    pub(crate) fn list(modules: &Json) -> Result<Vec<Self>> {
        let list = modules.value.as_array().ok_or_else(|| modules.malformed("not a list of modules"))?;
        let module = |entry: &serde_json::Value| {
            let full_class = entry.get("type")?.as_str()?.to_owned();
            let class = full_class.rsplit('.').next().unwrap_or_default().to_owned();
            Some(Self { class, full_class, folder: entry.get("path")?.as_str()?.to_owned() })
        };
        let list = list.iter().map(module).collect::<Option<Vec<_>>>();
        list.ok_or_else(|| modules.malformed("a module lacks \"type\" or \"path\""))
    }

    /// The transformer's own folder; only the root is read.
    pub(crate) fn check_transformer(checkpoint: &Checkpoint, modules: &[Self]) -> Result<()> {
        match modules.first() {
            Some(first) if first.class == "Transformer" && first.folder.is_empty() => Ok(()),
            _ => Err(Error::Unsupported {
                path: checkpoint.describe("modules.json"),
                what: "a first module that is not a Transformer in the checkpoint's root".into(),
            }),
        }
    }
}

/// The prompt that `config_sentence_transformers.json` keeps under the first of `names` that it knows.
pub(crate) fn prompt(settings: Option<&Json>, names: &[&str]) -> Result<String> {
    let Some(settings) = settings else { return Ok(String::new()) };
    let Some(prompts) = settings.get("prompts") else { return Ok(String::new()) };
    let prompt = names.iter().find_map(|name| prompts.get(name).filter(|prompt| !prompt.is_null()));
    match prompt.map(|prompt| prompt.as_str()) {
        None => Ok(String::new()),
        Some(Some(prompt)) => Ok(prompt.to_owned()),
        Some(None) => Err(settings.malformed("a prompt is not a string")),
    }
}

/// The names that sentence-transformers tries for a passage's prompt, in its order.
pub(crate) const PASSAGE_PROMPTS: [&str; 3] = ["document", "passage", "corpus"];

/// ASCII punctuation, the skiplist of the ColBERT papers.
pub(crate) fn punctuation() -> Vec<String> {
    ('!'..='~').filter(char::is_ascii_punctuation).map(String::from).collect()
}
