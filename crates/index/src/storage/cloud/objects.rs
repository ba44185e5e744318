//! Calls of an object store that wait for their answers.

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{
    GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, PutResult, parse_url_opts,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::SystemTime;
use tokio::runtime::Runtime;

/// Largest object of one put; S3 takes 5 GiB.
const ONE_PUT: usize = 4 << 30;
/// Bytes of each part of a larger one; S3 takes 10,000 parts.
const PART: usize = 64 << 20;
/// Starts of the environment variables that stores are set up by.
const SETTINGS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// An object, without its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) size: u64,
    /// Name of the contents (HTTP's ETag).
    pub(super) tag: String,
    pub(super) written: SystemTime,
}

impl Object {
    fn new(meta: &ObjectMeta) -> Self {
        let tag = meta.e_tag.clone().unwrap_or_else(|| format!("{}", meta.last_modified));
        Self { size: meta.size, tag, written: meta.last_modified.into() }
    }
}

/// The objects below a prefix.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    one_put: usize,
    part: usize,
}

/// Runs a future on a thread of its own runtime, and waits: this thread may belong to another one.
fn wait<T: Send + 'static>(future: impl Future<Output = object_store::Result<T>> + Send + 'static) -> io::Result<T> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("selvedge-objects").enable_all();
        builder.build().expect("threads can be started")
    });
    let (answer, answered) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        let _ = answer.send(future.await);
    });
    answered.recv().map_err(|_| io::Error::other("a call of the object store panicked"))?.map_err(of_store)
}

/// The error of the same kind of the file system.
fn of_store(error: object_store::Error) -> io::Error {
    use object_store::Error as E;
    let kind = match &error {
        E::NotFound { .. } | E::Precondition { .. } => io::ErrorKind::NotFound,
        E::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        E::NotSupported { .. } | E::NotImplemented { .. } => io::ErrorKind::Unsupported,
        _ => io::ErrorKind::Other,
    };
    // In one line: a store's answer may be XML with line breaks.
    io::Error::new(kind, error.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
}

impl Objects {
    /// The objects at a URL, by the store's settings in the environment.
    pub(super) fn at(url: &str) -> io::Result<Self> {
        #[cfg(feature = "cloud")]
        {
            // Fails where the program has chosen one itself.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        let parsed = url::Url::parse(url).map_err(|error| invalid(error.to_string()))?;
        let is_setting = |key: &String| SETTINGS.iter().any(|start| key.starts_with(start));
        let settings = std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value)));
        let settings = settings.filter(|(key, _)| is_setting(key));
        let settings = settings.filter_map(|(key, value)| Some((key, value.into_string().ok()?)));
        let (store, prefix) = parse_url_opts(&parsed, settings).map_err(|error| invalid(error.to_string()))?;
        Ok(Self::new(store.into(), prefix))
    }

    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { store, prefix, one_put: ONE_PUT, part: PART }
    }

    /// The same, with puts of at most this size.
    #[cfg(test)]
    pub(super) fn with_puts(self, one_put: usize, part: usize) -> Self {
        Self { one_put, part, ..self }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// All objects whose names have no slash.
    pub(super) fn list(&self) -> io::Result<BTreeMap<String, Object>> {
        let (store, prefix) = (Arc::clone(&self.store), self.prefix.clone());
        let found = wait(async move { store.list_with_delimiter(Some(&prefix)).await })?;
        let named = |meta: ObjectMeta| Some((meta.location.filename()?.to_owned(), Object::new(&meta)));
        Ok(found.objects.into_iter().filter_map(named).collect())
    }

    pub(super) fn head(&self, name: &str) -> io::Result<Object> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        wait(async move { store.head(&path).await }).map(|meta| Object::new(&meta))
    }

    /// Writes the contents of an object to a file; an error if it was replaced.
    pub(super) fn download(&self, name: &str, object: &Object, file: &File) -> io::Result<()> {
        let (store, path, tag) = (Arc::clone(&self.store), self.path(name), object.tag.clone());
        let mut file = file.try_clone()?;
        let size = wait(async move {
            let found = store.get_opts(&path, GetOptions::new().with_if_match(Some(tag))).await?;
            let mut chunks = found.into_stream();
            let mut size = 0;
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk?;
                size += chunk.len() as u64;
                // A local file, in chunks of some KiB to MiB.
                file.write_all(&chunk)
                    .map_err(|source| object_store::Error::Generic { store: "file", source: source.into() })?;
            }
            Ok(size)
        })?;
        if size != object.size {
            let message = format!("{name}: {size} of {} bytes were sent", object.size);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        tracing::debug!(file = name, bytes = size, "downloaded");
        Ok(())
    }

    /// Creates an object; an error if one of the name exists.
    pub(super) fn create(&self, name: &str, contents: Bytes) -> io::Result<Object> {
        let size = contents.len() as u64;
        let put = if contents.len() <= self.one_put { Self::put } else { Self::put_parts };
        match put(self, name, contents)?.e_tag {
            Some(tag) => Ok(Object { size, tag, written: SystemTime::now() }),
            None => self.head(name),
        }
    }

    /// Creates an object, or finds that it exists with these contents: the answer to the put may be lost.
    pub(super) fn create_or_find(&self, name: &str, contents: Bytes) -> io::Result<Object> {
        match self.create(name, contents.clone()) {
            Err(_) if self.contents(name).is_ok_and(|found| found == contents) => self.head(name),
            created => created,
        }
    }

    fn put(&self, name: &str, contents: Bytes) -> io::Result<PutResult> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        wait(async move { store.put_opts(&path, PutPayload::from(contents), PutMode::Create.into()).await })
    }

    /// Creates a large object. Its put has no condition: another one of the name is found before. Writers that have
    /// chosen the same number at the same time differ in a small file of the segment, which only one of them creates.
    fn put_parts(&self, name: &str, contents: Bytes) -> io::Result<PutResult> {
        match self.head(name) {
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (store, path, part) = (Arc::clone(&self.store), self.path(name), self.part);
        wait(async move {
            let mut upload = store.put_multipart(&path).await?;
            for start in (0..contents.len()).step_by(part) {
                let part = contents.slice(start..contents.len().min(start + part));
                if let Err(error) = upload.put_part(PutPayload::from(part)).await {
                    let _ = upload.abort().await;
                    return Err(error);
                }
            }
            upload.complete().await
        })
    }

    fn contents(&self, name: &str) -> io::Result<Bytes> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        wait(async move { store.get(&path).await?.bytes().await })
    }

    pub(super) fn delete(&self, name: &str) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        wait(async move { store.delete(&path).await })
    }
}
