//! Fixtures, copies of them to spoil, and imports of them.

use selvedge_bridges::{Documents, Source, as_is, open};
use selvedge_index::{Check, Index, ManifestInfo, Writer};
use std::path::{Path, PathBuf};

/// Number of the fixtures' passages, queries, tokens of a query, and components.
pub(crate) const PASSAGES: usize = 60;
pub(crate) const QUERIES: usize = 12;
pub(crate) const QUERY_LEN: usize = 8;
pub(crate) const DIM: usize = 32;

/// Folder of a fixture, or a file beside them.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Numbers of an f32 array that the fixtures' scripts wrote.
pub(crate) fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

/// The fixtures' queries, `(Q, D)` each.
pub(crate) fn queries() -> Vec<Vec<f32>> {
    floats(&fixture("queries.npy")).chunks_exact(QUERY_LEN * DIM).map(<[f32]>::to_vec).collect()
}

/// Copies a fixture, to be spoiled.
pub(crate) fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(fixture(name)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// Imports a source as is; dropping the folder deletes the index.
pub(crate) fn import(source: &mut Source) -> selvedge_bridges::Result<(tempfile::TempDir, Index)> {
    import_by(source, |source, writer| as_is(source, writer, &()))
}

/// Imports a source in one of the two ways.
pub(crate) fn import_by(
    source: &mut Source,
    way: impl FnOnce(&mut Source, &mut Writer) -> selvedge_bridges::Result<()>,
) -> selvedge_bridges::Result<(tempfile::TempDir, Index)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut writer = Writer::create(&path)?;
    Documents::new(source)?.number(&mut writer)?;
    writer.finish_documents()?;
    way(source, &mut writer)?;
    writer.finish(ManifestInfo::default())?;
    let index = Index::open(&path, Check::Checksums)?;
    Ok((folder, index))
}

/// Opens and imports whatever is in a folder.
pub(crate) fn import_folder(path: &Path) -> selvedge_bridges::Result<(tempfile::TempDir, Index)> {
    import(&mut open(path)?)
}
