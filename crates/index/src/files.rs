//! Names of all files of an index. No other module spells them.

use std::fmt;

/// Lock file of a directory that is being changed.
pub(crate) const LOCK_NAME: &str = ".selvedge.lock";

/// Start of the hidden names of incomplete files, before their final names.
pub(crate) const PARTIAL_PREFIX: &str = ".selvedge.partial-";

/// Kind of a file, by its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Table of contents of one generation of the index, in JSON; written last.
    Manifest,
    /// A trained codec: centroids, levels, weight entries.
    Codec,
    /// Ids, texts and metadata of a run of passages that need not be a segment's: format 2 only, which
    /// [`upgrade`](crate::upgrade()) reads.
    #[serde(rename = "documents")]
    OldDocuments,
    /// First token of each passage of a segment.
    Offsets,
    /// Packed code of each token of a segment.
    Codes,
    /// Packed residual of each token of a segment.
    Residuals,
    /// Packed weight index of each token of a segment; in file names, manifest and messages the word is `scales`.
    #[serde(rename = "scales")]
    Weights,
    /// Passages of each centroid of a segment.
    #[serde(rename = "lists")]
    InvertedLists,
    /// Ids, texts and metadata of the passages of a segment; in file names, manifest and messages the word is `texts`.
    #[serde(rename = "texts")]
    Documents,
    /// Passages of a segment by the hashes of their ids.
    Ids,
    /// Passages of a segment that are deleted.
    Deleted,
    /// Columns of the metadata of a segment.
    Columns,
    /// Words of the texts of a segment: bytes that only their maker reads ([`MakeWords`](crate::MakeWords)).
    Words,
    /// Record of what the passages were read from: bytes that only the caller of [`Writer`](crate::Writer) reads.
    Sources,
}

impl FileKind {
    /// All kinds.
    pub const ALL: [FileKind; 14] = [
        Self::Manifest,
        Self::Codec,
        Self::OldDocuments,
        Self::Offsets,
        Self::Codes,
        Self::Residuals,
        Self::Weights,
        Self::InvertedLists,
        Self::Documents,
        Self::Ids,
        Self::Deleted,
        Self::Sources,
        Self::Columns,
        Self::Words,
    ];

    /// Number of this kind in a file's header.
    pub fn number(self) -> u32 {
        match self {
            Self::Manifest => 1,
            Self::Codec => 2,
            Self::OldDocuments => 3,
            Self::Offsets => 4,
            Self::Codes => 5,
            Self::Residuals => 6,
            Self::Weights => 7,
            Self::InvertedLists => 8,
            Self::Documents => 9,
            Self::Ids => 10,
            Self::Deleted => 11,
            Self::Sources => 12,
            Self::Columns => 13,
            Self::Words => 14,
        }
    }

    /// Word for this kind in file names, tables and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Codec => "codec",
            Self::OldDocuments => "documents",
            Self::Offsets => "offsets",
            Self::Codes => "codes",
            Self::Residuals => "residuals",
            Self::Weights => "scales",
            Self::InvertedLists => "lists",
            Self::Documents => "texts",
            Self::Ids => "ids",
            Self::Deleted => "deleted",
            Self::Sources => "sources",
            Self::Columns => "columns",
            Self::Words => "words",
        }
    }

    /// Whether a search of embeddings, without a filter, reads files of this kind, rather than only the output of its
    /// results.
    pub fn is_searched(self) -> bool {
        !matches!(self, Self::OldDocuments | Self::Documents | Self::Ids | Self::Sources | Self::Columns | Self::Words)
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One file of an index.
///
/// Its name is the kind and the number: `codes-0003`. A manifest has the number of its generation. The files of a
/// segment have the segment's number; no two files of an index ever have the same kind and number, not even after one
/// of them was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexFile {
    /// Kind of the file.
    pub kind: FileKind,
    /// Number among the files of its kind.
    pub number: u32,
}

impl IndexFile {
    /// File `number` of a kind.
    pub fn new(kind: FileKind, number: u32) -> Self {
        Self { kind, number }
    }

    /// Manifest of a generation.
    pub fn manifest(generation: u32) -> Self {
        Self::new(FileKind::Manifest, generation)
    }

    /// Name of the file in the directory of the index.
    pub fn name(self) -> String {
        format!("{}-{:04}", self.kind, self.number)
    }

    /// Name of the file in an index of format 2, in which manifest and codec have no number.
    pub(crate) fn old_name(self) -> String {
        match self.kind {
            FileKind::Manifest | FileKind::Codec => self.kind.to_string(),
            _ => self.name(),
        }
    }

    /// Index file that has this name; `None` if it is not the name of an index file.
    pub fn from_name(name: &str) -> Option<Self> {
        let (word, number) = name.split_once('-')?;
        let number = number.parse().ok()?;
        let kind = FileKind::ALL.into_iter().find(|kind| kind.word() == word)?;
        let file = Self { kind, number };
        (file.name() == name).then_some(file)
    }

    /// Whether a file name is one of an index of format 2 and of no other.
    pub(crate) fn is_old_name(name: &str) -> bool {
        name == Self::manifest(0).old_name()
            || name == Self::new(FileKind::Codec, 0).old_name()
            || Self::from_name(name).is_some_and(|file| file.kind == FileKind::OldDocuments)
    }
}

impl fmt::Display for IndexFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        let mut names = std::collections::HashSet::new();
        for kind in FileKind::ALL {
            for number in [0, 1, 9999, 10_000, u32::MAX] {
                let file = IndexFile::new(kind, number);
                assert_eq!(IndexFile::from_name(&file.name()), Some(file));
                names.insert(file.name());
            }
        }
        assert_eq!(names.len(), FileKind::ALL.len() * 5);
        for stranger in ["", "manifest", "codec", "codes", "codes-1", "codes-00001", "codes-+001", "lists-0000.bak"] {
            assert_eq!(IndexFile::from_name(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn names_of_format_2_are_told_apart() {
        for (name, is_old) in [
            ("manifest", true),
            ("codec", true),
            ("documents-0000", true),
            ("manifest-0001", false),
            ("codec-0000", false),
            ("codes-0000", false),
            ("texts-0000", false),
        ] {
            assert_eq!(IndexFile::is_old_name(name), is_old, "{name}");
        }
    }

    #[test]
    fn kinds_have_distinct_numbers() {
        let numbers: std::collections::HashSet<_> = FileKind::ALL.map(FileKind::number).into();
        assert_eq!(numbers.len(), FileKind::ALL.len());
    }
}
