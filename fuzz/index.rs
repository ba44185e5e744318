//! Files of an index, as an attacker would make them: any payload, with checksums that are right.
//!
//! Input: the number of the file in one byte, and its payload. Nothing may panic, whatever the index is used for.

#![no_main]

mod sample;
mod seeds;

use libfuzzer_sys::fuzz_target;
use sample::Sample;
use selvedge_backend::Cpu;
use selvedge_index::{Check, Index, MakeWords, SegmentWords, Storage, WordsError, Writer, verify_in};
use selvedge_search::{SearchParams, Searcher};
use std::sync::{Arc, LazyLock};

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let sample = Sample::new();
    let seed = |at: usize| {
        let (name, payload) = sample.payload(at);
        (name.to_owned(), [&[at as u8], payload].concat())
    };
    seeds::write((0..sample.len()).map(seed));
    sample
});

fuzz_target!(|data: &[u8]| {
    let sample = &*SAMPLE;
    let Some((&file, payload)) = data.split_first() else { return };
    let storage = sample.forged(file as usize % sample.len(), payload);
    for check in [Check::Structure, Check::Checksums] {
        if let Ok(index) = Index::open_in(Arc::clone(&storage), check) {
            read(&index);
            search(&index);
            search_words(&index);
        }
    }
    let _ = verify_in(&*storage);
    let _ = change(&storage);
});

fn read(index: &Index) {
    drop(index.sources());
    index.pids().for_each(|pid| assert!(pid < index.num_pids()));
    for id in index.ids().flatten() {
        drop(index.pid(&id));
    }
    (0..index.num_pids().min(8)).for_each(|pid| drop(index.document(pid)));
    for segment in index.segments() {
        for code in 0..segment.lists.num_lists().min(64) as u32 {
            segment.lists.for_each(code, |pid| assert!((pid as usize) < segment.passages.num_passages()));
        }
    }
}

fn search(index: &Index) {
    let Ok(searcher) = Searcher::new(Cpu::new().expect("a CPU"), index) else { return };
    let query: Vec<f32> = (0..2 * index.dim()).map(|at| ((at * 37 % 19) as f32 - 9.0) / 64.0).collect();
    for params in [SearchParams::exact(3), SearchParams::approximate(3)] {
        drop(searcher.search(&query, &params, None));
    }
    let either = "made < '2025-01-01' OR metadata.pages IS NULL";
    for filter in ["pages >= 1", "NOT tags = 'drink'", "tags LIKE '%r_n%'", either] {
        let Ok(set) = searcher.filtered(&filter.parse().expect("a filter")) else { continue };
        assert!(set.pids().all(|pid| pid < index.num_pids()));
        drop(searcher.search(&query, &SearchParams::approximate(3), Some(&set)));
    }
    for columns in index.segments().iter().filter_map(|segment| segment.columns.as_ref()) {
        for info in columns.infos() {
            drop(columns.counts(&info.key, &(0..64).collect()));
        }
    }
}

fn search_words(index: &Index) {
    for bytes in index.segments().iter().filter_map(|segment| segment.words.as_ref()) {
        let Ok(segment) = selvedge_lexical::Segment::open(bytes.clone()) else { continue };
        if let Ok(words) = selvedge_lexical::Words::new(vec![Arc::new(segment)]) {
            drop(words.search("the green tea", 3, |_| None));
        }
    }
}

/// Words that stay empty: their maker is a user of the index.
struct NoWords;

impl MakeWords for NoWords {
    fn language(&self) -> String {
        "english".to_owned()
    }

    fn start(&self) -> Result<Box<dyn SegmentWords>, WordsError> {
        Ok(Box::new(Self))
    }
}

impl SegmentWords for NoWords {
    fn push(&mut self, _: &str) -> Result<(), WordsError> {
        Ok(())
    }

    fn bytes_held(&self) -> usize {
        0
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, WordsError> {
        Ok(Vec::new())
    }
}

/// Opens an index for a change. A forged manifest may name another language, or none.
fn open(storage: &Arc<dyn Storage>) -> selvedge_index::Result<Writer> {
    let mut writer = Writer::open_in(Arc::clone(storage))?;
    let language = writer.index().and_then(|index| index.manifest().language.clone());
    if language.as_deref() == Some("english") {
        writer.set_words(Arc::new(NoWords));
    }
    Ok(writer)
}

/// Deletes a passage, and merges all segments.
fn change(storage: &Arc<dyn Storage>) -> selvedge_index::Result<()> {
    let mut writer = open(storage)?;
    writer.delete("Himmel")?;
    writer.commit()?;
    let mut writer = open(storage)?;
    let num_segments = writer.index().map_or(0, |index| index.segments().len());
    if num_segments > 0 {
        writer.merge::<selvedge_index::Error>(0..num_segments, |_| Ok(()))?;
        writer.commit()?;
        Index::open_in(Arc::clone(storage), Check::Checksums)?;
    }
    Ok(())
}
