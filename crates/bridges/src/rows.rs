//! Codes and packed residuals in document order, out of chunks or out of arrays sorted by centroid.

use crate::array::{Array, Kind};
use crate::source::Block;
use crate::{Error, Result, npy, torch};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Opens an array by its path; torch's files end in `.pt`.
pub(crate) fn open(path: &Path) -> Result<Array> {
    if path.extension().is_some_and(|extension| extension == "pt") { torch::open_one(path) } else { npy::open(path) }
}

/// Place of a run of embeddings: files of codes and residuals, and their first row.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) codes: PathBuf,
    pub(crate) residuals: PathBuf,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
    /// Whether the files have further rows, which belong to other chunks or are padding.
    pub(crate) is_part: bool,
}

/// Chunks in document order, or arrays sorted by centroid.
#[derive(Debug)]
pub(crate) enum Rows {
    Chunks(Chunks),
    ByCentroid(ByCentroid),
}

impl Rows {
    /// Reads a run of embeddings, and appends them to `block`.
    pub(crate) fn read(&mut self, run: Range<u64>, block: &mut Block, bytes: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Chunks(chunks) => chunks.read(run, block, bytes),
            Self::ByCentroid(rows) => rows.read(run, block),
        }
    }

    /// Memory that grows with the embeddings, in bytes.
    pub(crate) fn bytes_held(&self) -> u64 {
        match self {
            Self::Chunks(_) => 0,
            Self::ByCentroid(rows) => 4 * rows.places.len() as u64,
        }
    }

    /// File of the codes that were read last.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Chunks(chunks) => {
                let open = chunks.open.as_ref().map_or(0, |(number, ..)| *number);
                chunks.chunks.get(open).map_or(Path::new(""), |chunk| &chunk.codes)
            }
            Self::ByCentroid(rows) => rows.residuals.path(),
        }
    }
}

/// Chunks in document order. One is open at a time.
#[derive(Debug)]
pub(crate) struct Chunks {
    chunks: Vec<Chunk>,
    /// First embedding of each chunk.
    starts: Vec<u64>,
    row_bytes: u64,
    open: Option<(usize, Array, Array)>,
}

impl Chunks {
    /// Checks the arrays of every chunk.
    pub(crate) fn new(chunks: Vec<Chunk>, row_bytes: usize) -> Result<Self> {
        let row_bytes = row_bytes as u64;
        let mut starts = vec![0u64];
        for chunk in &chunks {
            open_chunk(chunk, row_bytes)?;
            starts.push(starts[starts.len() - 1] + chunk.rows);
        }
        Ok(Self { chunks, starts, row_bytes, open: None })
    }

    fn read(&mut self, run: Range<u64>, block: &mut Block, bytes: &mut Vec<u8>) -> Result<()> {
        let mut at = run.start;
        while at < run.end {
            let number = self.starts.partition_point(|&start| start <= at) - 1;
            let end = run.end.min(self.starts[number + 1]);
            let chunk = &self.chunks[number];
            if self.open.as_ref().is_none_or(|(open, ..)| *open != number) {
                let (codes, residuals) = open_chunk(chunk, self.row_bytes)?;
                self.open = Some((number, codes, residuals));
            }
            let (_, codes, residuals) = self.open.as_mut().expect("the chunk is open");
            let shift = |place: u64| place - self.starts[number] + chunk.first_row;
            codes.read_u32(shift(at)..shift(end), &mut block.codes, bytes)?;
            residuals.read_bytes(shift(at)..shift(end), &mut block.residuals)?;
            at = end;
        }
        Ok(())
    }
}

/// Opens codes and residuals of a chunk, and checks their shapes.
fn open_chunk(chunk: &Chunk, row_bytes: u64) -> Result<(Array, Array)> {
    let codes = open(&chunk.codes)?.expect(&[None], &[Kind::I32, Kind::I64])?;
    let residuals = open(&chunk.residuals)?.expect(&[None, Some(row_bytes)], &[Kind::U8])?;
    let last = chunk.first_row.saturating_add(chunk.rows);
    for (array, of) in [(&codes, "codes"), (&residuals, "residuals")] {
        let found = array.rows();
        if found < last || (!chunk.is_part && found != last) {
            return Err(Error::Count { path: array.path().into(), of, expected: last, found });
        }
    }
    Ok((codes, residuals))
}

/// Arrays sorted by centroid (WARP). Their embeddings are found through a table of 4 bytes per embedding.
#[derive(Debug)]
pub(crate) struct ByCentroid {
    residuals: Array,
    /// Places in the arrays, in document order.
    places: Vec<u32>,
    /// First place of each centroid, and the end of the last.
    starts: Vec<u64>,
}

impl ByCentroid {
    /// `pids` has the passage of each embedding, `sizes` the number of embeddings of each centroid. Returns the lengths
    /// of the passages, too.
    pub(crate) fn new(residuals: Array, pids: &[u32], sizes: &[u32], path: &Path) -> Result<(Self, Vec<u32>)> {
        let mut starts = vec![0u64];
        for &size in sizes {
            starts.push(starts[starts.len() - 1] + u64::from(size));
        }
        let (found, expected) = (starts[sizes.len()], pids.len() as u64);
        if found != expected || expected > u64::from(u32::MAX) {
            return Err(Error::Count { path: path.into(), of: "embeddings in all", expected, found });
        }
        // A passage without an embedding is not in the files, so that numbers far apart are damage.
        let num_passages = pids.iter().max().map_or(0, |&last| last as usize + 1);
        if num_passages > pids.len().saturating_mul(16).max(1 << 16) {
            let reason = format!("names passage {} with {} embeddings in all", num_passages - 1, pids.len());
            return Err(Error::malformed(path, reason));
        }
        let mut doclens = vec![0u32; num_passages];
        pids.iter().for_each(|&pid| doclens[pid as usize] += 1);
        let mut next: Vec<u64> = Vec::with_capacity(num_passages);
        let mut sum = 0;
        for &length in &doclens {
            next.push(sum);
            sum += u64::from(length);
        }
        let mut places = vec![0u32; pids.len()];
        for (place, &pid) in pids.iter().enumerate() {
            places[next[pid as usize] as usize] = place as u32;
            next[pid as usize] += 1;
        }
        Ok((Self { residuals, places, starts }, doclens))
    }

    fn read(&mut self, run: Range<u64>, block: &mut Block) -> Result<()> {
        let places = &self.places[run.start as usize..run.end as usize];
        for &place in places {
            let place = u64::from(place);
            block.codes.push((self.starts.partition_point(|&start| start <= place) - 1) as u32);
        }
        // Rows in the order of the file, neighbours at once, then moved into document order.
        let mut sorted: Vec<u32> = places.to_vec();
        sorted.sort_unstable();
        let mut rows = Vec::new();
        let mut at = 0;
        while at < sorted.len() {
            let first = u64::from(sorted[at]);
            let run = sorted[at..].iter().zip(first..).take_while(|&(&place, next)| u64::from(place) == next).count();
            self.residuals.read_bytes(first..first + run as u64, &mut rows)?;
            at += run;
        }
        let width = rows.len() / sorted.len().max(1);
        for place in places {
            let row = sorted.binary_search(place).expect("every place is in the sorted list");
            block.residuals.extend_from_slice(&rows[row * width..][..width]);
        }
        Ok(())
    }
}
