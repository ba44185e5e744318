//! A small collection of texts, its index, and queries with judgments.

use selvedge::build::from_documents;
use selvedge::qrels::Judgment;
use selvedge::queries::QuerySource;
use selvedge::{
    BuildOptions, BuildReport, Document, Encoder, Engine, LoadOptions, OpenOptions, Progress, Qrels, Queries, Result,
};
use std::path::Path;
use std::sync::LazyLock;

/// The shipped encoder.
pub static ENCODER: LazyLock<Encoder> =
    LazyLock::new(|| Encoder::load("shipped", &LoadOptions::default()).expect("it is in the crate"));

/// Id and text of each passage.
pub const TEXTS: [(&str, &str); 5] = [
    ("edge", "A selvedge is the woven edge that keeps a cloth from fraying."),
    ("weft", "The weft is drawn over and under the warp."),
    ("rotate", "Old log files are compressed and rotated every night."),
    ("empty", ""),
    ("mail", "The mail server delivers messages to the mailboxes of its users."),
];

/// Queries, the first answered by `edge`, the second by `rotate`.
pub const QUESTIONS: [&str; 2] = ["what keeps a cloth from fraying", "rotated log files"];

pub fn documents() -> impl Iterator<Item = Result<Document>> {
    TEXTS.into_iter().enumerate().map(|(number, (id, text))| {
        let metadata = (number == 0).then(|| serde_json::json!({"chapter": 3}));
        Ok(Document { id: id.into(), text: text.into(), metadata })
    })
}

pub fn build(path: &Path, progress: &dyn Progress) -> Result<BuildReport> {
    from_documents(documents(), path, &ENCODER, &BuildOptions { nbits: 4, ..BuildOptions::default() }, progress)
}

/// Builds and opens an index in a folder.
pub fn engine(dir: &Path) -> Engine {
    let path = dir.join("i");
    build(&path, &()).unwrap();
    Engine::open(&path, OpenOptions { load_model: true, ..OpenOptions::default() }).unwrap()
}

pub fn queries(engine: &Engine) -> Queries {
    engine.queries(&QuerySource::Texts(QUESTIONS.map(String::from).to_vec())).unwrap()
}

pub fn qrels() -> Qrels {
    let judgment = |(query, passage): (&str, &str)| Judgment { query: query.into(), passage: passage.into(), grade: 1 };
    [("1", "edge"), ("2", "rotate")].into_iter().map(judgment).collect()
}
