//! Read-only directory for tantivy over the bytes of a pack.
//!
//! tantivy asks for files by name, `<segment id>.<extension>`; the extension is enough here. It holds the bytes of a
//! file in types that a `Bytes` cannot be turned into without unsafe code, so each read copies: the dictionary and the
//! lengths once when a segment is opened, a posting list (1 byte per passage that has the word) when it is searched.

use crate::pack::{PARTS, Pack};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, OpenReadError, OpenWriteError};
use tantivy::directory::{Directory, FileHandle, OwnedBytes, WatchCallback, WatchHandle, WritePtr};

/// Directory with the files of one pack.
#[derive(Clone, Debug)]
pub(crate) struct PackDirectory(pub(crate) Arc<Pack>);

/// One file of a pack.
#[derive(Debug)]
struct Part {
    pack: Arc<Pack>,
    /// Number of the file in [`PARTS`].
    part: usize,
}

impl HasLen for Part {
    fn len(&self) -> usize {
        self.pack.part_bytes(self.part)
    }
}

impl FileHandle for Part {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let bytes = self.pack.read(self.part, range).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        Ok(OwnedBytes::new(bytes.to_vec()))
    }
}

impl Directory for PackDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let extension = match path.extension().and_then(|extension| extension.to_str()) {
            // Opening a segment opens its document store and reads nothing but the footer, which is that of all files.
            Some("store") => "fast",
            Some(extension) => extension,
            None => "",
        };
        match PARTS.iter().position(|&part| part == extension) {
            Some(part) => Ok(Arc::new(Part { pack: self.0.clone(), part })),
            None => Err(OpenReadError::FileDoesNotExist(path.to_owned())),
        }
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.get_file_handle(path).is_ok())
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        Err(OpenReadError::FileDoesNotExist(path.to_owned()))
    }

    /// Forgets the list of segments that tantivy writes for a new index: the only segment is known.
    fn atomic_write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::wrap_io_error(io::ErrorKind::ReadOnlyFilesystem.into(), path.to_owned()))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::FileDoesNotExist(path.to_owned()))
    }

    fn watch(&self, _: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
