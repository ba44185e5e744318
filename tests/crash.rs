//! A loss of power, and a failing disk, at every operation of a build and of each kind of change.
//!
//! An index is in the state before or after a commit, never in between, and the next writer goes on from there.
//! `SELVEDGE_CRASH_SEEDS` is the number of ways, besides all or nothing, in which unsynced bytes and names are lost.

#![allow(unreachable_pub)] // a test crate exports nothing

#[path = "living/acts.rs"]
mod acts;
#[allow(dead_code)] // for tests/life.rs
#[path = "living/pool.rs"]
mod pool;
#[path = "living/words.rs"]
mod words;

use acts::{Act, Case};
use selvedge_index::faults::{Faulty, Plan, Survival};
use selvedge_index::{Check, Document, Error, Index, Manifest, Memory, Result, Storage, Writer, verify_in};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::sync::Arc;

/// Number of seeds of torn disks by default.
const SEEDS: u64 = 1;
/// One of this many disks loses its power again while the next writer tidies it up.
const SECOND_CRASH: u64 = 32;

/// Contents of a disk.
#[derive(Clone, Debug, PartialEq)]
enum State {
    /// No index.
    Nothing,
    /// An index of format 2.
    Old,
    /// A generation, and the ids of its passages.
    Index(Box<Manifest>, Vec<String>),
}

impl State {
    /// The state of a disk, every byte of which is verified.
    fn of(disk: &Memory) -> Self {
        let index = match Index::open_in(Arc::new(disk.clone()), Check::Checksums) {
            Ok(index) => index,
            Err(Error::NoIndex { .. }) => return Self::Nothing,
            Err(Error::MissingFile { path }) if path.ends_with("manifest-0001") => return Self::Nothing,
            Err(Error::OldFormat { .. }) => return Self::Old,
            Err(error) => panic!("{error}"),
        };
        let report = verify_in(disk).unwrap();
        assert!(report.is_sound(), "{report:?}");
        // An upgrade makes no words.
        if index.manifest().language.is_some() {
            words::check(&index);
        }
        Self::Index(Box::new(index.manifest().clone()), index.ids().map(Result::unwrap).collect())
    }
}

/// Disks that a crash may leave.
fn survivals() -> impl Iterator<Item = Survival> {
    let seeds = std::env::var("SELVEDGE_CRASH_SEEDS").map_or(SEEDS, |text| text.parse().expect("a number of seeds"));
    [Survival::Kept, Survival::Dropped].into_iter().chain((0..seeds).map(Survival::Torn))
}

/// Runs acts one after the other; returns the number that succeeded, and the error of the first that did not.
fn run(acts: &[Act], disk: &Faulty) -> (usize, Result<()>) {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    for (done, act) in acts.iter().enumerate() {
        if let Err(error) = act(Arc::clone(&storage)) {
            return (done, Err(error));
        }
    }
    (acts.len(), Ok(()))
}

/// Names of the files of a generation, its manifest among them.
fn names(manifest: &Manifest) -> BTreeSet<String> {
    let files = manifest.files().into_iter().map(|(file, _)| file);
    files.chain([manifest.file()]).map(|file| file.name()).collect()
}

/// Checks that the files of the newest generation are on a disk, and of the one that is held, and no others.
fn assert_tidy(disk: &dyn Storage, newest: &Manifest, held: Option<&Index>, what: &str) {
    let held = held.map(|held| names(held.manifest())).unwrap_or_default();
    let expected: BTreeSet<String> = names(newest).into_iter().chain(held).collect();
    let found = disk.list().unwrap();
    assert!(found.iter().eq(&expected), "{what}: {found:?}, but {expected:?} are named");
}

/// Hash of the files of a disk.
fn hash_of(disk: &Memory) -> u64 {
    let mut hasher = DefaultHasher::new();
    for name in disk.list().unwrap() {
        (&name, &disk.map(&name).unwrap()[..]).hash(&mut hasher);
    }
    hasher.finish()
}

/// A case, with its states before, between and after its acts.
struct Trial {
    case: Case,
    states: Vec<State>,
    /// Number of operations of opening a reader.
    reader_ops: usize,
    /// Places in `states` of the disks that were checked.
    seen: HashMap<u64, usize>,
}

