//! Folders in BEIR's layout: a corpus, its queries and their judgments.

use std::path::{Path, PathBuf};

/// Endings of a file name: none, gzip, Zstandard.
const ENDINGS: [&str; 3] = ["", ".gz", ".zst"];

/// Files of a data set in BEIR's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beir {
    /// The collection: `corpus.jsonl`, which may be compressed.
    pub corpus: PathBuf,
    /// `queries.jsonl`, which may be compressed.
    pub queries: Option<PathBuf>,
    /// `qrels/*.tsv`, sorted by name, such as `dev`, `test`, `train`.
    pub qrels: Vec<PathBuf>,
}

impl Beir {
    /// Finds BEIR's files in `folder`. `None` if there is no corpus, or neither queries nor judgments beside it.
    pub fn find(folder: &Path) -> Option<Self> {
        let (corpus, queries) = (file(folder, "corpus.jsonl")?, file(folder, "queries.jsonl"));
        let entries = std::fs::read_dir(folder.join("qrels")).into_iter().flatten().flatten();
        let mut qrels: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_tsv(path)).collect();
        qrels.sort();
        (queries.is_some() || !qrels.is_empty()).then_some(Self { corpus, queries, qrels })
    }
}

/// Finds the file `name` of a folder, perhaps compressed.
pub(crate) fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    ENDINGS.iter().map(|ending| folder.join(format!("{name}{ending}"))).find(|path| path.is_file())
}

fn is_tsv(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.is_file() && ENDINGS.iter().any(|ending| name.ends_with(&format!(".tsv{ending}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_needs_queries_or_judgments_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert_eq!(Beir::find(dir.path()), None);
        std::fs::write(at("corpus.jsonl.gz"), "").unwrap();
        assert_eq!(Beir::find(dir.path()), None);
        std::fs::create_dir(at("qrels")).unwrap();
        for name in ["qrels/test.tsv", "qrels/dev.tsv", "qrels/notes.md"] {
            std::fs::write(at(name), "").unwrap();
        }
        let qrels = vec![at("qrels/dev.tsv"), at("qrels/test.tsv")];
        let mut found = Beir { corpus: at("corpus.jsonl.gz"), queries: None, qrels };
        assert_eq!(Beir::find(dir.path()), Some(found.clone()));
        std::fs::write(at("queries.jsonl"), "").unwrap();
        found.queries = Some(at("queries.jsonl"));
        assert_eq!(Beir::find(dir.path()), Some(found));
    }
}
