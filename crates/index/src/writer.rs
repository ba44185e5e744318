//! Makes an index, out of sight until it is complete.
//!
//! All files are written into a temporary directory beside the target, each is flushed to the disk,
//! the manifest comes last, and one rename moves the directory into place. A writer that is dropped
//! before [`Writer::finish`] takes its directory with it; a process that dies leaves one whose name
//! starts with a dot, and nothing at the target.

use crate::documents::{Document, Documents, DocumentsWriter, records};
use crate::error::io_at;
use crate::manifest::{CodecEntry, DocumentsEntry, Manifest, ManifestInfo, SegmentEntry};
use crate::segment::SegmentWriter;
use crate::{Error, Result, Spool, codec_file};
use selvedge_backend::Packed;
use selvedge_codec::TrainedCodec;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// When the writer starts a new segment or a new documents file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of a segment; making its lists takes about 6 bytes of memory a token. A passage with
    /// more tokens gets a segment of its own.
    pub segment_tokens: u32,
    /// Bytes of a documents file.
    pub documents_bytes: u64,
}

impl Default for Limits {
    /// 128 Mi tokens, hence 0.8 GB of memory, and 4 GiB of documents.
    fn default() -> Self {
        Self { segment_tokens: 1 << 27, documents_bytes: 4 << 30 }
    }
}

/// Makes an index: documents, then the codec, then passages, each in pid order, then [`Writer::finish`].
///
/// Documents may be left out altogether: ids are then the decimal pids. A call that fails half-way
/// (a full disk) makes every later [`Writer::finish`] fail; one that refuses its input leaves the
/// writer as it was.
pub struct Writer {
    staging: TempDir,
    target: PathBuf,
    limits: Limits,
    documents: DocumentsStage,
    codec: Option<(TrainedCodec, CodecEntry)>,
    segment: Option<SegmentWriter>,
    segments: Vec<SegmentEntry>,
    num_passages: u32,
    num_tokens: u64,
    /// Whether a step failed after it had begun to write.
    is_broken: bool,
}

