//! Another codec for all passages of an index, trained on what it stores.

use super::{CompactOptions, Retrain, manifest_of};
use crate::build::{BuildOptions, pipeline};
use crate::device::on_device;
use crate::progress::Progress;
use crate::queries::encoder_of;
use crate::snapshot::Snapshot;
use crate::source::{Pooled, Source, TextSource};
use crate::words;
use crate::{Error, OpenOptions, Result};
use selvedge_backend::Backend;
use selvedge_encoder::{Embeddings, Encoder};
use selvedge_index::{BuildInfo, Check, Index, Manifest, Writer};
use std::path::Path;

/// Trains a codec on the passages of the index at `path`, compresses all of them with it, and commits it.
pub(super) fn retrain(path: &Path, options: &CompactOptions, progress: &dyn Progress) -> Result<Manifest> {
    let mut writer = Writer::open(path)?;
    words::keep(&mut writer)?;
    let before = manifest_of(&writer);
    let snapshot = Snapshot::open(path, options.device)?;
    let index = snapshot.index();
    let alive: Vec<u32> = index.pids().collect();
    if alive.is_empty() {
        return Err(Error::NoDocuments);
    }
    // What is decoded gets checksums of its own, which must not vouch for damaged bytes.
    Index::open(path, Check::Checksums)?;
    writer.rebuild();
    // Search parameters were tuned for the codec before.
    writer.set_search(None);
    let built = BuildOptions {
        codec: before.codec.kind,
        nbits: before.codec.nbits,
        memory_budget: options.memory_budget,
        seed: before.build.seed,
        ..BuildOptions::default()
    };
    let run = |writer: &mut Writer, source: &mut dyn Source| {
        on_device!(options.device, backend => {
            let counts = pipeline::run(&backend, writer, source, &built, None, progress);
            counts.map(|counts| (counts, backend.name()))
        })
    };
    let (counts, backend) = match options.retrain {
        Retrain::FromText => {
            if index.encoder().is_none() {
                return Err(Error::MadeFromEmbeddings { path: path.into() });
            }
            let encoder = encoder_of(index, &OpenOptions::default())?;
            check_texts(index, &encoder, &alive)?;
            let mut documents = index.documents().reader();
            let text = |number: u32| Ok(documents.text(alive[number as usize])?);
            let mut source = TextSource::new(&encoder, alive.len(), text, progress);
            let mut source = Pooled::new(&mut source, before.build.pool.unwrap_or(1).max(1));
            run(&mut writer, &mut source)?
        }
        _ => run(&mut writer, &mut Stored { snapshot: &snapshot, alive: &alive })?,
    };
    writer.set_build(BuildInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        backend,
        sample_passages: counts.sampled_passages as u64,
        sample_tokens: counts.sampled_tokens as u64,
        kmeans_rounds: counts.kmeans_rounds as u32,
        ..before.build
    });
    Ok(writer.commit()?)
}

/// Checks that no passage was added as embeddings without a text: it has more tokens than an empty text is encoded to.
fn check_texts(index: &Index, encoder: &Encoder, pids: &[u32]) -> Result<()> {
    let most = encoder.encode_passages(&[""])?.lens[0] as usize;
    let mut documents = index.documents().reader();
    for segment in index.segments() {
        let end = segment.first_pid + segment.passages.num_passages() as u32;
        let places = [segment.first_pid, end].map(|bound| pids.partition_point(|&pid| pid < bound));
        for &pid in &pids[places[0]..places[1]] {
            let num_tokens = segment.passages.tokens((pid - segment.first_pid) as usize).len();
            if num_tokens > most && documents.text(pid)?.is_empty() {
                return Err(Error::WithoutText { path: index.path().into(), id: index.id(pid)? });
            }
        }
    }
    Ok(())
}

/// The embeddings that an index stores, decoded.
struct Stored<'a> {
    snapshot: &'a Snapshot,
    /// Pids of the passages that are not deleted.
    alive: &'a [u32],
}

impl Source for Stored<'_> {
    fn dim(&self) -> usize {
        self.snapshot.searcher().dim()
    }

    fn num_passages(&self) -> usize {
        self.alive.len()
    }

    fn max_doclen(&self) -> usize {
        let segments = self.snapshot.index().segments().iter();
        let lens = segments.flat_map(|s| (0..s.passages.num_passages()).map(|pid| s.passages.tokens(pid).len()));
        lens.max().unwrap_or(0)
    }

    fn max_tokens(&self) -> usize {
        self.snapshot.index().num_tokens() as usize
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn fetch(&mut self, numbers: &[u32]) -> Result<Embeddings> {
        let mut out = Embeddings { dim: self.dim(), ..Embeddings::default() };
        for &number in numbers {
            let rows = self.snapshot.searcher().reconstruct(self.alive[number as usize])?;
            out.lens.push((rows.len() / out.dim) as u32);
            out.data.extend_from_slice(&rows);
        }
        Ok(out)
    }
}
