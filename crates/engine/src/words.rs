//! Words of an index: makers for writers, and the search of a generation by BM25.

use crate::{Error, Result};
use selvedge_index::{Index, MakeWords, SegmentWords, WordsError, Writer};
use selvedge_lexical::{Builder, Hit, Language, Segment, Statistics, Words};
use selvedge_search::PassageSet;
use selvedge_search::fusion::Scored;
use std::sync::Arc;

/// Maker of the words of segments.
struct Maker(Language);

/// Words of a segment that is being written.
struct Making(Builder);

impl MakeWords for Maker {
    fn language(&self) -> String {
        self.0.to_string()
    }

    fn start(&self) -> Result<Box<dyn SegmentWords>, WordsError> {
        Ok(Box::new(Making(Builder::new(self.0)?)))
    }
}

impl SegmentWords for Making {
    fn push(&mut self, text: &str) -> Result<(), WordsError> {
        Ok(self.0.push(text)?)
    }

    fn bytes_held(&self) -> usize {
        self.0.bytes_held()
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, WordsError> {
        Ok(self.0.finish()?)
    }
}

/// Lets a writer give its segments words in a language.
pub fn make(writer: &mut Writer, language: Language) {
    writer.set_words(Arc::new(Maker(language)));
}

/// Lets the writer of a change give its segments words as the index has them, if it has words.
pub(crate) fn keep(writer: &mut Writer) -> Result<()> {
    let language = writer.index().and_then(|index| index.manifest().language.as_ref());
    if let Some(language) = language.map(|language| language.parse()).transpose()? {
        make(writer, language);
    }
    Ok(())
}

/// Opens the words of a generation, and shares with another generation the words of segments that both have; `None` if
/// a segment has no words.
pub(crate) fn open(index: &Index, before: Option<&OpenWords>) -> Result<Option<OpenWords>> {
    let mut segments = Vec::with_capacity(index.segments().len());
    for segment in index.segments() {
        let Some(bytes) = &segment.words else { return Ok(None) };
        // Where the bytes are mapped tells segments apart; the address is only compared.
        let at = bytes.as_ptr().addr();
        let known = before.and_then(|before| before.segments.iter().find(|(known, _)| *known == at));
        let opened = known.map(|(_, opened)| Ok(Arc::clone(opened)));
        let opened = opened.unwrap_or_else(|| Segment::open(bytes.clone()).map(Arc::new))?;
        // Its numbers are pids: a file of another segment would name passages that there are not.
        let (expected, found) = (segment.passages.num_passages() as u32, opened.num_passages());
        if expected != found {
            return Err(Error::WordsMismatch { path: index.path().into(), expected, found });
        }
        segments.push((at, opened));
    }
    let words = Words::new(segments.iter().map(|(_, segment)| Arc::clone(segment)).collect())?;
    Ok(Some(OpenWords { words, segments }))
}

/// Words of a generation.
pub(crate) struct OpenWords {
    words: Words,
    /// Words of each segment, with the address of their bytes.
    segments: Vec<(usize, Arc<Segment>)>,
}

impl OpenWords {
    /// Returns the statistics of the words of a query.
    pub(crate) fn statistics(&self, text: &str) -> Result<Statistics> {
        Ok(self.words.statistics(text)?)
    }

    /// Returns the best `k` passages of a set, or of all, deleted ones included, for the words of a query, best first,
    /// by the statistics of this index or by other ones.
    pub(crate) fn search(
        &self,
        index: &Index,
        text: &str,
        k: usize,
        set: Option<&PassageSet>,
        statistics: Option<&Statistics>,
    ) -> Result<Vec<Scored>> {
        let allowed: Vec<_> = set.map(|set| set.by_segment().collect()).unwrap_or_default();
        let hits = self.words.search_by(text, k, |segment| allowed.get(segment).copied(), statistics)?;
        let pid = |hit: &Hit| index.segments()[hit.segment].first_pid + hit.pid;
        Ok(hits.iter().map(|hit| (pid(hit), hit.score)).collect())
    }
}
