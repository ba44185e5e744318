//! One generation of an index on a device.

use crate::device::on_device;
use crate::{Device, Error, Result};
use selvedge_index::{Check, Index};
use selvedge_search::{Search, Searcher, Subset};
use std::borrow::Cow;
use std::path::Path;

/// Size in bytes up to which all checksums of an index are verified when it is opened; that takes well under a second.
const CHECKED_BYTES: u64 = 1 << 30;

/// One generation of an index, loaded to a device. It stays as it is while writers commit others; pids are its own.
pub struct Snapshot {
    index: Index,
    search: Box<dyn Search>,
}

impl Snapshot {
    /// Opens the newest generation, and verifies its checksums if it is small.
    pub(crate) fn open(path: &Path, device: Device) -> Result<Self> {
        let index = Index::open(path, Check::Structure)?;
        let index = if is_small(&index) { Index::open(path, Check::Checksums)? } else { index };
        let search = on_device!(device, backend => {
            Ok::<_, Error>(Box::new(Searcher::new(backend, &index)?) as Box<dyn Search>)
        })?;
        Ok(Self { index, search })
    }

    /// Opens the newest generation if it is not this one. Only segments that this one lacks are read and loaded.
    pub(crate) fn followed(&self) -> Result<Option<Self>> {
        let check = if is_small(&self.index) { Check::Checksums } else { Check::Structure };
        let Some(index) = self.index.refreshed(check)? else { return Ok(None) };
        let search = self.search.followed(&index)?;
        Ok(Some(Self { index, search }))
    }

    /// Returns the open index, which holds the documents and the manifest.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Returns the searcher, whose results are pids and scores without ids and texts.
    pub fn searcher(&self) -> &dyn Search {
        &*self.search
    }

    /// Number of the generation; it grows with each commit.
    pub fn generation(&self) -> u32 {
        self.index.generation()
    }

    /// Passages that are not deleted, of a subset or of all; `None` if these are all pids.
    pub(crate) fn alive<'a>(&self, subset: Option<&'a Subset>) -> Option<Cow<'a, Subset>> {
        let num_pids = self.index.num_pids();
        if self.index.num_passages() == num_pids {
            return subset.map(Cow::Borrowed);
        }
        let local = subset.map(|subset| subset.local(0, num_pids as usize));
        let is_included = |pid: &u32| local.as_ref().is_none_or(|local| local.contains(*pid));
        let pids = self.index.pids().filter(is_included).collect();
        Some(Cow::Owned(Subset::new(pids, num_pids as usize).expect("pids of the index")))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, generation) = (self.index.path(), self.generation());
        f.debug_struct("Snapshot").field("path", &path).field("generation", &generation).finish_non_exhaustive()
    }
}

fn is_small(index: &Index) -> bool {
    index.bytes_on_disk().values().sum::<u64>() <= CHECKED_BYTES
}
