//! NumPy's `.npy` files (NumPy Enhancement Proposal 1): the header, checked strictly.
//!
//! **In:** a file. **Out:** an [`Array`]. The programs whose indexes are read write the header's dict in a few
//! spellings, so it is not parsed as Python: three keys, strings without escapes, `True` or `False`, a tuple of
//! integers. Arrays of Python objects, which are pickles, are refused.

use crate::array::{Array, Kind};
use crate::folder;
use crate::{Error, Result};
use std::io::Read;
use std::path::Path;

/// Longest header that is read; NumPy pads to 64 bytes.
const MAX_HEADER_BYTES: usize = 1 << 12;
/// Most axes of an array.
const MAX_AXES: usize = 4;

/// Opens an array.
pub(crate) fn open(path: &Path) -> Result<Array> {
    let (mut file, length) = folder::open(path)?;
    let bad = |reason: &str| Error::malformed(path, reason);
    let mut start = [0u8; 10];
    file.read_exact(&mut start).map_err(|_| bad("is not a NumPy file: it ends inside the header"))?;
    if &start[..6] != b"\x93NUMPY" {
        return Err(bad("is not a NumPy file: it does not begin with \\x93NUMPY"));
    }
    let (header, before) = match start[6] {
        1 => (usize::from(u16::from_le_bytes([start[8], start[9]])), 10),
        2 | 3 => {
            let mut high = [0u8; 2];
            file.read_exact(&mut high).map_err(|_| bad("is not a NumPy file: it ends inside the header"))?;
            (u32::from_le_bytes([start[8], start[9], high[0], high[1]]) as usize, 12)
        }
        version => {
            let reason = "save it with numpy.save of this decade";
            return Err(Error::Unsupported { path: path.into(), found: format!("NumPy format {version}"), reason });
        }
    };
    if header > MAX_HEADER_BYTES {
        return Err(bad(&format!("has a header of {header} bytes, expected at most {MAX_HEADER_BYTES}")));
    }
    let mut text = vec![0u8; header];
    file.read_exact(&mut text).map_err(|_| bad("is not a NumPy file: it ends inside the header"))?;
    let text = std::str::from_utf8(&text).map_err(|_| bad("has a header that is not valid UTF-8"))?;
    let (kind, shape) = parse(text).map_err(|reason| bad(&format!("has a header {reason}")))?;
    let data_start = (before + header) as u64;
    let bytes = shape.iter().try_fold(kind.bytes(), |bytes, &axis| bytes.checked_mul(axis));
    if bytes.and_then(|bytes| bytes.checked_add(data_start)) != Some(length) {
        return Err(bad(&format!("has {length} bytes, which its shape {shape:?} of {} does not fill", kind.name())));
    }
    Array::new(path, file, kind, shape, data_start, length)
}

/// Parses the dict. The error is the rest of a sentence that begins with "has a header".
fn parse(text: &str) -> Result<(Kind, Vec<u64>), String> {
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or("that is not a dict")?;
    let value = |key: &str| {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let (_, rest) =
            quoted.iter().find_map(|key| inner.split_once(key.as_str())).ok_or(format!("without {key:?}"))?;
        if quoted.iter().any(|key| rest.contains(key.as_str())) {
            return Err(format!("that gives {key:?} twice"));
        }
        rest.trim_start().strip_prefix(':').map(str::trim_start).ok_or(format!("without a value of {key:?}"))
    };
    let descr = value("descr")?;
    let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or("whose type is not one of numbers")?;
    let descr = descr[1..].split_once(quote).ok_or("whose type does not end")?.0;
    let kind = match descr {
        "|u1" | "<u1" | "u1" | "|b1" => Kind::U8,
        "<i4" => Kind::I32,
        "<i8" => Kind::I64,
        "<f2" => Kind::F16,
        "<f4" => Kind::F32,
        "<f8" => Kind::F64,
        "|O" | "O" => return Err("of Python objects (|O), which are pickles; they are not opened".into()),
        other => return Err(format!("of type {other:?}, expected u1, i4, i8, f2, f4 or f8, little-endian")),
    };
    let shape = value("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or("without a shape")?.0;
    let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    let shape: Result<Vec<u64>, _> = axes.map(|axis| axis.trim_end_matches('L').parse()).collect();
    let shape = shape.map_err(|_| format!("whose shape is ({})", text.escape_debug()))?;
    if shape.len() > MAX_AXES {
        return Err(format!("of {} axes, expected at most {MAX_AXES}", shape.len()));
    }
    if value("fortran_order")?.starts_with("True") && shape.len() > 1 {
        return Err("in Fortran order; save it with numpy.ascontiguousarray".into());
    }
    Ok((kind, shape))
}
