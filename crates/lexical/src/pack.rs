//! Bytes of a segment: a header and the files of one tantivy segment, one after the other.
//!
//! All integers are little-endian.
//!
//! | bytes | contents |
//! |---|---|
//! | 8 | `SVLEXIC` and a line feed |
//! | 4 | version of this format ([`VERSION`]) |
//! | 4 | CRC-32 of the rest of the header, block checksums included |
//! | 16 | name of the language, then zeros |
//! | 8 | number of passages |
//! | 8 | number of terms of all passages, each as often as it occurs |
//! | 5 × 8 | lengths of the files, in the order of [`PARTS`] |
//! | 4 per block | CRC-32 of each block of [`BLOCK_BYTES`] of the files (the last block may be shorter) |
//! | | the files, without gaps |
//!
//! Opening checks the header. A block is checked when it is first read, so that a search touches the bytes that it
//! needs and nothing else of a large mapped file.

use crate::{Error, Language, Result};
use bytes::Bytes;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Version of the format. A new version of tantivy's format, of the stemmers or of the terms is a new version too.
pub(crate) const VERSION: u32 = 1;

/// Names of the files: tantivy's extensions. Its document store is left out, since it holds nothing.
pub(crate) const PARTS: [&str; 5] = ["term", "idx", "pos", "fieldnorm", "fast"];

const MAGIC: &[u8; 8] = b"SVLEXIC\n";
const NAME_BYTES: usize = 16;
/// Header without the block checksums.
const HEADER_BYTES: usize = 8 + 4 + 4 + NAME_BYTES + 8 + 8 + 8 * PARTS.len();
/// First byte that the header's checksum covers.
const CHECKED_FROM: usize = 16;
/// A common posting list is some 10 KB; checking a block takes some 10 us.
const BLOCK_BYTES: usize = 1 << 16;

/// Block whose checksum is wrong, as an error that travels through tantivy.
#[derive(Debug, thiserror::Error)]
#[error("block {block} is damaged")]
pub(crate) struct BadBlock {
    pub(crate) block: usize,
    pub(crate) expected: u32,
    pub(crate) found: u32,
}

/// Opened pack.
#[derive(Debug)]
pub(crate) struct Pack {
    language: Language,
    num_passages: u32,
    num_tokens: u64,
    /// The files.
    body: Bytes,
    /// Place of each file in `body`.
    parts: [Range<usize>; PARTS.len()],
    /// Checksum of each block of `body`.
    checksums: Bytes,
    /// Whether a block has been read and found intact.
    checked: Box<[AtomicBool]>,
}

/// Packs the files of a segment.
pub(crate) fn write(language: Language, num_passages: u32, num_tokens: u64, parts: [&[u8]; PARTS.len()]) -> Vec<u8> {
    let body = parts.concat();
    let mut checked = vec![0; NAME_BYTES];
    checked[..language.name().len()].copy_from_slice(language.name().as_bytes());
    checked.extend(u64::from(num_passages).to_le_bytes());
    checked.extend(num_tokens.to_le_bytes());
    checked.extend(parts.iter().flat_map(|part| (part.len() as u64).to_le_bytes()));
    checked.extend(body.chunks(BLOCK_BYTES).flat_map(|block| crc32fast::hash(block).to_le_bytes()));
    let checksum = crc32fast::hash(&checked);
    [MAGIC.as_slice(), &VERSION.to_le_bytes(), &checksum.to_le_bytes(), &checked, &body].concat()
}

