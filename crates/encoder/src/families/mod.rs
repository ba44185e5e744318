//! A checkpoint's settings files to its [`TextRules`], whichever family wrote them.
//!
//! In: the settings of a checkpoint. Out: a [`TextRules`]. One file per family, each with the family's rules and defaults;
//! here the family is recognized. `modules` holds the formats that several families share.

mod modules;
mod plain;
mod pylate;
mod sentence_transformers;
mod stanford;

use crate::checkpoint::{Checkpoint, Json};
use crate::error::Result;
use crate::text_rules::TextRules;
pub(crate) use modules::Module;

/// Reads whichever family the checkpoint is of. `positions` is the longest sequence that its transformer takes.
pub(crate) fn read(checkpoint: &Checkpoint, config: &Json, hidden: usize, positions: usize) -> Result<TextRules> {
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
