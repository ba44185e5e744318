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
    /// Table of contents of the index, in JSON; written last.
    Manifest,
    /// The trained codec: centroids, levels, weight entries.
    Codec,
    /// Ids, texts and metadata of a run of passages.
    Documents,
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
}

impl FileKind {
    /// All kinds.
    pub const ALL: [FileKind; 8] = [
        Self::Manifest,
        Self::Codec,
        Self::Documents,
        Self::Offsets,
        Self::Codes,
        Self::Residuals,
        Self::Weights,
        Self::InvertedLists,
    ];

    /// Number of this kind in a file's header.
    pub fn number(self) -> u32 {
        match self {
            Self::Manifest => 1,
            Self::Codec => 2,
            Self::Documents => 3,
            Self::Offsets => 4,
            Self::Codes => 5,
            Self::Residuals => 6,
            Self::Weights => 7,
            Self::InvertedLists => 8,
        }
    }

    /// Word for this kind in file names, tables and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Codec => "codec",
            Self::Documents => "documents",
            Self::Offsets => "offsets",
            Self::Codes => "codes",
            Self::Residuals => "residuals",
            Self::Weights => "scales",
            Self::InvertedLists => "lists",
        }
    }

    /// Whether an index has one file of this kind per run of passages, rather than a single one.
    fn is_numbered(self) -> bool {
        !matches!(self, Self::Manifest | Self::Codec)
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One file of an index.
///
/// Its name is `manifest`, `codec`, or the kind and the number: `documents-0000`, `offsets-0000`, ...
/// The five files of segment `n` have the number `n`; documents files are numbered independently of segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexFile {
    /// Kind of the file.
    pub kind: FileKind,
    /// Number among the files of its kind; 0 for the manifest and the codec.
    pub number: u32,
}

impl IndexFile {
    /// The manifest.
    pub const MANIFEST: Self = Self { kind: FileKind::Manifest, number: 0 };
    /// The codec file.
    pub const CODEC: Self = Self { kind: FileKind::Codec, number: 0 };

    /// File `number` of a kind.
    pub fn new(kind: FileKind, number: u32) -> Self {
        Self { kind, number }
    }

    /// Name of the file in the directory of the index.
    pub fn name(self) -> String {
        if self.kind.is_numbered() { format!("{}-{:04}", self.kind, self.number) } else { self.kind.to_string() }
    }

    /// Index file that has this name; `None` if it is not the name of an index file.
    pub fn from_name(name: &str) -> Option<Self> {
        let (word, number) = match name.split_once('-') {
            Some((word, number)) => (word, number.parse().ok()?),
            None => (name, 0),
        };
        let kind = FileKind::ALL.into_iter().find(|kind| kind.word() == word)?;
        let file = Self { kind, number };
        (file.name() == name).then_some(file)
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
                let file = IndexFile::new(kind, if kind.is_numbered() { number } else { 0 });
                assert_eq!(IndexFile::from_name(&file.name()), Some(file));
                names.insert(file.name());
            }
        }
        assert_eq!(names.len(), 6 * 5 + 2);
        for stranger in ["", "manifest-0000", "codes", "codes-1", "codes-00001", "codes-+001", "lists-0000.bak"] {
            assert_eq!(IndexFile::from_name(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn kinds_have_distinct_numbers() {
        let numbers: std::collections::HashSet<_> = FileKind::ALL.map(FileKind::number).into();
        assert_eq!(numbers.len(), FileKind::ALL.len());
    }
}
