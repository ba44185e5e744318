//! Reads the settings of any family into one [`TextRules`].
//!
//! In: the settings files of a checkpoint. Out: a [`TextRules`]. Each family's rules and defaults have a file of their
//! own; this file recognizes the family, and `modules` reads the formats that several families share.

mod modules;
mod plain;
mod pylate;
mod sentence_transformers;
mod stanford;

use crate::checkpoint::{Checkpoint, Json};
use crate::error::Result;
use crate::text_rules::TextRules;
pub(crate) use modules::Module;

/// Reads the settings of a checkpoint. `hidden` is the width of its transformer, `positions` the longest sequence.
pub(crate) fn read(checkpoint: &Checkpoint, config: &Json, hidden: usize, positions: usize) -> Result<TextRules> {
    let Some(modules) = checkpoint.decisive_json("modules.json")? else {
        return if is_stanford(checkpoint, config)? {
            stanford::read(checkpoint, hidden)
        } else {
            plain::read(checkpoint, None, positions)
        };
    };
    let modules = Module::list(&modules)?;
    let settings = checkpoint.decisive_json("config_sentence_transformers.json")?;
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
    Ok(architectures.iter().any(|name| name == "HF_ColBERT")
        || checkpoint.decisive_json("artifact.metadata")?.is_some())
}
