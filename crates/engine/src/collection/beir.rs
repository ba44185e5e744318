//! BEIR's folders: a corpus, its queries and their judgments.

use std::path::{Path, PathBuf};

/// Endings of a file that is compressed, or not.
const ENDINGS: [&str; 3] = ["", ".gz", ".zst"];

/// The files of a data set in BEIR's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beir {
    /// `corpus.jsonl`, perhaps compressed: the collection.
    pub corpus: PathBuf,
    /// `queries.jsonl`, perhaps compressed.
    pub queries: Option<PathBuf>,
    /// `qrels/*.tsv`, in order of their names, such as `dev`, `test`, `train`.
    pub qrels: Vec<PathBuf>,
}

impl Beir {
    /// Looks for BEIR's files in `folder`; `None` without a corpus and queries or judgments beside it.
    pub fn find(folder: &Path) -> Option<Self> {
        let file = |name: &str| {
            ENDINGS.iter().map(|ending| folder.join(format!("{name}{ending}"))).find(|path| path.is_file())
        };
        let (corpus, queries) = (file("corpus.jsonl")?, file("queries.jsonl"));
        let entries = std::fs::read_dir(folder.join("qrels")).into_iter().flatten().flatten();
        let mut qrels: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_tsv(path)).collect();
        qrels.sort();
        (queries.is_some() || !qrels.is_empty()).then_some(Self { corpus, queries, qrels })
    }
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
