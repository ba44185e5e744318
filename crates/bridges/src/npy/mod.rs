//! NumPy's `.npy` files, and arrays of that format inside archives.
//!
//! Format: magic `\x93NUMPY`, version, header length, a Python dict as text, then the raw array (NumPy Enhancement
//! Proposal 1). `header.rs` parses the few literals that the dict has; a crate for it would bring a Python grammar.
//!
//! **In:** a file. **Out:** an [`Array`]. Arrays of Python objects, which are pickles, are refused.

mod header;

use crate::array::{Array, Kind, Place};
use crate::folder;
use crate::{Error, Result};
use std::io::Read;
use std::path::Path;

/// Longest header that is read; NumPy pads to 64 bytes.
const MAX_HEADER_BYTES: usize = 1 << 16;
/// Most axes of an array.
const MAX_AXES: usize = 4;

/// Opens a `.npy` file.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Malformed`] if it is no such file, or its length is not the one
/// that its header needs.
pub fn open(path: &Path) -> Result<Array> {
    let (mut file, length) = folder::open(path)?;
    let place = read_header(&mut file, 0, length).map_err(|reason| Error::malformed(path, reason))?;
    Ok(Array::of_place(path, file, place))
}

/// Reads the header of an array at the position of `file`, which is byte `start` of it. The array has all bytes up to
/// `end`. The error is the rest of a sentence that begins with the name of the array.
pub(crate) fn read_header(file: &mut impl Read, start: u64, end: u64) -> Result<Place, String> {
    let short = |_| "is not a NumPy file: it ends inside the header".to_owned();
    let mut head = [0u8; 12];
    file.read_exact(&mut head[..10]).map_err(short)?;
    if &head[..6] != b"\x93NUMPY" {
        return Err("is not a NumPy file: it does not begin with \\x93NUMPY".into());
    }
    let (length, before) = match head[6] {
        1 => (usize::from(u16::from_le_bytes([head[8], head[9]])), 10),
        2 | 3 => {
            file.read_exact(&mut head[10..]).map_err(short)?;
            (u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize, 12)
        }
        version => return Err(format!("has format version {version}, expected 1 to 3")),
    };
    if length > MAX_HEADER_BYTES {
        return Err(format!("has a header of {length} bytes, expected at most {MAX_HEADER_BYTES}"));
    }
    let mut text = vec![0u8; length];
    file.read_exact(&mut text).map_err(short)?;
    let text = String::from_utf8(text).map_err(|_| "has a header that is not valid UTF-8")?;
    let parsed = header::parse(&text).map_err(|reason| format!("has a header that {reason}"))?;
    let shape = parsed.shape;
    if shape.is_empty() {
        return Err("holds a single number, expected an array".into());
    }
    if shape.len() > MAX_AXES {
        return Err(format!("has {} axes, expected at most {MAX_AXES}", shape.len()));
    }
    if parsed.is_fortran && shape.len() > 1 {
        return Err("is in Fortran order; save it with numpy.ascontiguousarray".into());
    }
    let place = Place { kind: kind(&parsed.descr)?, shape, start: start + (before + length) as u64 };
    let (found, expected) = (end.saturating_sub(start), place.end().map(|end| end - start));
    if expected == Some(found) {
        return Ok(place);
    }
    let expected = expected.map_or("more than a file can have".into(), |bytes| bytes.to_string());
    Err(format!("has {found} bytes, its shape {:?} of {} needs {expected}", place.shape, place.kind.name()))
}

/// Returns the type of an element. The error is the rest of a sentence.
fn kind(descr: &str) -> Result<Kind, String> {
    let chars = |digits: &str| digits.parse::<u32>().ok().filter(|&chars| (1..=1 << 24).contains(&chars));
    let text = match descr.get(..2) {
        Some("<U") => chars(&descr[2..]).map(Kind::Utf32),
        Some("|S") => chars(&descr[2..]).map(Kind::Bytes),
        _ => None,
    };
    match (descr, text) {
        (_, Some(kind)) => Ok(kind),
        ("|u1" | "<u1" | "u1" | "|b1", _) => Ok(Kind::U8),
        ("<i4", _) => Ok(Kind::I32),
        ("<u4", _) => Ok(Kind::U32),
        ("<i8", _) => Ok(Kind::I64),
        ("<u8", _) => Ok(Kind::U64),
        ("<f2", _) => Ok(Kind::F16),
        ("<f4", _) => Ok(Kind::F32),
        ("<f8", _) => Ok(Kind::F64),
        ("|O" | "O", _) => Err("holds Python objects (|O), which are pickles; they are not opened".into()),
        (other, _) => Err(format!(
            "holds {}; arrays of u8, i32, u32, i64, u64, f16, f32, f64 or strings are read, little-endian",
            describe(other)
        )),
    }
}

