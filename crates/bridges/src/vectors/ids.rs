//! Ids of the texts of a file of embeddings.

use crate::array::{Kind, Place, read_at};
use crate::{Error, Result, folder};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of ids that are read at a time.
const BLOCK_BYTES: u64 = 1 << 16;

/// Ids, or their place in the file.
pub(super) enum Ids {
    /// One per line, at these bytes.
    Lines(Range<u64>),
    /// One per line.
    Text(String),
    /// An array of strings or integers.
    Array(Place),
    /// Names of arrays.
    Names(Vec<String>),
}

impl Ids {
    /// Ids in an array. The error is the rest of a sentence that begins with its name.
    pub(super) fn of_array(place: Place) -> Result<Self, String> {
        if place.shape.len() != 1 {
            return Err(format!("has shape {:?}, expected one axis", place.shape));
        }
        match place.kind {
            Kind::U8 => Ok(Self::Lines(place.start..place.start + place.shape[0])),
            Kind::I32 | Kind::U32 | Kind::I64 | Kind::U64 | Kind::Utf32(_) | Kind::Bytes(_) => Ok(Self::Array(place)),
            kind => Err(format!("holds {}, expected strings, integers, or lines of UTF-8 in u8", kind.name())),
        }
    }

    /// Ids that are the names of the texts' arrays; `numpy.savez` numbers arrays without a name.
    pub(super) fn of_names(names: Vec<String>) -> Self {
        let numbers = names.iter().map(|name| {
            name.strip_prefix("arr_")
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .map(str::to_owned)
        });
        let numbers: Option<Vec<String>> = numbers.collect();
        Self::Names(numbers.unwrap_or(names))
    }

    /// Reads all of them, in order.
    pub(super) fn read(&self, path: &Path) -> Result<Box<dyn Iterator<Item = Result<String>> + '_>> {
        Ok(match self {
            Self::Names(names) => Box::new(names.iter().cloned().map(Ok)),
            Self::Text(text) => Box::new(text.lines().map(|line| Ok(line.to_owned()))),
            Self::Lines(place) => {
                let mut file = folder::open(path)?.0;
                file.seek(SeekFrom::Start(place.start)).map_err(Error::io(path))?;
                let (lines, path) = (BufReader::new(file.take(place.end - place.start)).lines(), path.to_owned());
                Box::new(lines.map(move |line| line.map_err(Error::io(&path))))
            }
            Self::Array(place) => Box::new(blocks(path, place)?),
        })
    }
}

/// Reads an array in blocks.
fn blocks(path: &Path, place: &Place) -> Result<impl Iterator<Item = Result<String>> + use<>> {
    let (kind, size, count) = (place.kind, place.kind.bytes(), place.shape[0]);
    let (mut file, start, path): (_, _, PathBuf) = (folder::open(path)?.0, place.start, path.to_owned());
    let most = (BLOCK_BYTES / size).max(1);
    let firsts = (0..count).step_by(most as usize);
    Ok(firsts.flat_map(move |first| {
        let mut bytes = vec![0u8; ((count - first).min(most) * size) as usize];
        match read_at(&mut file, start + first * size, &mut bytes) {
            Err(error) => vec![Err(Error::io(&path)(error))],
            Ok(()) => {
                let ids = bytes.chunks_exact(size as usize).zip(first..);
                let bad = |at| Error::malformed(&path, format!("id {at} is not valid Unicode"));
                ids.map(|(bytes, at)| text(kind, bytes).ok_or_else(|| bad(at))).collect()
            }
        }
    }))
}

/// Returns an id as text; `None` if it is not Unicode.
fn text(kind: Kind, bytes: &[u8]) -> Option<String> {
    let four = || bytes.try_into().expect("four bytes");
    let eight = || bytes.try_into().expect("eight bytes");
    match kind {
        Kind::I32 => Some(i32::from_le_bytes(four()).to_string()),
        Kind::U32 => Some(u32::from_le_bytes(four()).to_string()),
        Kind::I64 => Some(i64::from_le_bytes(eight()).to_string()),
        Kind::U64 => Some(u64::from_le_bytes(eight()).to_string()),
        Kind::Utf32(_) => {
            let chars = bytes.as_chunks().0.iter().map(|&four| u32::from_le_bytes(four));
            let padded: Option<String> = chars.map(char::from_u32).collect();
            padded.map(|text| text.trim_end_matches('\0').to_owned())
        }
        _ => Some(std::str::from_utf8(bytes).ok()?.trim_end_matches('\0').to_owned()),
    }
}
