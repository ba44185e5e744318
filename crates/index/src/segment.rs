//! One segment: the compressed tokens of a run of passages and the inverted lists over them.
//!
//! In: passages in pid order, with codes, packed residuals and weight indices. Out: five files, whose
//! payloads are the arrays of [`CompressedPassages`] as the ops read them, and the [`InvertedLists`]:
//!
//! | file | payload |
//! |---|---|
//! | offsets | `(P + 1) u32` little-endian: first token of each passage, end of the last |
//! | codes | bit-packed, [`selvedge_backend::pack_codes`] |
//! | residuals | `(N, W) u8` |
//! | weights | `weight_bits` each, [`selvedge_backend::pack_weights`] |
//! | lists | [`InvertedLists`] |
//!
//! All but the lists are streamed; the lists are made at the end from the mapped offsets and codes,
//! by counting sort: 4 bytes an entry and 20 a centroid, then the coded lists.

use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use crate::lists::{InvertedLists, ListsEncoder};
use crate::manifest::SegmentEntry;
use selvedge_backend::{
    CheckedCodec, CodeReader, CodecParams, CompressedPassages, pack_codes, pack_weights, packed_codes_bytes,
};
use std::path::{Path, PathBuf};

/// One segment of an open index.
#[derive(Clone, Debug)]
pub struct Segment {
    /// First passage; the segment's own pids count from it.
    pub first_pid: u32,
    /// Codes, residuals and weight indices in passage order.
    pub passages: CompressedPassages,
    /// Passages of each centroid.
    pub lists: InvertedLists,
}

impl Segment {
    /// Maps the files of a segment and checks that their lengths fit each other and the codec.
    pub(crate) fn open(directory: &Path, entry: &SegmentEntry, codec: &CodecParams) -> Result<(Self, [FramedFile; 5])> {
        let open = |(file, named)| FramedFile::open_named(directory, file, named);
        let [offsets, codes, residuals, weights, lists] = entry.files();
        let frames = [open(offsets)?, open(codes)?, open(residuals)?, open(weights)?, open(lists)?];
        let passages = CompressedPassages {
            offsets: frames[0].payload.clone(),
            codes: frames[1].payload.clone(),
            residuals: frames[2].payload.clone(),
            weights: frames[3].payload.clone(),
        };
        check_lengths(&frames, &passages, entry, codec)?;
        let lists = open_lists(&frames[4], entry, codec)?;
        Ok((Self { first_pid: entry.first_pid, passages, lists }, frames))
    }
}

/// Checks the lengths of the four arrays, each error naming the array's own file.
fn check_lengths(
    frames: &[FramedFile; 5],
    passages: &CompressedPassages,
    entry: &SegmentEntry,
    codec: &CodecParams,
) -> Result<()> {
    let at = |frame: &FramedFile, source| Error::Contents { path: frame.path.clone(), source };
    let expect = |array, expected: usize, found: usize| {
        if expected == found {
            return Ok(());
        }
        Err(at(&frames[0], selvedge_backend::Error::ArrayLength { array, expected, found }))
    };
    expect("offsets", (entry.count as usize + 1) * 4, passages.offsets.len())?;
    expect("first offset", 0, passages.offset(0))?;
    expect("last offset", entry.num_tokens as usize, passages.num_tokens())?;
    passages.validate_lengths(codec).map_err(|source| {
        let frame = match &source {
            selvedge_backend::Error::ArrayLength { array: "codes", .. } => &frames[1],
            selvedge_backend::Error::ArrayLength { array: "residuals", .. } => &frames[2],
            selvedge_backend::Error::ArrayLength { array: "weights", .. } => &frames[3],
            _ => &frames[0],
        };
        at(frame, source)
    })
}

/// Reads the heads of the lists and checks that they belong to this segment and this codec.
fn open_lists(frame: &FramedFile, entry: &SegmentEntry, codec: &CodecParams) -> Result<InvertedLists> {
    let bad = |what| Error::InvertedLists { path: frame.path.clone(), what };
    let lists = InvertedLists::parse(&frame.payload).map_err(bad)?;
    if lists.num_lists() != codec.num_centroids() {
        return Err(bad("not one list for each centroid"));
    }
    if lists.num_passages() != entry.count {
        return Err(bad("made for another number of passages"));
    }
    Ok(lists)
}

