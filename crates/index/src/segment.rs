//! One segment: the compressed tokens of a run of passages and their inverted lists.
//!
//! In: passages in pid order, with codes, packed residuals and weight indices. Out: five files. Four payloads are
//! the arrays of [`CompressedPassages`] as the ops read them, the fifth holds the [`InvertedLists`]:
//!
//! | file | payload |
//! |---|---|
//! | offsets | `(P + 1) u32` little-endian: first token of each passage, end of the last |
//! | codes | bit-packed, [`selvedge_backend::pack_codes`] |
//! | residuals | `(N, W) u8` |
//! | scales (the format's word for weights) | weight indices, `weight_bits` each, [`selvedge_backend::pack_weights`] |
//! | lists | [`InvertedLists`] |
//!
//! All but the lists are streamed. The lists are built at the end from the mapped offsets and codes by counting sort,
//! which takes 4 bytes per entry and 20 per centroid, plus the encoded lists.

use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use crate::lists::{InvertedLists, ListsEncoder};
use crate::manifest::SegmentEntry;
use crate::storage::Storage;
use selvedge_backend::{
    CheckedCodec, CodeReader, CodecParams, CompressedPassages, pack_codes, pack_weights, packed_codes_bytes,
};
use std::sync::Arc;

/// One segment of an open index.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Pid of the first passage. Pids within the segment start at 0 and are relative to it.
    pub first_pid: u32,
    /// Offsets, codes, residuals and weight indices, in passage order.
    pub passages: CompressedPassages,
    /// Passages of each centroid, by pids within the segment.
    pub lists: InvertedLists,
}

impl Segment {
    /// Maps the files of a segment and checks their lengths against each other and the codec.
    pub(crate) fn open(
        storage: &dyn Storage,
        entry: &SegmentEntry,
        codec: &CodecParams,
    ) -> Result<(Self, [FramedFile; 5])> {
        let open = |(file, named)| FramedFile::open_named(storage, file, named);
        let [offsets, codes, residuals, weights, lists] = entry.files();
        let files = [open(offsets)?, open(codes)?, open(residuals)?, open(weights)?, open(lists)?];
        let passages = CompressedPassages {
            offsets: files[0].payload.clone(),
            codes: files[1].payload.clone(),
            residuals: files[2].payload.clone(),
            weights: files[3].payload.clone(),
        };
        check_lengths(&files, &passages, entry, codec)?;
        let lists = open_lists(&files[4], entry, codec)?;
        Ok((Self { first_pid: entry.first_pid, passages, lists }, files))
    }
}

/// Checks the lengths of the four arrays; an error names the file of the array.
fn check_lengths(
    files: &[FramedFile; 5],
    passages: &CompressedPassages,
    entry: &SegmentEntry,
    codec: &CodecParams,
) -> Result<()> {
    let at = |file: &FramedFile, source| Error::Contents { path: file.path.clone(), source };
    let expect = |array, expected: usize, found: usize| {
        if expected == found {
            return Ok(());
        }
        Err(at(&files[0], selvedge_backend::Error::ArrayLength { array, expected, found }))
    };
    expect("offsets", (entry.count as usize + 1) * 4, passages.offsets.len())?;
    expect("first offset", 0, passages.offset(0))?;
    expect("last offset", entry.num_tokens as usize, passages.num_tokens())?;
    passages.validate_lengths(codec).map_err(|source| {
        let file = match &source {
            selvedge_backend::Error::ArrayLength { array: "codes", .. } => &files[1],
            selvedge_backend::Error::ArrayLength { array: "residuals", .. } => &files[2],
            selvedge_backend::Error::ArrayLength { array: "weights", .. } => &files[3],
            _ => &files[0],
        };
        at(file, source)
    })
}

/// Parses the heads of the lists. Checks that there is one list per centroid and that the number of passages
/// is that of the segment.
fn open_lists(file: &FramedFile, entry: &SegmentEntry, codec: &CodecParams) -> Result<InvertedLists> {
    let bad = |what| Error::InvertedLists { path: file.path.clone(), what };
    let lists = InvertedLists::parse(&file.payload).map_err(bad)?;
    if lists.num_lists() != codec.num_centroids() {
        return Err(bad("not one list for each centroid"));
    }
    if lists.num_passages() != entry.count {
        return Err(bad("made for another number of passages"));
    }
    Ok(lists)
}

/// Checks every offset and code; an error names the file.
pub(crate) fn check_contents(
    passages: &CompressedPassages,
    files: &[FramedFile; 5],
    codec: &CodecParams,
) -> Result<()> {
    passages.validate(codec).map_err(|source| {
        let file = match &source {
            selvedge_backend::Error::CodeOutOfRange { .. } => &files[1],
            _ => &files[0],
        };
        Error::Contents { path: file.path.clone(), source }
    })
}

/// Passages of each code, ascending, without duplicates.
pub(crate) struct Inverted {
    /// Start of each code's passages, and the end of the last: `(K + 1)`.
    starts: Vec<usize>,
    pids: Vec<u32>,
}

impl Inverted {
    /// Sorts passages by code, by counting sort. Offsets must ascend and codes be in range.
    pub(crate) fn new(passages: &CompressedPassages, codec: &CodecParams) -> Self {
        let num_centroids = codec.num_centroids();
        let mut starts = vec![0usize; num_centroids + 1];
        each_code_once(passages, codec, |code, _| starts[code + 1] += 1);
        for code in 0..num_centroids {
            starts[code + 1] += starts[code];
        }
        let mut next = starts.clone();
        let mut pids = vec![0; starts[num_centroids]];
        each_code_once(passages, codec, |code, pid| {
            pids[next[code]] = pid;
            next[code] += 1;
        });
        Self { starts, pids }
    }