impl Trial {
    fn new(case: Case) -> Self {
        let disk = Faulty::new(&case.before, Plan::Sound);
        let mut states = vec![State::of(&case.before)];
        for act in case.acts {
            act(Arc::new(disk.clone())).unwrap();
            states.push(State::of(&disk.after_crash(Survival::Dropped)));
        }
        states.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1], "{}: what is committed survives", case.name));
        let reader = Faulty::new(&case.before, Plan::Sound);
        let _ = Index::open_in(Arc::new(reader.clone()), Check::Structure);
        Self { case, states, reader_ops: reader.num_ops(), seen: HashMap::new() }
    }

    /// Manifest after all acts.
    fn last(&self) -> &Manifest {
        match self.states.last() {
            Some(State::Index(manifest, _)) => manifest,
            other => panic!("an act leaves an index, not {other:?}"),
        }
    }

    /// Whether a reader can be opened before the acts.
    fn has_reader(&self) -> bool {
        matches!(self.states[0], State::Index(..))
    }

    /// A disk with the case's files, whose plan begins after a reader is opened if one is, and the reader.
    fn disk(&self, plan: impl Fn(usize) -> Plan, has_reader: bool) -> (Faulty, Option<Index>) {
        let disk = Faulty::new(&self.case.before, plan(if has_reader { self.reader_ops } else { 0 }));
        let open = || Index::open_in(Arc::new(disk.clone()), Check::Structure).unwrap();
        let reader = has_reader.then(open);
        (disk, reader)
    }

    /// Number of operations of the acts on a disk without fault.
    fn num_ops(&self, has_reader: bool) -> usize {
        let (disk, reader) = self.disk(|_| Plan::Sound, has_reader);
        let before = disk.num_ops();
        run(self.case.acts, &disk).1.unwrap();
        assert_eq!(before, if has_reader { self.reader_ops } else { 0 });
        let num_ops = disk.num_ops() - before;
        assert_tidy(&disk, self.last(), reader.as_ref(), self.case.name);
        num_ops
    }

    /// Checks that a disk is in the state after `done` acts or, if another one was at work, after one more; returns how
    /// many, after which a writer could go on.
    fn check(&mut self, disk: &Memory, done: usize, reader: Option<&Index>, what: &str) -> usize {
        if let Some(reader) = reader {
            let is_kept =
                |name: &String| disk.map(name).is_ok_and(|bytes| bytes == self.case.before.map(name).unwrap());
            let lost: Vec<String> = names(reader.manifest()).into_iter().filter(|name| !is_kept(name)).collect();
            assert!(lost.is_empty(), "{what}: {lost:?} are lost, which a reader holds");
        }
        let hash = hash_of(disk);
        // Many crashes leave the same files.
        let place = match self.seen.get(&hash) {
            Some(&place) => place,
            None => {
                let place = self.place(disk, hash, what);
                self.seen.insert(hash, place);
                place
            }
        };
        let most = (done + 1).min(self.case.acts.len());
        assert!((done..=most).contains(&place), "{what}: {place} commits are on the disk, {done} were made");
        place
    }

    /// Number of acts that a disk has the state after, on which the next writer goes on.
    fn place(&self, disk: &Memory, hash: u64, what: &str) -> usize {
        let found = State::of(disk);
        let place = self.states.iter().position(|state| *state == found);
        let place = place.unwrap_or_else(|| panic!("{what}: neither before nor after a commit: {found:?}"));
        if found == State::Old {
            let before = &self.case.before;
            let is_whole = |name: &String| disk.map(name).unwrap() == before.map(name).unwrap();
            assert!(before.list().unwrap().iter().all(is_whole), "{what}: a changed file of format 2");
        }
        if hash.is_multiple_of(SECOND_CRASH) {
            crash_again(disk, &found, self.case.acts, what);
        }
        go_on(disk, &found, self.case.acts, hash.is_multiple_of(2), what);
        place
    }

    /// Crashes at each operation. Returns the number of operations and of ways in which they lost something.
    fn crash_everywhere(&mut self) -> usize {
        let mut num_cuts = 0;
        for has_reader in [false, true] {
            if has_reader && !self.has_reader() {
                continue;
            }
            for at in 0..=self.num_ops(has_reader) {
                let (disk, reader) = self.disk(|first| Plan::Crash(first + at), has_reader);
                let (done, _) = run(self.case.acts, &disk);
                for survival in survivals() {
                    let what = format!("{}, operation {at}, {survival:?}, reader: {has_reader}", self.case.name);
                    self.check(&disk.after_crash(survival), done, reader.as_ref(), &what);
                    num_cuts += 1;
                }
            }
        }
        num_cuts
    }

    /// Fails each operation once, and tries again. Returns the number of failures.
    fn fail_everywhere(&mut self) -> usize {
        let (acts, num_ops) = (self.case.acts, self.num_ops(false));
        let mut tried = HashSet::new();
        for (at, kind) in (0..num_ops).flat_map(|at| [(at, ErrorKind::StorageFull), (at, ErrorKind::Other)]) {
            let what = format!("{}, operation {at} fails: {kind}", self.case.name);
            let (disk, _) = self.disk(|_| Plan::Fail(at, kind), false);
            let (done, _) = run(acts, &disk);
            let check = |survival| self.check(&disk.after_crash(survival), done, None, &what);
            let places: Vec<usize> = survivals().map(check).collect();
            // Many failures leave the same files.
            if !tried.insert(hash_of(&disk.after_crash(Survival::Kept))) {
                continue;
            }
            // The disk lost nothing.
            let place = places[0];
            run(&acts[place..], &disk).1.unwrap_or_else(|error| panic!("{what}, second try: {error}"));
            self.check(&disk.after_crash(Survival::Dropped), acts.len(), None, &what);
            if place < acts.len() {
                assert_tidy(&disk, self.last(), None, &what);
            }
        }
        2 * num_ops
    }
}

