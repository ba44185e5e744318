//! One passage at a time: added, followed, found, deleted; ids looked up; many segments opened.

use crate::options::Options;
use crate::supply::{Supply, copied, scratch};
use crate::{Result, print, timed};
use selvedge::change::{AddOptions, Additions, add, delete};
use selvedge::{Engine, OpenOptions, SearchOptions};
use selvedge_index::{Check, Index};
use std::path::Path;

/// Number of segments of the index that is opened.
const SEGMENTS: usize = 100;
/// Number of lookups of each kind.
const LOOKUPS: usize = 10_000;
/// Number of times that the index is opened.
const OPENINGS: usize = 20;

pub fn run(options: &Options) -> Result<()> {
    let supply = Supply::open(options)?;
    let path = copied(options, "single")?;
    let folder = scratch(options, "arrays")?;
    let engine = Engine::open(&path, OpenOptions::default())?;
    let one = SearchOptions { k: 1, ..SearchOptions::default() };
    let id = |passage: usize| format!("added-{passage}");
    let add_one = |passage, policy| -> Result<f64> {
        let arrays = supply.write(&folder, std::iter::once((passage, id(passage))))?;
        let changed = AddOptions { policy, ..AddOptions::default() };
        let (time, added) = timed(|| add(&path, Additions::Arrays(&arrays), &changed, &()));
        added?;
        Ok(time)
    };

    let [mut adds, mut follows, mut searches, mut alls, mut deletes] = [const { Vec::new() }; 5];
    for passage in 0..options.singles {
        let added = add_one(passage, AddOptions::default().policy)?;
        let (followed, generation) = timed(|| engine.refresh());
        generation?;
        let query = supply.query(passage)?;
        let (searched, output) = timed(|| engine.search_embeddings(&query, &one));
        let hit = output?.hits.swap_remove(0);
        assert_eq!(hit.id, id(passage), "a passage is found by its own tokens");
        adds.push(added);
        follows.push(followed);
        searches.push(searched);
        alls.push(added + followed + searched);
    }
    print("add one passage", &mut adds);
    print("follow", &mut follows);
    print("search", &mut searches);
    print("add + follow + search", &mut alls);

    look_up(&engine.snapshot().index().clone())?;
    by_open_engine(&engine, &supply, &folder, options)?;
    for passage in 0..options.singles {
        let (time, deleted) = timed(|| delete(&path, &[id(passage)], false));
        deleted?;
        deletes.push(time);
    }
    print("delete one id", &mut deletes);

    let path = copied(options, "hundred")?;
    let mut passage = options.singles;
    while Index::open(&path, Check::Structure)?.segments().len() < SEGMENTS {
        let arrays = supply.write(&folder, std::iter::once((passage, id(passage))))?;
        add(&path, Additions::Arrays(&arrays), &AddOptions { policy: None, ..AddOptions::default() }, &())?;
        passage += 1;
    }
    let (mut opens, mut engines) = (Vec::new(), Vec::new());
    for _ in 0..OPENINGS {
        let (time, index) = timed(|| Index::open(&path, Check::Structure));
        index?;
        opens.push(time);
        let (time, engine) = timed(|| Engine::open(&path, OpenOptions::default()));
        engine?;
        engines.push(time);
    }
    print("open the index of 100 segments", &mut opens);
    print("open it to search", &mut engines);
    Ok(())
}

/// Adds and deletes passages by the engine that searches.
fn by_open_engine(engine: &Engine, supply: &Supply, folder: &Path, options: &Options) -> Result<()> {
    let id = |passage: usize| format!("opened-{passage}");
    let (mut adds, mut deletes) = (Vec::new(), Vec::new());
    for passage in 0..options.singles {
        let arrays = supply.write(folder, std::iter::once((passage, id(passage))))?;
        let (time, added) = timed(|| engine.add(Additions::Arrays(&arrays), &AddOptions::default(), &()));
        added?;
        adds.push(time);
        assert!(engine.snapshot().index().pid(&id(passage))?.is_some(), "the engine follows");
    }
    for passage in 0..options.singles {
        let (time, deleted) = timed(|| engine.delete(&[id(passage)], false));
        deleted?;
        deletes.push(time);
    }
    print("add and follow, by an open engine", &mut adds);
    print("delete and follow, by an open engine", &mut deletes);
    Ok(())
}

/// Looks up ids that are spread over the index, both ways.
fn look_up(index: &Index) -> Result<()> {
    let (mut ids, mut pids) = (Vec::new(), Vec::new());
    for lookup in 0..LOOKUPS {
        let pid = (lookup as u64 * 7919 * 104_729 % u64::from(index.num_pids())) as u32;
        let (time, id) = timed(|| index.id(pid));
        ids.push(time);
        let id = id?;
        let (time, found) = timed(|| index.pid(&id));
        pids.push(time);
        assert_eq!(found?, Some(pid), "{id}");
    }
    print("id of a passage", &mut ids);
    print("passage of an id", &mut pids);
    Ok(())
}