impl Writer {
    /// Prepares an index at `path`, where nothing or an empty directory may be.
    pub fn create(path: &Path) -> Result<Self> {
        let target = free_place(path)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".{name}.");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".partial");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let parent = parent_of(&target);
        let staging = builder.tempdir_in(&parent).map_err(io_at(&parent))?;
        Ok(Self {
            staging,
            target,
            limits: Limits::default(),
            documents: DocumentsStage::default(),
            codec: None,
            segment: None,
            segments: Vec::new(),
            num_passages: 0,
            num_tokens: 0,
            is_broken: false,
        })
    }

    /// Replaces the limits for what comes.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Appends the document of the next passage.
    ///
    /// # Panics
    /// After [`Writer::finish_documents`].
    pub fn push_document(&mut self, document: &Document) -> Result<()> {
        let pid = self.documents.admit(document)?;
        let (id, body) = records(document)?;
        let directory = self.staging.path();
        let result = self.documents.push(directory, self.limits, &id, &body);
        self.note(result)?;
        self.documents.register(&document.id, pid);
        Ok(())
    }

    /// Closes the documents; gives back a reader over them, to encode their texts.
    pub fn finish_documents(&mut self) -> Result<Documents> {
        let result = self.documents.close();
        self.note(result)?;
        Ok(Documents::open(self.staging.path(), &self.documents.files)?.0)
    }

    /// Writes the codec.
    ///
    /// # Panics
    /// When called a second time.
    pub fn set_codec(&mut self, codec: &TrainedCodec) -> Result<()> {
        assert!(self.codec.is_none(), "an index has one codec");
        let result = codec_file::write(self.staging.path(), codec);
        let file = self.note(result)?;
        let params = &codec.params;
        let entry = CodecEntry {
            kind: codec.kind,
            dim: params.dim,
            num_centroids: params.num_centroids(),
            nbits: params.nbits,
            scale_bits: params.scale_bits,
            file,
        };
        self.codec = Some((codec.clone(), entry));
        Ok(())
    }

    /// Appends passages. `doclens (P) u32`, `codes (N) u32`, `packed` as [`selvedge_backend::Backend::compress`]
    /// makes it; scale indices may be left out of a codec that has none.
    ///
    /// # Panics
    /// Before [`Writer::set_codec`], or if the lengths do not fit each other.
    pub fn push_passages(&mut self, doclens: &[u32], codes: &[u32], packed: &Packed) -> Result<()> {
        self.check_passages(doclens, codes, packed)?;
        let result = self.write_passages(doclens, codes, packed);
        self.note(result)
    }

    /// A file for embeddings that must be read once more before the index is finished.
    pub fn spool(&self) -> Result<Spool> {
        Spool::create(self.staging.path())
    }

    /// Writes what is open, then the manifest, and moves the index into place.
    pub fn finish(mut self, info: ManifestInfo) -> Result<Manifest> {
        if self.is_broken {
            return Err(Error::Unfinished);
        }
        self.documents.close()?;
        self.close_segment()?;
        let (_, codec) = self.codec.take().ok_or(Error::NoCodec)?;
        let documents = std::mem::take(&mut self.documents.files);
        let num_documents = documents.iter().map(|file| u64::from(file.count)).sum();
        if !documents.is_empty() && num_documents != u64::from(self.num_passages) {
            return Err(Error::PassageCount { documents: num_documents, passages: self.num_passages.into() });
        }
        let manifest = Manifest {
            num_passages: self.num_passages,
            num_tokens: self.num_tokens,
            codec,
            encoder: info.encoder,
            build: info.build,
            search: info.search,
            documents,
            segments: std::mem::take(&mut self.segments),
        };
        manifest.write(self.staging.path())?;
        self.move_into_place()?;
        Ok(manifest)
    }

    /// Remembers whether a step that writes has failed.
    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.is_broken |= result.is_err();
        result
    }

    /// Checks everything about passages that can be checked before a byte is written.
    fn check_passages(&self, doclens: &[u32], codes: &[u32], packed: &Packed) -> Result<()> {
        let params = &self.codec.as_ref().expect("the codec is set before passages are pushed").0.params;
        let num_tokens = doclens.iter().map(|&doclen| doclen as usize).sum::<usize>();
        assert_eq!(num_tokens, codes.len(), "one code for each token");
        assert_eq!(num_tokens * params.row_bytes(), packed.residuals.len(), "one residual row for each token");
        let has_scales = packed.scales.len() == num_tokens;
        assert!(has_scales || params.scale_bits == 0 && packed.scales.is_empty(), "one scale index for each token");
        assert!(
            packed.scales.iter().all(|&scale| u32::from(scale) >> params.scale_bits == 0),
            "scale indices in range"
        );
        let num_centroids = params.num_centroids();
        if let Some(embedding) = codes.iter().position(|&code| code as usize >= num_centroids) {
            let code = codes[embedding];
            return Err(selvedge_backend::Error::CodeOutOfRange { embedding, code, num_centroids }.into());
        }
        let found = u64::from(self.num_passages) + doclens.len() as u64;
        let limit = u64::from(u32::MAX);
        if found > limit {
            return Err(Error::TooMany { what: "passages", found, limit });
        }
        Ok(())
    }

    /// Writes passages, starting a new segment before each one that would pass the limit.
    fn write_passages(&mut self, mut doclens: &[u32], mut codes: &[u32], packed: &Packed) -> Result<()> {
        let codec = self.codec.as_ref().expect("checked before").0.params.clone();
        let row_bytes = codec.row_bytes();
        let (mut residuals, mut scales) = (&packed.residuals[..], &packed.scales[..]);
        while !doclens.is_empty() {
            let (passages, tokens) = self.how_many_fit(doclens);
            if passages == 0 {
                self.close_segment()?;
                continue;
            }
            let segment = match &mut self.segment {
                Some(segment) => segment,
                open @ None => {
                    let number = self.segments.len() as u32;
                    open.insert(SegmentWriter::create(self.staging.path(), number, self.num_passages, codec.clone())?)
                }
            };
            let num_scales = tokens.min(scales.len());
            segment.push(
                take(&mut doclens, passages),
                take(&mut codes, tokens),
                take(&mut residuals, tokens * row_bytes),
                take(&mut scales, num_scales),
            )?;
            self.num_passages += passages as u32;
            self.num_tokens += tokens as u64;
        }
        Ok(())
    }

    /// How many passages go into the open segment, and their tokens: at least one into an empty one.
    fn how_many_fit(&self, doclens: &[u32]) -> (usize, usize) {
        let mut total = self.segment.as_ref().map_or(0, |segment| u64::from(segment.num_tokens()));
        let before = total;
        let mut passages = 0;
        for &doclen in doclens {
            let fits = total + u64::from(doclen) <= u64::from(self.limits.segment_tokens);
            let is_first = passages == 0 && self.segment.is_none();
            if !fits && !is_first {
                break;
            }
            total += u64::from(doclen);
            passages += 1;
        }
        (passages, (total - before) as usize)
    }

    fn close_segment(&mut self) -> Result<()> {
        if let Some(segment) = self.segment.take() {
            self.segments.push(segment.finish()?);
        }
        Ok(())
    }

    /// Renames the complete directory to the target, and makes the disk remember it.
    fn move_into_place(self) -> Result<()> {
        let parent = parent_of(&self.target);
        sync_directory(self.staging.path())?;
        fs::rename(self.staging.path(), &self.target).map_err(|source| match source.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                Error::Exists { path: self.target.clone() }
            }
            _ => Error::Io { path: self.target.clone(), source },
        })?;
        // The directory has its new name: there is nothing left to delete under the old one.
        let _ = self.staging.keep();
        sync_directory(&parent)
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("target", &self.target).field("num_passages", &self.num_passages).finish()
    }
}

