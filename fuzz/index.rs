//! Files of an index, as an attacker would make them: any payload, with checksums that are right.
//!
//! Input: the number of the file in one byte, and its payload. Nothing may panic, whatever the index is used for.

#![no_main]

mod sample;
mod seeds;

use libfuzzer_sys::fuzz_target;
use sample::Sample;
use selvedge_backend::Cpu;
use selvedge_index::{Check, Index, Storage, Writer, verify_in};
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
}

/// Deletes a passage, and merges all segments.
fn change(storage: &Arc<dyn Storage>) -> selvedge_index::Result<()> {
    let mut writer = Writer::open_in(Arc::clone(storage))?;
    writer.delete("Himmel")?;
    writer.commit()?;
    let mut writer = Writer::open_in(Arc::clone(storage))?;
    let num_segments = writer.index().map_or(0, |index| index.segments().len());
    if num_segments > 0 {
        writer.merge::<selvedge_index::Error>(0..num_segments, |_| Ok(()))?;
        writer.commit()?;
        Index::open_in(Arc::clone(storage), Check::Checksums)?;
    }
    Ok(())
}