/// Crashes at each operation of the writer that finds a disk after a crash and tidies it up: nothing more is lost.
fn crash_again(disk: &Memory, found: &State, acts: &[Act], what: &str) {
    let next = |storage| match found {
        State::Index(..) => Writer::open_in(storage).map(drop),
        _ => acts[0](storage),
    };
    let sound = Faulty::new(disk, Plan::Sound);
    next(Arc::new(sound.clone())).unwrap();
    let done = State::of(&sound.after_crash(Survival::Kept));
    for at in 0..sound.num_ops() {
        let again = Faulty::new(disk, Plan::Crash(at));
        let _ = next(Arc::new(again.clone()));
        for survival in [Survival::Kept, Survival::Dropped, Survival::Torn(at as u64)] {
            let state = State::of(&again.after_crash(survival));
            assert!(state == *found || state == done, "{what}, then operation {at}, {survival:?}: {state:?}");
        }
    }
}

/// Goes on from a state: makes an index where there is none, adds a passage, and checks that nothing is left over. With
/// a reader of the state before, its files are kept.
fn go_on(disk: &Memory, state: &State, acts: &[Act], has_reader: bool, what: &str) {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    if !matches!(state, State::Index(..)) {
        acts[0](Arc::clone(&storage)).unwrap_or_else(|error| panic!("{what}, second try: {error}"));
    }
    let before = Index::open_in(Arc::clone(&storage), Check::Structure).unwrap();
    let ids: Vec<String> = before.ids().map(Result::unwrap).collect();
    let generation = before.generation();
    let reader = has_reader.then_some(before);
    let add = || {
        let mut writer = Writer::open_in(Arc::clone(&storage))?;
        if writer.index().is_some_and(|index| index.manifest().language.is_some()) {
            words::give(&mut writer);
        }
        writer.push_document(&Document { id: "the next".to_owned(), ..Document::default() })?;
        writer.finish_documents()?;
        // A passage without tokens is one of any codec.
        writer.push_passages(&[0], &[], &selvedge_backend::Packed::default())?;
        writer.commit()
    };
    let manifest = add().unwrap_or_else(|error| panic!("{what}, next writer: {error}"));
    assert_eq!(manifest.generation, generation + 1, "{what}");
    assert_tidy(disk, &manifest, reader.as_ref(), what);
    let expected = State::Index(Box::new(manifest), ids.into_iter().chain(["the next".to_owned()]).collect());
    assert_eq!(State::of(disk), expected, "{what}");
}

/// Prints the cut points of cases.
fn crash(cases: Vec<Case>) {
    let mut total = 0;
    for mut trial in cases.into_iter().map(Trial::new) {
        let num_cuts = trial.crash_everywhere();
        println!("{}: {num_cuts} cut points, {} different disks", trial.case.name, trial.seen.len());
        total += num_cuts;
    }
    println!("{total} cut points");
}

#[test]
fn a_build_or_an_upgrade_that_crashes_is_made_or_not() {
    crash(vec![acts::build(), acts::upgrade()]);
}

#[test]
fn a_change_that_crashes_is_made_or_not() {
    crash(acts::changes());
}

#[test]
fn of_three_changes_a_crash_keeps_the_first() {
    crash(vec![acts::chain()]);
}

#[test]
fn a_disk_that_fails_once_changes_nothing() {
    for case in [vec![acts::build(), acts::upgrade(), acts::chain()], acts::changes()].concat() {
        let mut trial = Trial::new(case);
        let num_failures = trial.fail_everywhere();
        println!("{}: {num_failures} failures, {} different disks", trial.case.name, trial.seen.len());
    }
}