    /// Passages of `code`.
    pub(crate) fn list(&self, code: usize) -> &[u32] {
        &self.pids[self.starts[code]..self.starts[code + 1]]
    }
}

/// Visits the distinct codes of each passage, in pid order.
fn each_code_once(passages: &CompressedPassages, codec: &CodecParams, mut visit: impl FnMut(usize, u32)) {
    let reader = CodeReader::new(&passages.codes, codec.code_bits());
    // For each code, one more than the last passage that had it; 0 before the first.
    let mut seen = vec![0u32; codec.num_centroids()];
    for pid in 0..passages.num_passages() {
        for token in passages.tokens(pid) {
            let code = reader.get(token) as usize;
            if seen[code] <= pid as u32 {
                seen[code] = pid as u32 + 1;
                visit(code, pid as u32);
            }
        }
    }
}

/// Writer of one segment.
pub(crate) struct SegmentWriter {
    storage: Arc<dyn Storage>,
    number: u32,
    first_pid: u32,
    codec: CheckedCodec,
    count: u32,
    num_tokens: u32,
    offsets: FramedFileWriter,
    codes: FramedFileWriter,
    residuals: FramedFileWriter,
    weights: FramedFileWriter,
    /// Codes that are not packed yet: at most 7, as eight fill whole bytes at any width.
    pending_codes: Vec<u32>,
    /// Weight indices that are not packed yet: at most 7, likewise.
    pending_weights: Vec<u8>,
}

impl SegmentWriter {
    /// Creates the files of segment `number`, whose first passage is `first_pid`.
    pub(crate) fn create(storage: &Arc<dyn Storage>, number: u32, first_pid: u32, codec: CheckedCodec) -> Result<Self> {
        let create = |kind| FramedFileWriter::create(&**storage, IndexFile::new(kind, number));
        let mut offsets = create(FileKind::Offsets)?;
        offsets.write(&0u32.to_le_bytes())?;
        Ok(Self {
            storage: Arc::clone(storage),
            number,
            first_pid,
            codec,
            count: 0,
            num_tokens: 0,
            offsets,
            codes: create(FileKind::Codes)?,
            residuals: create(FileKind::Residuals)?,
            weights: create(FileKind::Weights)?,
            pending_codes: Vec::new(),
            pending_weights: Vec::new(),
        })
    }

    /// Number of tokens so far.
    pub(crate) fn num_tokens(&self) -> u32 {
        self.num_tokens
    }

    /// Appends passages. The caller has checked lengths and codes, and that token numbers fit 32 bits.
    pub(crate) fn push(&mut self, doclens: &[u32], codes: &[u32], residuals: &[u8], weights: &[u8]) -> Result<()> {
        for doclen in doclens {
            self.num_tokens += doclen;
            self.offsets.write(&self.num_tokens.to_le_bytes())?;
        }
        self.count += doclens.len() as u32;
        self.push_codes(codes)?;
        self.residuals.write(residuals)?;
        self.push_weights(weights)
    }

    /// Packs a multiple of eight codes, which fill whole bytes, and keeps the tail.
    fn push_codes(&mut self, codes: &[u32]) -> Result<()> {
        self.pending_codes.extend_from_slice(codes);
        let whole = self.pending_codes.len() / 8 * 8;
        let bits = self.codec.code_bits();
        let packed = pack_codes(&self.pending_codes[..whole], bits);
        self.codes.write(&packed[..packed.len() - packed_codes_bytes(0, bits)])?;
        self.pending_codes.drain(..whole);
        Ok(())
    }

    /// Packs a multiple of eight weight indices and keeps the tail; at 0 bits there is nothing to store.
    fn push_weights(&mut self, weights: &[u8]) -> Result<()> {
        if self.codec.weight_bits == 0 {
            return Ok(());
        }
        self.pending_weights.extend_from_slice(weights);
        let whole = self.pending_weights.len() / 8 * 8;
        self.weights.write(&pack_weights(&self.pending_weights[..whole], self.codec.weight_bits))?;
        self.pending_weights.drain(..whole);
        Ok(())
    }

    /// Closes the four arrays and builds the lists from them.
    pub(crate) fn finish(mut self) -> Result<SegmentEntry> {
        self.codes.write(&pack_codes(&self.pending_codes, self.codec.code_bits()))?;
        self.weights.write(&pack_weights(&self.pending_weights, self.codec.weight_bits))?;
        let mut entry = SegmentEntry {
            number: self.number,
            first_pid: self.first_pid,
            count: self.count,
            num_tokens: self.num_tokens,
            offsets: self.offsets.finish()?,
            codes: self.codes.finish()?,
            residuals: self.residuals.finish()?,
            weights: self.weights.finish()?,
            lists: FileEntry { bytes: 0, crc32: 0 },
        };
        entry.lists = write_lists(&*self.storage, &entry, &self.codec)?;
        Ok(entry)
    }
}

/// Builds the inverted lists of a segment whose arrays are written.
fn write_lists(storage: &dyn Storage, entry: &SegmentEntry, codec: &CodecParams) -> Result<FileEntry> {
    let [(offsets, _), (codes, _), _, _, (lists, _)] = entry.files();
    let passages = CompressedPassages {
        offsets: FramedFile::open(storage, offsets)?.payload,
        codes: FramedFile::open(storage, codes)?.payload,
        residuals: bytes::Bytes::new(),
        weights: bytes::Bytes::new(),
    };
    let inverted = Inverted::new(&passages, codec);
    let mut encoder = ListsEncoder::new(entry.count);
    (0..codec.num_centroids()).for_each(|code| encoder.push(inverted.list(code)));
    drop(inverted);
    let mut out = FramedFileWriter::create(storage, lists)?;
    encoder.write(&mut out)?;
    out.finish()
}
