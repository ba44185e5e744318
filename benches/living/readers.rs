//! Readers beside a writer, in one process: what they find, and how long they wait. One more thread follows to the
//! newest generation every 50 ms.

use crate::options::Options;
use crate::supply::{Supply, copied, scratch};
use crate::{Result, print, timed};
use selvedge::change::{AddOptions, Additions, CompactOptions, add, compact, delete};
use selvedge::{Engine, OpenOptions, SearchOptions};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Passages per addition at most, passages that stay before the oldest are deleted, and changes between two merges of
/// all that fits.
const ADDED: usize = 64;
const KEPT: usize = 2000;
const COMPACT_EVERY: usize = 200;

/// Generations in which each added passage exists: from the first, up to the last if it was deleted.
type Lives = Mutex<BTreeMap<String, (u32, Option<u32>)>>;

/// State that the readers share with the writer.
struct Shared<'a> {
    engine: Engine,
    queries: Vec<Vec<f32>>,
    lives: Lives,
    is_over: AtomicBool,
    options: &'a Options,
}

pub fn run(options: &Options) -> Result<()> {
    let supply = Supply::open(options)?;
    let path = copied(options, "readers")?;
    let shared = Shared {
        engine: Engine::open(&path, OpenOptions::default())?,
        queries: supply.queries(options.queries)?,
        lives: Lives::default(),
        is_over: AtomicBool::new(false),
        options,
    };
    let alone = print("search alone", &mut shared.search_all(options.minutes_alone, || Ok(()))?);
    let mut changes = (0, 0);
    let mut times = shared.search_all(options.minutes, || {
        changes = write(&path, &supply, &shared)?;
        Ok(())
    })?;
    let beside = print("search beside a writer", &mut times);
    let (count, merges) = changes;
    println!(
        "# {} readers, {} minutes: {count} changes, of which {merges} merged all that fits; generation {}; p99 {:.2} x",
        options.readers,
        options.minutes,
        shared.engine.refresh()?,
        beside / alone
    );
    Ok(())
}

impl Shared<'_> {
    /// Searches with all readers for some minutes, beside `writer`; returns the times of all searches.
    fn search_all(&self, minutes: f64, writer: impl FnOnce() -> Result<()> + Send) -> Result<Vec<f64>> {
        self.is_over.store(false, Ordering::Relaxed);
        let mut follows = Vec::new();
        let times = std::thread::scope(|scope| {
            let writing = scope.spawn(writer);
            let readers: Vec<_> =
                (0..self.options.readers).map(|reader| scope.spawn(move || self.read(reader))).collect();
            let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
            while Instant::now() < until && !readers.iter().any(|reader| reader.is_finished()) {
                let (time, generation) = timed(|| self.engine.refresh());
                generation?;
                follows.push(time);
                std::thread::sleep(Duration::from_millis(50));
            }
            self.is_over.store(true, Ordering::Relaxed);
            writing.join().expect("the writer ends")?;
            let times: Result<Vec<Vec<f64>>> =
                readers.into_iter().map(|reader| reader.join().expect("a reader")).collect();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(times?.concat())
        })?;
        print("follow", &mut follows);
        Ok(times)
    }

    /// Searches until the time is over; returns the time of each search.
    fn read(&self, reader: usize) -> Result<Vec<f64>> {
        let search = SearchOptions::default();
        let (mut times, mut last) = (Vec::new(), 0);
        for query in self.queries.iter().cycle().skip(reader * self.queries.len() / self.options.readers) {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            let before = self.engine.snapshot().generation();
            let (time, output) = timed(|| self.engine.search_embeddings(query, &search));
            let after = self.engine.snapshot().generation();
            times.push(time);
            assert!(last <= before && before <= after, "a generation never goes back");
            last = before;
            let hits = output?.hits;
            assert!(hits.len() == search.k && hits.is_sorted_by(|a, b| a.score >= b.score));
            let lives = self.lives.lock().expect("no reader or writer failed");
            for hit in &hits {
                // The search ran on one of the generations from `before` to `after`.
                if let Some(&(first, last)) = lives.get(&hit.id) {
                    assert!(
                        first <= after && last.is_none_or(|last| before <= last),
                        "{} at {before}..={after}",
                        hit.id
                    );
                }
            }
        }
        Ok(times)
    }
}

/// Adds, deletes and merges until the time is over; returns the number of changes and of merges on demand.
fn write(path: &Path, supply: &Supply, shared: &Shared) -> Result<(usize, usize)> {
    let folder = scratch(shared.options, "readers-arrays")?;
    let (mut alive, mut next, mut merges) = (VecDeque::new(), 0, 0);
    let lives = || shared.lives.lock().expect("no reader failed");
    for change in 0.. {
        if shared.is_over.load(Ordering::Relaxed) {
            return Ok((change, merges));
        }
        let generation = selvedge_index::Index::open(path, selvedge_index::Check::Structure)?.generation();
        if change % COMPACT_EVERY == COMPACT_EVERY - 1 {
            compact(path, &CompactOptions::default(), &())?;
            merges += 1;
        } else if change % 2 == 1 && alive.len() > KEPT {
            let ids: Vec<String> = alive.drain(..alive.len() - KEPT).collect();
            // Noted before the commit: a reader may see the next generation at once, this one it may still search.
            let gone: BTreeSet<&String> = ids.iter().collect();
            lives().iter_mut().filter(|(id, _)| gone.contains(id)).for_each(|(_, life)| life.1 = Some(generation));
            delete(path, &ids, false)?;
        } else {
            let count = 1 + change * 31 % ADDED;
            let ids: Vec<String> = (next..next + count).map(|passage| format!("added-{passage}")).collect();
            let arrays = supply.write(&folder, (next..).zip(ids.iter().cloned()))?;
            lives().extend(ids.iter().map(|id| (id.clone(), (generation + 1, None))));
            add(path, Additions::Arrays(&arrays), &AddOptions::default(), &())?;
            alive.extend(ids);
            next += count;
        }
        std::thread::sleep(Duration::from_millis(shared.options.pause));
    }
    unreachable!("changes go on")
}
