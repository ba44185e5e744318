//! Random operations on an index, held to a model in memory: what is added, replaced, deleted and merged, what readers
//! of every age find, and which files there are.
//!
//! `SELVEDGE_LIFE_OPS` is the number of operations on each storage, `SELVEDGE_LIFE_SEED` the seed. An operation depends
//! on the seed, its number and the state only, so a failure comes again with the same seed.

#![allow(unreachable_pub)] // a test crate exports nothing

#[path = "living/model.rs"]
mod model;
#[path = "living/pool.rs"]
mod pool;
#[path = "living/reader.rs"]
mod reader;
#[path = "living/session.rs"]
mod session;
#[path = "living/words.rs"]
mod words;

use model::Model;
use pool::Dice;
use reader::{Answer, Question, Reader, names};
use selvedge_index::faults::{Faulty, Plan, Survival};
use selvedge_index::{Check, Directory, Index, ManifestInfo, Memory, Storage, Writer, verify_in};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Numbers of operations by default: few in a directory, where each commit waits for the disk about 15 times.
const OPS: u64 = 300;
const DIRECTORY_OPS: u64 = 40;

/// Restart of the machine: the storage afterwards.
type Restart<'a> = dyn FnMut(&mut Dice) -> Arc<dyn Storage> + 'a;

/// An index, what it must contain, and its readers.
struct Life<'a> {
    storage: Arc<dyn Storage>,
    restart: Box<Restart<'a>>,
    model: Model,
    /// A reader that follows from time to time.
    follower: Reader,
    /// The model at the generation of the follower.
    followed: Model,
    held: Vec<Held>,
    dice: Dice,
    /// Number of searches between two that are compared with the answers of an index of one segment.
    search_every: usize,
    num_searches: usize,
}

/// A generation that is held open, and what it returned at first.
struct Held {
    reader: Reader,
    ids: Vec<String>,
    questions: [Question; 2],
    answers: [Answer; 2],
}

impl<'a> Life<'a> {
    fn new(mut restart: impl FnMut(&mut Dice) -> Arc<dyn Storage> + 'a, seed: u64, search_every: usize) -> Self {
        let (mut dice, model) = (Dice::new(seed, u64::MAX), Model::new());
        let storage = restart(&mut dice);
        let mut writer = Writer::create_in(Arc::clone(&storage)).unwrap();
        words::give(&mut writer);
        writer.set_codec(&model.pool.codec).unwrap();
        writer.finish(ManifestInfo::default()).unwrap();
        let follower = Reader::open(&storage, Check::Checksums);
        follower.check_all(&model);
        Self {
            storage,
            restart: Box::new(restart),
            followed: model.clone(),
            model,
            follower,
            held: Vec::new(),
            dice,
            search_every,
            num_searches: 0,
        }
    }

    fn step(&mut self) {
        match self.dice.below(32) {
            0..14 => self.change(),
            14..20 => self.look_up(),
            20..24 => self.follow(),
            24..28 => self.search(),
            28..30 => self.hold(),
            30 => self.recall(),
            _ => self.reopen(),
        }
    }

    fn check_of(&mut self) -> Check {
        if self.dice.one_in(2) { Check::Structure } else { Check::Checksums }
    }

    /// Looks up passages that exist, at the newest generation or at the follower's, and ids that no passage has.
    fn look_up(&mut self) {
        let newest;
        let (reader, model) = match self.dice.one_in(4) {
            true => {
                newest = Reader::open(&self.storage, Check::Structure);
                (&newest, &self.model)
            }
            false => (&self.follower, &self.followed),
        };
        if !model.passages.is_empty() {
            let place = self.dice.below(model.passages.len());
            reader.check_passage(&model.passages[place], place);
        }
        let id = session::any_id(&mut self.dice, self.model.num_added);
        assert_eq!(reader.index.pid(&id).unwrap().is_some(), model.has(&id), "{id}");
        assert!(reader.ids().iter().eq(model.ids()), "ids of generation {}", reader.index.generation());
    }

    fn follow(&mut self) {
        let check = self.check_of();
        let is_another = self.follower.follow(check);
        assert_eq!(is_another, self.followed.generation != self.model.generation, "a reader follows each change");
        self.followed = self.model.clone();
        assert!(self.follower.ids().iter().eq(self.model.ids()), "ids of the follower");
    }

    /// Compares the follower's answers with the answers of a fresh reader, or of an index of one segment.
    fn search(&mut self) {
        self.follow();
        let is_exact = self.dice.one_in(2);
        let questions = [is_exact, !is_exact].map(|exact| Question::new(&mut self.dice, &self.model, exact));
        let answers = questions.each_ref().map(|question| self.follower.answer(question));
        self.num_searches += 1;
        if self.num_searches.is_multiple_of(self.search_every) {
            let whole = Reader::new(self.model.whole());
            let expected = questions.each_ref().map(|question| question.expected(&self.model, &whole.searcher));
            assert_eq!(answers, expected, "hits of an index of one segment");
        } else {
            let fresh = Reader::open(&self.storage, Check::Structure);
            assert_eq!(answers, questions.each_ref().map(|question| fresh.answer(question)), "hits of a fresh reader");
        }
    }

