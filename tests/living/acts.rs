//! A build, an upgrade and all kinds of changes of small indexes, which have metadata and words.

use crate::pool::POOLS;
use crate::words;
use selvedge_index::{Document, Error, Limits, ManifestInfo, Memory, Result, Storage, Writer, upgrade_in};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Work of one writer, up to its commit.
pub type Act = fn(Arc<dyn Storage>) -> Result<()>;

/// Files, and what is done to them.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    pub before: Memory,
    pub acts: &'static [Act],
}

/// Pushes documents with these ids, and then their passages.
fn push(writer: &mut Writer, passages: &[(&str, Range<usize>)]) -> Result<()> {
    for (id, tokens) in passages {
        let metadata = (tokens.len() > 1).then(|| serde_json::json!({ "n": tokens.len() }));
        writer.push_document(&Document { id: (*id).to_owned(), text: id.repeat(tokens.start), metadata })?;
    }
    writer.finish_documents()?;
    if writer.index().is_none() {
        writer.set_codec(&POOLS[0].codec)?;
    }
    let tokens: Vec<Range<usize>> = passages.iter().map(|(_, tokens)| tokens.clone()).collect();
    POOLS[0].push(writer, &tokens)
}

/// Builds an index of three segments.
fn build_act(storage: Arc<dyn Storage>) -> Result<()> {
    let mut writer = Writer::create_in(storage)?;
    words::give(&mut writer);
    writer.set_limits(Limits { segment_tokens: 5, ..Limits::default() });
    push(&mut writer, &[("a", 0..3), ("b", 1..3), ("c", 7..8), ("d", 4..4), ("e", 2..6), ("f", 5..6)])?;
    writer.set_sources(b"somewhere")?;
    writer.finish(ManifestInfo::default()).map(drop)
}

/// Opens an index for a change, with its words.
fn open(storage: Arc<dyn Storage>) -> Result<Writer> {
    let mut writer = Writer::open_in(storage)?;
    words::give(&mut writer);
    Ok(writer)
}

fn add_act(storage: Arc<dyn Storage>) -> Result<()> {
    let mut writer = open(storage)?;
    push(&mut writer, &[("g", 3..5), ("h", 9..9)])?;
    writer.commit().map(drop)
}

/// Replaces passages of two segments, adds one, and sets other sources.
fn update_act(storage: Arc<dyn Storage>) -> Result<()> {
    let mut writer = open(storage)?;
    writer.replace_existing();
    push(&mut writer, &[("b", 0..1), ("i", 8..9), ("d", 4..6)])?;
    writer.set_sources(b"elsewhere")?;
    writer.commit().map(drop)
}

/// Deletes passages: some of one segment, and all of another.
fn delete_act(storage: Arc<dyn Storage>) -> Result<()> {
    let mut writer = open(storage)?;
    for id in ["b", "d", "no such id"] {
        writer.delete(id)?;
    }
    writer.commit().map(drop)
}

fn merge_act(storage: Arc<dyn Storage>) -> Result<()> {
    let mut writer = open(storage)?;
    writer.merge(0..2, |_| Ok::<(), Error>(()))?;
    writer.commit().map(drop)
}

fn search_act(storage: Arc<dyn Storage>) -> Result<()> {
    let mut writer = open(storage)?;
    writer.set_search(Some(1.into()));
    writer.commit().map(drop)
}

/// Compresses all passages by another codec.
fn rebuild_act(storage: Arc<dyn Storage>) -> Result<()> {
    let mut writer = open(storage)?;
    writer.rebuild();
    writer.set_codec(&POOLS[1].codec)?;
    POOLS[1].push(&mut writer, &[0..3, 1..3, 4..4, 2..6, 5..6])?;
    writer.commit().map(drop)
}

/// Everything at once.
fn mixed_act(storage: Arc<dyn Storage>) -> Result<()> {
    let mut writer = open(storage)?;
    writer.delete("a")?;
    writer.replace_existing();
    push(&mut writer, &[("j", 0..2), ("c", 6..8)])?;
    writer.delete("e")?;
    writer.merge(1..3, |_| Ok::<(), Error>(()))?;
    writer.commit().map(drop)
}

fn upgrade_act(storage: Arc<dyn Storage>) -> Result<()> {
    upgrade_in(storage).map(drop)
}

/// An index of three segments, one of which has a deleted passage.
fn built() -> Memory {
    let memory = Memory::new();
    build_act(Arc::new(memory.clone())).unwrap();
    let mut writer = open(Arc::new(memory.clone())).unwrap();
    assert!(writer.index().is_some_and(|index| index.segments().len() == 3) && writer.delete("c").unwrap());
    writer.commit().unwrap();
    memory
}

pub fn build() -> Case {
    Case { name: "build", before: Memory::new(), acts: &[build_act] }
}

pub fn upgrade() -> Case {
    let before = Memory::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/index/tests/frozen/v2-selvedge-2");
    for file in std::fs::read_dir(folder).unwrap().map(std::io::Result::unwrap) {
        before.insert(&file.file_name().to_string_lossy(), std::fs::read(file.path()).unwrap());
    }
    Case { name: "upgrade", before, acts: &[upgrade_act] }
}

pub fn changes() -> Vec<Case> {
    let case = |name, acts| Case { name, before: built(), acts };
    vec![
        case("add", &[add_act]),
        case("update", &[update_act]),
        case("delete", &[delete_act]),
        case("merge", &[merge_act]),
        case("search parameters", &[search_act]),
        case("rebuild", &[rebuild_act]),
        case("all at once", &[mixed_act]),
    ]
}

pub fn chain() -> Case {
    Case { name: "add, delete, merge", before: built(), acts: &[add_act, delete_act, merge_act] }
}
