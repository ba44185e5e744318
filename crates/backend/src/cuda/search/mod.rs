//! Whole searches on a GPU: `DeviceIndex`.
//!
//! | file | what |
//! |---|---|
//! | `index.rs` | an index in device memory: its segments as one array, and sets of passages as bitmaps |
//! | `hits.rs` | the hits of a search that stay in device memory |
//! | `recipe.rs`, `arena.rs` | the launches of a search; their buffers |
//! | `lane.rs` | the means of a search: a stream, device memory, pinned memory, and recorded launches |
//! | `places.rs` | pinned memory, a place for each query between two waits |
//! | `batch.rs` | several queries at once, of all passages |
//! | `certificate.rs`, `survivors.rs` | the bound that makes their results exact; the passages that it leaves |
//! | `lanes.rs` | the lanes of a device, which its callers share |
//!
//! A search is one copy to the device, one graph of at most 13 launches, one copy from it and one wait, whatever the
//! number of segments. A batch over all passages decodes them once, launch by launch, and leaves few of them to score.

mod arena;
mod batch;
mod certificate;
mod hits;
mod index;
mod lane;
mod lanes;
mod places;
mod recipe;
mod survivors;

#[cfg(test)]
pub(in crate::cuda) use certificate::tests::{a_certificate_without_memory_is_none, the_device_measures_and_sums};
pub use hits::{DeviceHits, LastingEmbeddings};
pub use index::LoadedIndex;
pub(super) use lanes::Lanes;
pub(in crate::cuda) use recipe::{CONSTANTS, PART_PASSAGES};