    /// Opens the newest generation to hold it while others are committed.
    fn hold(&mut self) {
        let check = self.check_of();
        let reader = Reader::open(&self.storage, check);
        let questions = [true, false].map(|exact| Question::new(&mut self.dice, &self.model, exact));
        let answers = questions.each_ref().map(|question| reader.answer(question));
        let ids = reader.ids();
        assert!(ids.iter().eq(self.model.ids()), "ids of the newest generation");
        if self.held.len() == 3 {
            self.held.remove(self.dice.below(3));
        }
        self.held.push(Held { reader, ids, questions, answers });
    }

    /// Checks that a generation that is held returns what it returned, and lets go of it at times.
    fn recall(&mut self) {
        if self.held.is_empty() {
            return self.hold();
        }
        let at = self.dice.below(self.held.len());
        self.held[at].check();
        if self.dice.one_in(3) {
            self.held.remove(at);
        }
    }

    /// Drops everything and opens the index again, on the simulated disk after a loss of power.
    fn reopen(&mut self) {
        self.held.iter().for_each(Held::check);
        self.held.clear();
        self.storage = (self.restart)(&mut self.dice);
        self.follower = Reader::open(&self.storage, Check::Checksums);
        self.follower.check_all(&self.model);
        self.followed = self.model.clone();
        drop(Writer::open_in(Arc::clone(&self.storage)).unwrap());
        self.check_names();
    }

    /// Checks, after a writer, that all files that a live generation names are there and no others.
    fn check_names(&self) {
        let newest = Index::open_in(Arc::clone(&self.storage), Check::Structure).unwrap();
        let held = self.held.iter().map(|held| &held.reader).chain([&self.follower]).flat_map(Reader::names);
        let named: BTreeSet<String> = held.chain(names(&newest)).collect();
        let found = BTreeSet::from_iter(self.storage.list().unwrap());
        let (left, lost) = (found.difference(&named), named.difference(&found));
        assert!(found == named, "files left over: {:?}, lost: {:?}", Vec::from_iter(left), Vec::from_iter(lost));
    }

    fn check_all(&self) {
        let report = verify_in(&*self.storage).unwrap();
        assert!(report.is_sound(), "{report:?}");
        Reader::open(&self.storage, Check::Checksums).check_all(&self.model);
        self.follower.check_all(&self.followed);
        self.held.iter().for_each(Held::check);
    }
}

impl Held {
    fn check(&self) {
        let generation = self.reader.index.generation();
        assert_eq!(self.reader.ids(), self.ids, "ids of generation {generation}, which is held");
        let answers = self.questions.each_ref().map(|question| self.reader.answer(question));
        assert_eq!(answers, self.answers, "hits of generation {generation}, which is held");
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Lives through the operations on a storage, which `restart` returns at first and after each restart.
fn live(name: &str, default_ops: u64, restart: impl FnMut(&mut Dice) -> Arc<dyn Storage>) {
    let seed = number("SELVEDGE_LIFE_SEED", 1);
    let ops = number("SELVEDGE_LIFE_OPS", default_ops) as usize;
    let check_every = (ops / 100).clamp(10, 1000);
    let mut at = 0;
    let started = std::time::Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut life = Life::new(restart, seed, (ops / 500).clamp(2, 50));
        for number in 0..ops {
            at = number;
            life.dice = Dice::new(seed, number as u64);
            life.step();
            if number % check_every == check_every - 1 {
                life.check_all();
            }
        }
        life.model.generation
    }));
    let run = format!("{name}, SELVEDGE_LIFE_SEED={seed} SELVEDGE_LIFE_OPS={ops}");
    match result {
        Ok(generation) => {
            let per_second = ops as f64 / started.elapsed().as_secs_f64();
            println!("{run}: {generation} generations, {per_second:.0} operations per second");
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            panic!("{run}, operation {at}: {}", text.unwrap_or("a panic without a message"));
        }
    }
}

#[test]
fn an_index_in_a_directory_lives() {
    let directory = tempfile::tempdir().unwrap();
    live("directory", DIRECTORY_OPS, |_| Arc::new(Directory::new(directory.path())));
}

#[test]
fn an_index_in_memory_lives() {
    let memory = Memory::new();
    live("memory", OPS, |_| Arc::new(memory.clone()));
}

/// Every time that it is opened again, the power is lost before.
#[test]
fn an_index_on_a_simulated_disk_lives() {
    let mut disk = Faulty::new(&Memory::new(), Plan::Sound);
    live("simulated disk", OPS, |dice| {
        let survival = match dice.below(4) {
            0 => Survival::Kept,
            1 => Survival::Dropped,
            _ => Survival::Torn(dice.next()),
        };
        disk = Faulty::new(&disk.after_crash(survival), Plan::Sound);
        Arc::new(disk.clone())
    });
}