/// Cuts `count` elements off the front.
fn take<'a, T>(rest: &mut &'a [T], count: usize) -> &'a [T] {
    let (front, back) = rest.split_at(count);
    *rest = back;
    front
}

/// Where an index can go: `path` itself, or what it stands for where it is an empty directory.
fn free_place(path: &Path) -> Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.file_name() {
            Some(_) => Ok(path.to_owned()),
            None => Err(Error::Io { path: path.to_owned(), source: error }),
        },
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
        Ok(_) if path.is_dir() && fs::read_dir(path).map_err(io_at(path))?.next().is_none() => {
            fs::canonicalize(path).map_err(io_at(path))
        }
        Ok(_) => Err(Error::Exists { path: path.to_owned() }),
    }
}

/// The directory that holds `path`.
fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Waits until the disk has the names in `directory`.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(directory).and_then(|handle| handle.sync_all()).map_err(io_at(directory))
    } else {
        Ok(())
    }
}

/// Bits of an id's hash: at 96, a hundred million ids collide once in 10^13 collections.
type IdHash = [u32; 3];

/// Documents files, written and being written, and who has which id.
#[derive(Default)]
struct DocumentsStage {
    open: Option<DocumentsWriter>,
    files: Vec<DocumentsEntry>,
    /// Passage of each id; 16 bytes an entry, whatever the ids' lengths.
    ids: HashMap<IdHash, u32>,
    hashers: [RandomState; 2],
    count: u32,
    is_closed: bool,
}

impl DocumentsStage {
    fn hash(&self, id: &str) -> IdHash {
        let [low, high] = [self.hashers[0].hash_one(id), self.hashers[1].hash_one(id)];
        [low as u32, (low >> 32) as u32, high as u32]
    }

    /// The pid of the next document, if its id is new.
    fn admit(&self, document: &Document) -> Result<u32> {
        assert!(!self.is_closed, "documents come before finish_documents");
        if let Some(&first) = self.ids.get(&self.hash(&document.id)) {
            return Err(Error::DuplicateId { id: document.id.clone(), first, second: self.count });
        }
        if self.count == u32::MAX {
            let limit = u64::from(u32::MAX);
            return Err(Error::TooMany { what: "passages", found: limit + 1, limit });
        }
        Ok(self.count)
    }

    fn register(&mut self, id: &str, pid: u32) {
        let hash = self.hash(id);
        if let Entry::Vacant(entry) = self.ids.entry(hash) {
            entry.insert(pid);
        }
    }

    fn push(&mut self, directory: &Path, limits: Limits, id: &[u8], body: &[u8]) -> Result<()> {
        if self.open.as_ref().is_some_and(|open| open.bytes() >= limits.documents_bytes) {
            self.close_file()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(DocumentsWriter::create(directory, self.files.len() as u32, self.count)?),
        };
        open.push(id, body)?;
        self.count += 1;
        Ok(())
    }

    fn close_file(&mut self) -> Result<()> {
        if let Some(open) = self.open.take() {
            self.files.push(open.finish()?);
        }
        Ok(())
    }

    /// No more documents come: the ids are no longer needed.
    fn close(&mut self) -> Result<()> {
        self.is_closed = true;
        self.ids = HashMap::new();
        self.close_file()
    }
}
