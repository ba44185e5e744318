//! A small index in memory, any file of which can be replaced by another payload with checksums that are right.

use selvedge_index::{HEADER_BYTES, Memory, Storage, Writer};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Files of an index of every kind: two segments with metadata and words, a deleted passage, stored sources.
pub struct Sample(Vec<(String, Vec<u8>)>);

impl Sample {
    /// The frozen index `v4-words`, to which sources are added.
    pub fn new() -> Self {
        let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/index/tests/frozen/v4-words");
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.expect("a frozen file");
            (entry.file_name().into_string().expect("its name"), std::fs::read(entry.path()).expect("its bytes"))
        };
        let files = std::fs::read_dir(frozen).expect("the frozen index").map(read).collect();
        let storage = stored(&files);
        let mut writer = Writer::open_in(Arc::clone(&storage)).expect("a sound index");
        writer.set_sources(b"what the passages were read from").expect("a file in memory");
        writer.commit().expect("a commit in memory");
        let names = storage.list().expect("the names of files");
        let read = |name: String| {
            let bytes = storage.map(&name).expect("a file in memory").to_vec();
            (name, bytes)
        };
        Self(names.into_iter().filter(|name| !name.starts_with('.')).map(read).collect())
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Name and payload of a file.
    pub fn payload(&self, at: usize) -> (&str, &[u8]) {
        let (name, bytes) = &self.0[at];
        (name, &bytes[HEADER_BYTES..])
    }

    /// The index with another payload of one file.
    pub fn forged(&self, at: usize, payload: &[u8]) -> Arc<dyn Storage> {
        let mut files = self.0.clone();
        let crc32 = crc32fast::hash(payload);
        let before = entry(&files[at].1);
        files[at].1 = framed(&files[at].1, payload, crc32);
        if !files[at].0.starts_with("manifest") {
            let after = entry(&files[at].1);
            let (_, manifest) = files.iter_mut().find(|(name, _)| name.starts_with("manifest")).expect("a manifest");
            let mut json = serde_json::from_slice(&manifest[HEADER_BYTES..]).expect("JSON");
            replace(&mut json, &before, &after);
            let payload = serde_json::to_vec(&json).expect("JSON");
            *manifest = framed(manifest, &payload, crc32fast::hash(&payload));
        }
        stored(&files)
    }
}

/// The entry of a file in the manifest.
fn entry(file: &[u8]) -> Value {
    serde_json::json!({ "bytes": file.len(), "crc32": u32::from_le_bytes(file[20..24].try_into().expect("4 bytes")) })
}

/// Replaces a value wherever it is.
fn replace(json: &mut Value, before: &Value, after: &Value) {
    match json {
        json if json == before => *json = after.clone(),
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, before, after)),
        Value::Object(fields) => fields.values_mut().for_each(|value| replace(value, before, after)),
        _ => {}
    }
}

/// A file with the header of another one of its kind and number.
fn framed(file: &[u8], payload: &[u8], crc32: u32) -> Vec<u8> {
    let mut header = file[..HEADER_BYTES].to_vec();
    header[20..24].copy_from_slice(&crc32.to_le_bytes());
    header[24..32].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let own = crc32fast::hash(&header[..60]);
    header[60..64].copy_from_slice(&own.to_le_bytes());
    [&header, payload].concat()
}

fn stored(files: &Vec<(String, Vec<u8>)>) -> Arc<dyn Storage> {
    let memory = Memory::new();
    for (name, bytes) in files {
        let mut file = memory.create(name).expect("a new name");
        file.write_all(bytes).expect("a file in memory");
    }
    Arc::new(memory)
}
