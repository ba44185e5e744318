//! A loss of power, or a failing disk, at every single operation of a build and of a change.

use super::*;
use crate::storage::{Faulty, Memory, Plan, Storage, Survival};
use crate::{Check, verify_in};
use std::io::ErrorKind;
use std::sync::Arc;

/// Seeds of torn disks at each operation.
const SEEDS: u64 = 8;

/// A build or a change.
type Act = fn(Arc<dyn Storage>) -> Result<()>;

/// Disks that a crash may leave.
fn survivals() -> impl Iterator<Item = Survival> {
    [Survival::Kept, Survival::Dropped].into_iter().chain((0..SEEDS).map(Survival::Torn))
}

/// Builds a small index of three segments and four documents files.
fn build(storage: Arc<dyn Storage>) -> Result<()> {
    let codec = codec(8, 3, 2, 4);
    let passages = Passages::new(&codec.params, &[2, 0, 4, 1]);
    let mut writer = Writer::create_in(storage)?;
    writer.set_limits(crate::Limits { segment_tokens: 4, documents_bytes: 1 });
    for pid in 0..4 {
        writer.push_document(&document(pid))?;
    }
    writer.finish_documents()?;
    writer.set_codec(&codec)?;
    passages.push_to(&mut writer, &codec.params, 3)?;
    writer.spool()?.push(&[1.0])?;
    writer.finish(ManifestInfo::default()).map(drop)
}

/// Stores search parameters in the index.
fn change(storage: Arc<dyn Storage>) -> Result<()> {
    crate::commit::update(storage, |manifest| manifest.search = Some(1.into()))
}

/// Whether there is an index on a disk, and its search parameters; checks that it is sound.
fn state(disk: &Memory) -> Option<Option<serde_json::Value>> {
    let index = match Index::open_in(disk, Check::Checksums) {
        Ok(index) => index,
        Err(crate::Error::NoIndex { .. } | crate::Error::MissingFile { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    assert!(verify_in(disk).unwrap().is_sound());
    assert_eq!((index.num_passages(), index.segments().len()), (4, 3));
    Some(index.manifest().search.clone())
}

/// Runs `act` on the disk `before` with a crash at each operation, and once without; returns the number of cut points.
/// Each disk that a crash may leave must be in the state before or after, and the next writer must succeed on it.
fn crash_everywhere(before: &Memory, act: Act, next: Act) {
    let old = state(before);
    let sound = Faulty::new(before, Plan::Sound);
    act(Arc::new(sound.clone())).unwrap();
    let new = state(&sound.after_crash(Survival::Dropped));
    assert_ne!(old, new, "what was committed survives");
    for at in 0..=sound.num_ops() {
        let disk = Faulty::new(before, Plan::Crash(at));
        let result = act(Arc::new(disk.clone()));
        assert_eq!(result.is_ok(), at == sound.num_ops(), "operation {at}");
        for survival in survivals() {
            let after = disk.after_crash(survival);
            let found = state(&after);
            assert!(found == old || found == new, "operation {at}, {survival:?}: {found:?}");
            if found == old {
                next(Arc::new(after.clone())).unwrap_or_else(|error| panic!("operation {at}, {survival:?}: {error}"));
                assert_eq!(state(&after), new);
            }
            let names = after.list().unwrap();
            assert!(found == new || names.iter().all(|name| !name.starts_with('.')), "operation {at}: {names:?}");
        }
    }
}

#[test]
fn a_build_that_crashes_leaves_an_index_or_none() {
    crash_everywhere(&Memory::new(), build, build);
}

#[test]
fn a_change_that_crashes_is_made_or_not() {
    let built = Memory::new();
    build(Arc::new(built.clone())).unwrap();
    crash_everywhere(&built, change, change);
}

/// Each operation fails once, of a build and of a change: an error, and the storage is as it was.
#[test]
fn a_disk_that_fails_changes_nothing() {
    let built = Memory::new();
    build(Arc::new(built.clone())).unwrap();
    let cases: [(&Memory, Act); 2] = [(&Memory::new(), build), (&built, change)];
    for (before, act) in cases {
        let sound = Faulty::new(before, Plan::Sound);
        act(Arc::new(sound.clone())).unwrap();
        for at in 0..sound.num_ops() {
            for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
                let disk = Faulty::new(before, Plan::Fail(at, kind));
                let result = act(Arc::new(disk.clone()));
                let (after, old) = (disk.after_crash(Survival::Kept), state(before));
                match result {
                    // An operation whose failure does not matter, or the last sync, after which the index is there.
                    Ok(()) => assert_ne!(state(&after), old, "operation {at}"),
                    Err(_) => assert!(state(&after) == old || at + 2 >= sound.num_ops(), "operation {at}"),
                }
            }
        }
    }
}