impl Pack {
    /// Opens a pack and checks its header.
    pub(crate) fn open(bytes: Bytes) -> Result<Self> {
        let wrong_length = |expected| Error::WrongLength { expected, found: bytes.len() as u64 };
        if !bytes.starts_with(&MAGIC[..MAGIC.len().min(bytes.len())]) {
            return Err(Error::NotASegment { found: bytes[..bytes.len().min(MAGIC.len())].to_vec() });
        }
        if bytes.len() < HEADER_BYTES {
            return Err(wrong_length(HEADER_BYTES as u64));
        }
        let found = u32_at(&bytes, 8);
        if found != VERSION {
            return Err(Error::FormatVersion { found, supported: VERSION });
        }
        let lengths: [u64; PARTS.len()] = std::array::from_fn(|i| u64_at(&bytes, HEADER_BYTES - 8 * (PARTS.len() - i)));
        let body_bytes = lengths.iter().try_fold(0u64, |sum, &length| sum.checked_add(length)).unwrap_or(u64::MAX);
        let num_blocks = body_bytes.div_ceil(BLOCK_BYTES as u64);
        // Saturates far above every length: sizes are at most u64::MAX / BLOCK_BYTES blocks.
        let expected = (HEADER_BYTES as u64 + 4 * num_blocks).saturating_add(body_bytes);
        if bytes.len() as u64 != expected {
            return Err(wrong_length(expected));
        }
        let body_start = HEADER_BYTES + 4 * num_blocks as usize;
        let (expected, found) = (u32_at(&bytes, 12), crc32fast::hash(&bytes[CHECKED_FROM..body_start]));
        if expected != found {
            return Err(Error::BadHeader { expected, found });
        }
        let mut end = 0;
        let parts = lengths.map(|length| {
            let start = end;
            end += length as usize;
            start..end
        });
        Ok(Self {
            language: language(&bytes[CHECKED_FROM..][..NAME_BYTES])?,
            num_passages: num_passages(u64_at(&bytes, CHECKED_FROM + NAME_BYTES))?,
            num_tokens: u64_at(&bytes, CHECKED_FROM + NAME_BYTES + 8),
            parts,
            checksums: bytes.slice(HEADER_BYTES..body_start),
            checked: (0..num_blocks).map(|_| AtomicBool::new(false)).collect(),
            body: bytes.slice(body_start..),
        })
    }

    /// Language of the texts.
    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// Number of passages.
    pub(crate) fn num_passages(&self) -> u32 {
        self.num_passages
    }

    /// Number of terms of all passages.
    pub(crate) fn num_tokens(&self) -> u64 {
        self.num_tokens
    }

    /// Number of bytes of file number `part`.
    pub(crate) fn part_bytes(&self, part: usize) -> usize {
        self.parts[part].len()
    }

    /// Returns the bytes `range` of file number `part`, checked.
    pub(crate) fn read(&self, part: usize, range: Range<usize>) -> Result<&[u8], BadBlock> {
        let whole = &self.parts[part];
        let range = whole.start + range.start..whole.start + range.end;
        if !range.is_empty() {
            for block in range.start / BLOCK_BYTES..=(range.end - 1) / BLOCK_BYTES {
                self.check(block)?;
            }
        }
        Ok(&self.body[range])
    }

    fn check(&self, block: usize) -> Result<(), BadBlock> {
        // Two threads may both check a block: nothing depends on the order.
        if self.checked[block].load(Relaxed) {
            return Ok(());
        }
        let start = block * BLOCK_BYTES;
        let bytes = &self.body[start..self.body.len().min(start + BLOCK_BYTES)];
        let (expected, found) = (u32_at(&self.checksums, 4 * block), crc32fast::hash(bytes));
        if expected != found {
            return Err(BadBlock { block, expected, found });
        }
        self.checked[block].store(true, Relaxed);
        Ok(())
    }
}

fn language(name: &[u8]) -> Result<Language> {
    let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).parse()
}

/// Checks a number of passages: tantivy numbers them from 0 to below `i32::MAX`.
fn num_passages(num: u64) -> Result<u32> {
    match u32::try_from(num) {
        Ok(num) if num <= crate::builder::MAX_PASSAGES => Ok(num),
        _ => Err(Error::Inconsistent { reason: format!("{num} passages do not fit a segment") }),
    }
}

fn u32_at(bytes: &[u8], start: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[start + i]))
}

fn u64_at(bytes: &[u8], start: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[start + i]))
}
