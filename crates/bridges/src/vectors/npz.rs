//! The arrays of an `.npz` archive, read in place.

use super::{Catalog, Texts};
use crate::archive::Archive;
use crate::{Error, Result, folder, npy};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::Path;

const STORED: &str = "compressed arrays cannot be read in place: save them with numpy.savez, not savez_compressed";

/// Reads the headers of all arrays.
pub(super) fn open(path: &Path, texts: Texts) -> Result<Catalog> {
    let mut archive = Archive::open(path, "an archive of numpy.savez", STORED)?;
    let names: Vec<String> = archive.names().map(Cow::into_owned).collect();
    let mut file = BufReader::with_capacity(1 << 10, folder::open(path)?.0);
    let mut catalog = Catalog { arrays: BTreeMap::new(), lines: None, text: None };
    for name in names {
        if let Some(array) = name.strip_suffix(".npy") {
            let place = archive.place(&name)?;
            file.seek(SeekFrom::Start(place.start)).map_err(Error::io(path))?;
            catalog.arrays.insert(array.to_owned(), npy::read_header(&mut file, place.start, place.end));
        } else if name.strip_suffix(".txt") == Some(texts.names()[2]) {
            catalog.lines = Some(archive.place(&name)?);
        }
    }
    Ok(catalog)
}
