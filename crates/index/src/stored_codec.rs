//! The codec of an open index: its file is mapped when the index is opened, and read and checked when it is needed
//! first. A change that compresses nothing, such as a deletion, needs only its sizes.

use crate::codec_file;
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::FramedFile;
use crate::manifest::Manifest;
use crate::saturation::saturated_centroids;
use crate::storage::Storage;
use crate::{Index, Writer};
use selvedge_backend::CodecSizes;
use selvedge_codec::Codec;
use std::sync::OnceLock;

/// A mapped codec file, of the kind and sizes that the manifest says.
#[derive(Debug)]
pub(crate) struct StoredCodec {
    file: FramedFile,
    pub(crate) sizes: CodecSizes,
    codec: OnceLock<Codec>,
}

impl StoredCodec {
    /// Maps the codec of a generation. Checks the file's header and length, and that it is what the manifest says.
    pub(crate) fn open(storage: &dyn Storage, manifest: &Manifest) -> Result<Self> {
        let entry = &manifest.codec;
        let file = FramedFile::open_named(storage, IndexFile::new(FileKind::Codec, entry.number), entry.file)?;
        // Sizes that make no sense may be damaged bytes.
        let checked = |error| file.check().err().unwrap_or(error);
        let (kind, sizes) = codec_file::read_sizes(&file).map_err(checked)?;
        if (kind, sizes) != (entry.kind, entry.sizes()) {
            let reason = "the codec file has another kind or other sizes than the manifest says".to_owned();
            return Err(checked(Error::Manifest { path: storage.path(&manifest.file().name()), reason }));
        }
        Ok(Self { file, sizes, codec: OnceLock::new() })
    }

    /// The codec. The first call reads its file, and checks its checksum and every bound that the ops rely on. Refuses
    /// a codec whose centroids all saturate, and warns of one of which some do.
    pub(crate) fn get(&self) -> Result<&Codec> {
        if let Some(codec) = self.codec.get() {
            return Ok(codec);
        }
        self.file.check()?;
        let codec = codec_file::read(&self.file)?;
        let (path, num_centroids) = (&self.file.path, self.sizes.num_centroids);
        match saturated_centroids(&codec.params) {
            0 => {}
            saturated if saturated == num_centroids => {
                return Err(Error::Saturated { path: path.clone(), num_centroids });
            }
            saturated => tracing::warn!(
                path = %path.display(),
                "{saturated} of {num_centroids} centroids saturate, so that their passages may be misranked; \
                 build the index anew"
            ),
        }
        Ok(self.codec.get_or_init(|| codec))
    }
}

impl Writer {
    /// Stores the codec of another index, byte for byte, so that both have the same scores, and the share of the
    /// residuals that it was trained on, which drift is measured by.
    ///
    /// # Errors
    /// As [`Index::codec`] of that index, and [`Writer::set_codec`].
    ///
    /// # Panics
    /// As [`Writer::set_codec`].
    pub fn set_codec_of(&mut self, index: &Index) -> Result<()> {
        self.set_codec(index.codec()?)?;
        if let Some((_, entry)) = &mut self.codec {
            entry.residual = index.manifest().codec.residual;
        }
        Ok(())
    }
}
