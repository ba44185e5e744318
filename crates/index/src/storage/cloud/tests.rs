//! Indexes in a store in memory: what is read and written, races of writers, copies, and deletions.

use super::*;
use crate::tests::codec;
use crate::{Check, Document, Error, Index, ManifestInfo, Writer, verify_in};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use selvedge_backend::Packed;
use selvedge_codec::Codec;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use tempfile::TempDir;

const URL: &str = "s3://bucket/some/index";
const DAY: Duration = GRACE;
const NOW: Duration = Duration::ZERO;
/// Rounds of a race between two passages of a writer.
const ADD: usize = 25;

/// A store in memory that counts what is read from it, and may change a byte of it.
#[derive(Debug, Default)]
struct Watched {
    store: InMemory,
    gets: AtomicU64,
    bytes: AtomicU64,
    lies: AtomicBool,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, at: &Key, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.store.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Key,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Key, options: GetOptions) -> object_store::Result<GetResult> {
        let is_head = options.head;
        let found = self.store.get_opts(at, options).await?;
        if is_head {
            return Ok(found);
        }
        self.gets.fetch_add(1, Relaxed);
        self.bytes.fetch_add(found.meta.size, Relaxed);
        if !self.lies.load(Relaxed) {
            return Ok(found);
        }
        let (meta, range) = (found.meta.clone(), found.range.clone());
        let (attributes, extensions) = (found.attributes.clone(), found.extensions.clone());
        let mut bytes = found.bytes().await?.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let sent = futures_util::stream::once(async move { Ok(Bytes::from(bytes)) });
        Ok(GetResult { payload: GetResultPayload::Stream(Box::pin(sent)), meta, range, attributes, extensions })
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        self.store.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> object_store::Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> object_store::Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// A machine with a cache of its own.
struct Machine {
    store: Arc<Watched>,
    folder: TempDir,
}

impl Machine {
    fn new(store: &Arc<Watched>) -> Self {
        Self { store: Arc::clone(store), folder: tempfile::tempdir().unwrap() }
    }

    fn cloud(&self, limit: u64, grace: Duration) -> Arc<Cloud> {
        let objects = Objects::new(self.store.clone(), Key::from("some/index"));
        Arc::new(Cloud::new(URL, objects, self.folder.path(), limit, grace).unwrap())
    }

    fn open(&self) -> Result<Index, Error> {
        Index::open_in(self.cloud(u64::MAX, DAY), Check::Structure)
    }
}

fn our_codec() -> Codec {
    codec(8, 5, 2, 5)
}

/// Appends a passage of three tokens.
fn push(writer: &mut Writer, id: &str) -> Result<(), Error> {
    writer.push_document(&Document { id: id.to_owned(), text: format!("text of {id}"), metadata: None })?;
    writer.finish_documents()?;
    let row_bytes = our_codec().params.row_bytes();
    writer.push_passages(&[3], &[0, 1, 4], &Packed { residuals: vec![7; 3 * row_bytes], weights: vec![1; 3] })
}

/// Builds an index of one passage.
fn build(cloud: Arc<Cloud>) -> Result<(), Error> {
    let mut writer = Writer::create_in(cloud)?;
    writer.set_codec(&our_codec())?;
    push(&mut writer, "first")?;
    writer.finish(ManifestInfo::default()).map(drop)
}

fn add(cloud: Arc<Cloud>, id: &str) -> Result<(), Error> {
    let mut writer = Writer::open_in(cloud)?;
    push(&mut writer, id)?;
    writer.commit().map(drop)
}

fn ids(index: &Index) -> Vec<String> {
    index.ids().collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_one_machine_writes_another_reads_once() {
    let store = Arc::new(Watched::default());
    let (writer, reader) = (Machine::new(&store), Machine::new(&store));
    build(writer.cloud(u64::MAX, DAY)).unwrap();
    add(writer.cloud(u64::MAX, DAY), "second").unwrap();
    assert_eq!(store.bytes.load(Relaxed), 0, "what was uploaded is a copy already");

    let index = reader.open().unwrap();
    assert_eq!(ids(&index), ["first", "second"]);
    assert_eq!(index.path(), Path::new(URL));
    // Every file of the newest generation, and no other.
    let needed: u64 = index.bytes_on_disk().values().sum();
    assert_eq!(store.bytes.load(Relaxed), needed);
    assert_eq!(store.gets.load(Relaxed) as usize, index.manifest().files().len() + 1);
    assert!(verify_in(&*reader.cloud(u64::MAX, DAY)).unwrap().broken().next().is_none());
    assert_eq!(store.bytes.load(Relaxed), needed, "nothing is read twice");

    add(writer.cloud(u64::MAX, DAY), "third").unwrap();
    let later = index.refreshed(Check::Checksums).unwrap().unwrap();
    assert_eq!(ids(&later), ["first", "second", "third"]);
    assert!(store.bytes.load(Relaxed) - needed < needed, "only what is new");
}

#[test]
fn of_two_writers_one_commits() {
    let store = Arc::new(Watched::default());
    let machines = [Machine::new(&store), Machine::new(&store)];
    build(machines[0].cloud(u64::MAX, DAY)).unwrap();
    // Both begin at the same generation.
    let mut writers = machines.each_ref().map(|machine| Writer::open_in(machine.cloud(u64::MAX, DAY)).unwrap());
    for (writer, id) in writers.iter_mut().zip(["a", "b"]) {
        push(writer, id).unwrap();
    }
    let committed = writers.map(|writer| writer.commit().map(drop));
    assert!(matches!(committed, [Ok(()), Err(Error::Conflict { .. })]), "{committed:?}");
    let index = Machine::new(&store).open().unwrap();
    assert_eq!(ids(&index), ["first", "a"]);
    add(machines[1].cloud(u64::MAX, DAY), "b").unwrap();
    assert_eq!(ids(&Machine::new(&store).open().unwrap()), ["first", "a", "b"]);
}

/// Counts one more change of a writer in the search parameters, and adds a passage in every `ADD`th round.
fn change(cloud: Arc<Cloud>, writer: usize, round: usize) -> Result<(), Error> {
    let mut change = Writer::open_in(cloud)?;
    let stored = change.index().and_then(|index| index.manifest().search.clone());
    let mut counts = stored.unwrap_or_else(|| serde_json::json!([0, 0]));
    counts[writer] = (counts[writer].as_u64().unwrap() + 1).into();
    change.set_search(Some(counts));
    if round.is_multiple_of(ADD) {
        push(&mut change, &format!("{writer}-{round}"))?;
    }
    change.commit().map(drop)
}

/// Lets two writers change an index, as machines with caches of their own.
fn race(objects: &Objects, rounds: usize) {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let cloud = |folder: &TempDir| Arc::new(Cloud::new(URL, objects.clone(), folder.path(), u64::MAX, DAY).unwrap());
    build(cloud(&folders[2])).unwrap();
    let conflicts = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for (writer, folder) in folders[..2].iter().enumerate() {
            let (cloud, conflicts) = (&cloud, &conflicts);
            scope.spawn(move || {
                for round in 0..rounds {
                    while let Err(error) = change(cloud(folder), writer, round) {
                        assert!(matches!(error, Error::Conflict { .. }), "{error}");
                        conflicts.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    let index = Index::open_in(cloud(&folders[2]), Check::Checksums).unwrap();
    assert_eq!(index.manifest().search, Some(serde_json::json!([rounds, rounds])), "a change was lost");
    let added = |writer| (0..rounds).step_by(ADD).map(move |round| format!("{writer}-{round}"));
    let expected: BTreeSet<String> = (0..2).flat_map(added).chain(["first".to_owned()]).collect();
    assert_eq!(ids(&index).into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(index.num_passages() as usize, expected.len(), "a passage is there twice");
    assert_eq!(index.generation() as usize, 1 + 2 * rounds, "a generation for each change");
    println!("{rounds} changes of each of two writers, {conflicts:?} conflicts");
}

#[test]
fn writers_that_race_lose_nothing() {
    race(&Objects::new(Arc::new(Watched::default()), Key::from("some/index")), 10);
}

/// A race in the store at `SELVEDGE_TEST_STORE`, a URL without objects: `SELVEDGE_TEST_ROUNDS` changes of each.
#[test]
fn writers_that_race_in_a_real_store_lose_nothing() {
    let Ok(url) = std::env::var("SELVEDGE_TEST_STORE") else { return };
    let rounds = std::env::var("SELVEDGE_TEST_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    race(&Objects::at(&url).unwrap(), rounds);
}

#[test]
fn a_commit_whose_answer_is_lost_is_no_conflict() {
    let objects = Objects::new(Arc::new(Watched::default()), Key::default());
    let create = |contents: &'static str| objects.create("manifest-0002", Bytes::from_static(contents.as_bytes()));
    let first = create("ours").unwrap();
    let found = objects.create_or_find("manifest-0002", Bytes::from_static(b"ours")).unwrap();
    assert_eq!((first.size, &first.tag), (found.size, &found.tag));
    // Of two files of equal contents, each has its writer, who may delete it.
    for failed in [create("ours"), objects.create_or_find("manifest-0002", Bytes::from_static(b"theirs"))] {
        assert_eq!(failed.map_err(|error| error.kind()), Err(io::ErrorKind::AlreadyExists));
    }
}

#[test]
fn large_objects_are_sent_in_parts() {
    let objects = Objects::new(Arc::new(Watched::default()), Key::default()).with_puts(10, 4);
    let contents = Bytes::from_static(b"more than ten bytes");
    let object = objects.create("codes-0001", contents.clone()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    objects.download("codes-0001", &object, file.as_file()).unwrap();
    assert_eq!(std::fs::read(file.path()).unwrap(), contents);
    let other = objects.create("codes-0001", Bytes::from_static(b"other, also longer"));
    assert_eq!(other.map_err(|error| error.kind()), Err(io::ErrorKind::AlreadyExists));
}

#[test]
fn damage_on_the_way_is_found_and_not_kept() {
    let store = Arc::new(Watched::default());
    build(Machine::new(&store).cloud(u64::MAX, DAY)).unwrap();
    let reader = Machine::new(&store);
    store.lies.store(true, Relaxed);
    let error = reader.open().unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    store.lies.store(false, Relaxed);
    assert_eq!(ids(&reader.open().unwrap()), ["first"]);
}

#[test]
fn copies_have_a_limit() {
    let store = Arc::new(Watched::default());
    build(Machine::new(&store).cloud(u64::MAX, DAY)).unwrap();
    let reader = Machine::new(&store);
    let needed: u64 = reader.open().unwrap().bytes_on_disk().values().sum();
    let copies = || {
        let own = std::fs::read_dir(reader.folder.path()).unwrap().next().unwrap().unwrap().path();
        let sizes = std::fs::read_dir(own.join("copies")).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        sizes.sum::<u64>()
    };
    assert_eq!(copies(), needed);
    let other = Machine::new(&store);
    let error = Index::open_in(other.cloud(needed / 2, DAY), Check::Structure).unwrap_err();
    assert!(error.to_string().contains("SELVEDGE_CACHE_BYTES"), "{error}");
    // A later generation needs place that old files have.
    let writer = Machine::new(&store);
    add(writer.cloud(u64::MAX, DAY), "second").unwrap();
    let index = Writer::open_in(writer.cloud(u64::MAX, DAY)).unwrap();
    drop(index);
    let needed: u64 = writer.open().unwrap().bytes_on_disk().values().sum();
    let index = Index::open_in(reader.cloud(needed, DAY), Check::Checksums).unwrap();
    assert_eq!(ids(&index), ["first", "second"]);
    assert!(copies() <= needed, "{} of {needed}", copies());
}

#[test]
fn objects_that_others_may_need_stay_a_while() {
    let store = Arc::new(Watched::default());
    let machine = Machine::new(&store);
    build(machine.cloud(u64::MAX, DAY)).unwrap();
    let first: BTreeSet<String> = machine.cloud(u64::MAX, DAY).list().unwrap().into_iter().collect();
    let delete_first = |grace| {
        let mut writer = Writer::open_in(machine.cloud(u64::MAX, grace)).unwrap();
        assert!(writer.delete("first").unwrap());
        push(&mut writer, "next").unwrap();
        writer.commit().unwrap();
    };
    delete_first(DAY);
    let both: BTreeSet<String> = machine.cloud(u64::MAX, DAY).list().unwrap().into_iter().collect();
    assert!(both.is_superset(&first), "readers elsewhere may be opening them: {both:?}");
    // Any later change deletes them, when they are old.
    add(machine.cloud(u64::MAX, NOW), "more").unwrap();
    let left = machine.cloud(u64::MAX, DAY).list().unwrap();
    let index = machine.open().unwrap();
    let named: BTreeSet<String> = index.manifest().files().iter().map(|(file, _)| file.name()).collect();
    let manifest = IndexFile::manifest(index.generation()).name();
    assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), named.into_iter().chain([manifest]).collect());
}

#[test]
fn a_change_that_fails_leaves_no_object() {
    let store = Arc::new(Watched::default());
    let machine = Machine::new(&store);
    build(machine.cloud(u64::MAX, DAY)).unwrap();
    let before = machine.cloud(u64::MAX, DAY).list().unwrap();
    let mut writer = Writer::open_in(machine.cloud(u64::MAX, DAY)).unwrap();
    push(&mut writer, "lost").unwrap();
    let other = Machine::new(&store);
    add(other.cloud(u64::MAX, DAY), "won").unwrap();
    assert!(matches!(writer.commit(), Err(Error::Conflict { .. })));
    let index = other.open().unwrap();
    assert_eq!(ids(&index), ["first", "won"]);
    let after = machine.cloud(u64::MAX, DAY).list().unwrap();
    let more = index.manifest().segments.last().unwrap().files().count() + 1;
    assert_eq!(after.len(), before.len() + more, "{before:?} {after:?}");
}

#[test]
fn urls_are_told_from_paths() {
    for (text, is_url) in [
        ("s3://bucket/index", true),
        ("file:///srv/index", true),
        ("az://container/a b", true),
        ("index", false),
        ("./a://b", false),
        ("/a/b", false),
        ("C:\\index", false),
        ("://a", false),
    ] {
        assert_eq!(super::super::is_url(text), is_url, "{text}");
    }
    let error = crate::Index::open(Path::new("ftp://host/index"), Check::Structure).unwrap_err();
    assert!(error.to_string().contains("ftp://host/index"), "{error}");
}
