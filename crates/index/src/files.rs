//! The name of every file of an index: the one place that spells them.

use std::fmt;

/// The lock of a folder that is changed: there while a process holds it.
pub(crate) const LOCK_NAME: &str = ".selvedge.lock";

/// The folder, inside that of an index, for files that are not complete.
pub(crate) const PARTIAL_NAME: &str = ".selvedge.partial";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// What the index is made of; written last.
    Manifest,
    /// The trained codec: centroids, levels, weight entries.
    Codec,
    /// Ids, texts and metadata of a run of passages.
    Documents,
    /// First token of each passage of a segment.
    Offsets,
    /// Code of each token of a segment.
    Codes,
    /// Packed residual of each token of a segment.
    Residuals,
    /// Packed weight index of each token of a segment.
    #[serde(rename = "scales")]
    Weights,
    /// Passages of each centroid of a segment.
    #[serde(rename = "lists")]
    InvertedLists,
}

impl FileKind {
    /// Every kind.
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

    /// The number that stands for this kind in a file's header.
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

    /// The word that stands for this kind in file names, tables and messages.
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

    /// Whether an index has one such file for each run of passages, rather than a single one.
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
/// The five files of segment `n` carry the number `n`; documents files are numbered on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexFile {
    /// What it holds.
    pub kind: FileKind,
    /// Which of its kind; 0 for the manifest and the codec.
    pub number: u32,
}

impl IndexFile {
    /// What the index is made of.
    pub const MANIFEST: Self = Self { kind: FileKind::Manifest, number: 0 };
    /// The trained codec.
    pub const CODEC: Self = Self { kind: FileKind::Codec, number: 0 };

    /// File `number` of its kind.
    pub fn new(kind: FileKind, number: u32) -> Self {
        Self { kind, number }
    }

    /// The file's name inside the directory of the index.
    pub fn name(self) -> String {
        if self.kind.is_numbered() { format!("{}-{:04}", self.kind, self.number) } else { self.kind.to_string() }
    }

    /// The file that has this name.
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
