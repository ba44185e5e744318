//! One file of an index of PLAID, fast-plaid, next-plaid, xtr-warp-rs or WARP. The other files are as they should be.
//!
//! Input: the number of the file in one byte, and its bytes. The index is opened, read with its metadata, decoded, and
//! imported into memory as is and recoded. Nothing may panic, and nothing that a pickle names may run. An index that is
//! written is sound.

#![no_main]

mod seeds;

use libfuzzer_sys::fuzz_target;
use selvedge_bridges::{Block, Decoder, Documents, Result, as_is, open, recode};
use selvedge_index::{Check, Index, ManifestInfo, Memory, Writer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

const FIXTURES: [&str; 7] =
    ["plaid-2", "next-plaid-2", "fast-plaid-4", "xtr-warp-4", "warp-2", "next-plaid-4", "next-plaid-binary"];

/// Copies of the fixtures, and their files.
struct Indexes {
    _folder: tempfile::TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
}

static INDEXES: LazyLock<Indexes> = LazyLock::new(|| {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/bridges/tests/fixtures");
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for name in FIXTURES {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
        let entries = std::fs::read_dir(fixtures.join(name)).expect("the fixture");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        paths.sort();
        for path in paths {
            let bytes = std::fs::read(&path).expect("a file");
            let copy = folder.path().join(name).join(path.file_name().expect("a name"));
            std::fs::write(&copy, &bytes).expect("a file");
            files.push((copy, bytes));
        }
    }
    let seed = |(at, (path, bytes)): (usize, &(PathBuf, Vec<u8>))| {
        let name = path.file_name().expect("a name").to_string_lossy();
        (format!("{at}-{name}"), [&[at as u8], bytes.as_slice()].concat())
    };
    seeds::write(files.iter().enumerate().map(seed));
    Indexes { _folder: folder, files }
});

fuzz_target!(|data: &[u8]| {
    let Some((&number, bytes)) = data.split_first() else { return };
    let (path, sound) = &INDEXES.files[number as usize % INDEXES.files.len()];
    std::fs::write(path, bytes).expect("a file");
    let folder = path.parent().expect("a folder");
    _ = decode(folder);
    for is_recoded in [false, true] {
        let memory = Memory::default();
        if import(folder, &memory, is_recoded).is_ok() {
            Index::open_in(Arc::new(memory), Check::Checksums).expect("a sound index");
        }
    }
    std::fs::write(path, sound).expect("a file");
});

fn decode(folder: &Path) -> Result<()> {
    let mut source = open(folder)?;
    let decoder = Decoder::new(&source.codec);
    let mut block = Block::default();
    for run in source.runs(100).collect::<Vec<_>>() {
        source.read(run, &mut block)?;
        decoder.decode(&block, &mut Vec::new());
    }
    Ok(())
}

fn import(folder: &Path, memory: &Memory, is_recoded: bool) -> Result<()> {
    let mut source = open(folder)?;
    let mut writer = Writer::create_in(Arc::new(memory.clone()))?;
    Documents::new(&source)?.number(&mut writer)?;
    writer.finish_documents()?;
    match is_recoded {
        false => as_is(&mut source, &mut writer, &())?,
        true => drop(recode(&mut source, &mut writer, 2, &())?),
    }
    writer.finish(ManifestInfo::default())?;
    Ok(())
}