/// Returns the type of an element in words, then its code in brackets.
fn describe(descr: &str) -> String {
    let (order, code) = descr.split_at(descr.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0));
    let bits = code.get(1..).and_then(|bytes| bytes.parse::<usize>().ok()).unwrap_or(0).saturating_mul(8);
    let kind = match code.bytes().next() {
        _ if descr.starts_with('[') => "records".into(),
        Some(b'b') => "bool".into(),
        Some(b'S' | b'U' | b'a') => "strings".into(),
        Some(b'M' | b'm') => "times".into(),
        Some(b'c') => format!("complex numbers of {bits} bits"),
        Some(kind @ (b'f' | b'i' | b'u')) => format!("{}{bits}", char::from(kind)),
        _ => return descr.to_owned(),
    };
    format!("{}{kind} ({descr})", if order == ">" { "big-endian " } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the header of a file with this dict, and `data` bytes after it.
    fn header(dict: &str, data: u64) -> Result<Place, String> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.as_bytes());
        read_header(&mut bytes.as_slice(), 0, bytes.len() as u64 + data)
    }

    #[test]
    fn an_array_in_fortran_order_is_refused_in_every_spelling() {
        for dict in [
            "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 8), }",
            "{'descr':'<f4','fortran_order':True,'shape':(3,8)}",
            "{\"descr\": \"<f4\", \"fortran_order\" : True, \"shape\": (3, 8)}",
        ] {
            let said = header(dict, 96).unwrap_err();
            assert!(said.contains("is in Fortran order; save it with numpy.ascontiguousarray"), "{dict}: {said}");
            let place = header(&dict.replace("True", "False"), 96).unwrap();
            assert_eq!((place.shape, place.kind), (vec![3, 8], Kind::F32), "{dict}");
        }
        // One axis has one order.
        let one = header("{'descr': '<i4', 'fortran_order': True, 'shape': (2,)}", 8).unwrap();
        assert_eq!((one.shape, one.kind), (vec![2], Kind::I32));
    }

    #[test]
    fn a_type_that_is_not_read_is_named_in_words() {
        for (descr, words) in [
            ("'>f4'", "holds big-endian f32 (>f4); arrays of"),
            ("'<f16'", "holds f128 (<f16)"),
            ("'<c8'", "holds complex numbers of 64 bits (<c8)"),
            ("'|O'", "holds Python objects (|O), which are pickles"),
            ("'<U77777777'", "holds strings (<U77777777)"),
            ("[('a', '<f4')]", "holds records ([('a', '<f4')])"),
            ("'?'", "holds ?"),
            ("''", "holds "),
        ] {
            let dict = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3, 8)}}");
            let said = header(&dict, 96).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        let strings = header("{'descr': '<U7', 'fortran_order': False, 'shape': (3,)}", 84).unwrap();
        assert_eq!(strings.kind, Kind::Utf32(7));
    }

    #[test]
    fn sizes_are_shown_as_numbers() {
        let said = header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8)}", 99).unwrap_err();
        assert!(said.contains("has 166 bytes, its shape [3, 8] of f32 needs 163"), "{said}");
        let huge = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 8)}}", usize::MAX);
        assert!(header(&huge, 0).unwrap_err().contains("needs more than a file can have"));
        // A length of zero hides no overflow.
        let none = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296)}";
        assert!(header(none, 0).unwrap_err().contains("needs more than a file can have"));
        let single = "{'descr': '<f4', 'fortran_order': False, 'shape': ()}";
        assert!(header(single, 4).unwrap_err().contains("holds a single number"));
    }
}