/// Checks every offset and code, naming the file that breaks the rule.
pub(crate) fn check_contents(
    passages: &CompressedPassages,
    frames: &[FramedFile; 5],
    codec: &CodecParams,
) -> Result<()> {
    passages.validate(codec).map_err(|source| {
        let frame = match &source {
            selvedge_backend::Error::CodeOutOfRange { .. } => &frames[1],
            _ => &frames[0],
        };
        Error::Contents { path: frame.path.clone(), source }
    })
}

/// The passages of each code, ascending, each once.
pub(crate) struct Inverted {
    /// Where each code's passages start, and the end of the last: `(K + 1)`.
    starts: Vec<usize>,
    pids: Vec<u32>,
}

impl Inverted {
    /// Counting sort by code. Offsets ascend and codes are in range.
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

    /// The passages of `code`.
    pub(crate) fn list(&self, code: usize) -> &[u32] {
        &self.pids[self.starts[code]..self.starts[code + 1]]
    }
}

/// Visits the codes of each passage in pid order, each code once a passage.
fn each_code_once(passages: &CompressedPassages, codec: &CodecParams, mut visit: impl FnMut(usize, u32)) {
    let reader = CodeReader::new(&passages.codes, codec.code_bits());
    // The passage after the last one seen with each code; 0 is none.
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

/// A segment that is being written.
pub(crate) struct SegmentWriter {
    directory: PathBuf,
    number: u32,
    first_pid: u32,
    codec: CheckedCodec,
    count: u32,
    num_tokens: u32,
    offsets: FramedFileWriter,
    codes: FramedFileWriter,
    residuals: FramedFileWriter,
    weights: FramedFileWriter,
    /// Codes that do not fill whole bytes yet: fewer than 8.
    pending_codes: Vec<u32>,
    /// Scale index of an even token that waits for its odd one.
    pending_weights: Vec<u8>,
}

impl SegmentWriter {
    /// Starts segment `number`, whose first passage is `first_pid`.
    pub(crate) fn create(directory: &Path, number: u32, first_pid: u32, codec: CheckedCodec) -> Result<Self> {
        let create = |kind| FramedFileWriter::create(directory, IndexFile::new(kind, number));
        let mut offsets = create(FileKind::Offsets)?;
        offsets.write(&0u32.to_le_bytes())?;
        Ok(Self {
            directory: directory.to_owned(),
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

    /// Tokens so far.
    pub(crate) fn num_tokens(&self) -> u32 {
        self.num_tokens
    }

    /// Appends passages; the writer has checked lengths, codes, and that token numbers fit 32 bits.
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

    /// Packs as many codes as fill whole bytes; eight always do.
    fn push_codes(&mut self, codes: &[u32]) -> Result<()> {
        self.pending_codes.extend_from_slice(codes);
        let whole = self.pending_codes.len() / 8 * 8;
        let bits = self.codec.code_bits();
        let packed = pack_codes(&self.pending_codes[..whole], bits);
        self.codes.write(&packed[..packed.len() - packed_codes_bytes(0, bits)])?;
        self.pending_codes.drain(..whole);
        Ok(())
    }

    /// Packs as many weight indices as fill whole bytes, and drops them at 0 bits.
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

    /// Closes the four arrays and makes the lists from them.
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
        entry.lists = write_lists(&self.directory, &entry, &self.codec)?;
        Ok(entry)
    }
}

/// Inverts the codes of a segment whose arrays are written.
fn write_lists(directory: &Path, entry: &SegmentEntry, codec: &CodecParams) -> Result<FileEntry> {
    let [(offsets, _), (codes, _), _, _, (lists, _)] = entry.files();
    let passages = CompressedPassages {
        offsets: FramedFile::open(directory, offsets)?.payload,
        codes: FramedFile::open(directory, codes)?.payload,
        residuals: bytes::Bytes::new(),
        weights: bytes::Bytes::new(),
    };
    let inverted = Inverted::new(&passages, codec);
    let mut encoder = ListsEncoder::new(entry.count);
    (0..codec.num_centroids()).for_each(|code| encoder.push(inverted.list(code)));
    drop(inverted);
    let mut out = FramedFileWriter::create(directory, lists)?;
    encoder.write(&mut out)?;
    out.finish()
}
