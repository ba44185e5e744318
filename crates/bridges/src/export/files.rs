//! Files of the formats that are written: NumPy's and torch's.

use crate::array::Kind;
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An array in memory: its bytes are little-endian, in C order.
pub(super) struct Data {
    pub(super) kind: Kind,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

impl Data {
    /// Makes an array of one axis or of rows, of numbers that `bytes_of` writes.
    pub(super) fn new<T: Copy, const N: usize>(
        kind: Kind,
        shape: &[usize],
        values: &[T],
        bytes_of: impl Fn(T) -> [u8; N],
    ) -> Self {
        let mut bytes = Vec::with_capacity(values.len() * N);
        values.iter().for_each(|&value| bytes.extend(bytes_of(value)));
        Self { kind, shape: shape.to_vec(), bytes }
    }

    pub(super) fn f32(shape: &[usize], values: &[f32]) -> Self {
        Self::new(Kind::F32, shape, values, f32::to_le_bytes)
    }

    pub(super) fn f16(shape: &[usize], values: &[f32]) -> Self {
        Self::new(Kind::F16, shape, values, |value| half::f16::from_f32(value).to_le_bytes())
    }

    pub(super) fn i32(values: &[u32]) -> Self {
        Self::new(Kind::I32, &[values.len()], values, |value| (value as i32).to_le_bytes())
    }

    pub(super) fn i64(values: &[u32]) -> Self {
        Self::new(Kind::I64, &[values.len()], values, |value| i64::from(value).to_le_bytes())
    }

    pub(super) fn u8(shape: &[usize], bytes: Vec<u8>) -> Self {
        Self { kind: Kind::U8, shape: shape.to_vec(), bytes }
    }
}

/// Writes a NumPy file.
pub(super) fn npy(path: &Path, data: &Data) -> Result<()> {
    let descr = match data.kind {
        Kind::U8 => "|u1",
        Kind::I32 => "<i4",
        Kind::I64 => "<i8",
        Kind::F16 => "<f2",
        Kind::F32 => "<f4",
        Kind::F64 => "<f8",
        kind => unreachable!("{} are not exported", kind.name()),
    };
    let axes: String = data.shape.iter().map(|n| format!("{n}, ")).collect();
    let axes = if data.shape.len() == 1 { axes.trim_end() } else { axes.trim_end_matches(", ") };
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes}), }}");
    // Magic, version and length take 10 bytes; the data begin at a multiple of 64, after a line break.
    dict.push_str(&" ".repeat((64 - (10 + dict.len() + 1) % 64) % 64));
    dict.push('\n');
    let mut out = BufWriter::new(File::create(path).map_err(Error::io(path))?);
    let mut header = b"\x93NUMPY\x01\0".to_vec();
    header.extend((dict.len() as u16).to_le_bytes());
    header.extend(dict.as_bytes());
    out.write_all(&header).and_then(|()| out.write_all(&data.bytes)).map_err(Error::io(path))?;
    sync(path, out)
}

/// Writes a file of `torch.save`: one tensor, or a tuple of two.
pub(super) fn torch(path: &Path, tensors: &[Data]) -> Result<()> {
    let out = BufWriter::new(File::create(path).map_err(Error::io(path))?);
    let write = |out| -> std::io::Result<BufWriter<File>> {
        let mut zip = ZipWriter::new(out);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        zip.start_file("archive/data.pkl", options)?;
        zip.write_all(&pickle(tensors))?;
        for (number, tensor) in tensors.iter().enumerate() {
            zip.start_file(format!("archive/data/{number}"), options)?;
            zip.write_all(&tensor.bytes)?;
        }
        zip.start_file("archive/version", options)?;
        zip.write_all(b"3\n")?;
        Ok(zip.finish()?)
    };
    sync(path, write(out).map_err(Error::io(path))?)
}

/// Pickle that rebuilds tensors of the storages 0, 1 and so on.
fn pickle(tensors: &[Data]) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let int = |value: usize| -> Vec<u8> {
        // LONG1 of 8 bytes, which holds every size.
        [&[0x8a, 8][..], &(value as u64).to_le_bytes()].concat()
    };
    let tuple = |sizes: &[usize]| -> Vec<u8> {
        let items: Vec<u8> = sizes.iter().flat_map(|&size| int(size)).collect();
        [b"(", items.as_slice(), b"t"].concat()
    };
    let mut out = b"\x80\x02".to_vec();
    if tensors.len() > 1 {
        out.push(b'(');
    }
    for (number, tensor) in tensors.iter().enumerate() {
        let storage = match tensor.kind {
            Kind::U8 => "ByteStorage",
            Kind::I32 => "IntStorage",
            Kind::I64 => "LongStorage",
            Kind::F16 => "HalfStorage",
            Kind::F32 => "FloatStorage",
            Kind::F64 => "DoubleStorage",
            kind => unreachable!("{} are not exported", kind.name()),
        };
        let strides: Vec<usize> = (1..=tensor.shape.len()).map(|axis| tensor.shape[axis..].iter().product()).collect();
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        out.extend(text("storage"));
        out.extend(format!("ctorch\n{storage}\n").as_bytes());
        out.extend(text(&number.to_string()));
        out.extend(text("cpu"));
        out.extend(int(tensor.shape.iter().product()));
        out.extend(b"tQK\0");
        out.extend(tuple(&tensor.shape));
        out.extend(tuple(&strides));
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    if tensors.len() > 1 {
        out.push(b't');
    }
    out.push(b'.');
    out
}

/// Writes JSON.
pub(super) fn json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let out = BufWriter::new(File::create(path).map_err(Error::io(path))?);
    let mut out = out;
    serde_json::to_writer(&mut out, value).map_err(|error| Error::io(path)(error.into()))?;
    sync(path, out)
}

fn sync(path: &Path, out: BufWriter<File>) -> Result<()> {
    let file = out.into_inner().map_err(|error| Error::io(path)(error.into_error()))?;
    file.sync_data().map_err(Error::io(path))
}
