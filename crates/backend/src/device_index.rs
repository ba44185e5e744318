//! Whole searches on a device: [`DeviceIndex`], which a backend makes of an index if it can search it without a step on
//! the host ([`Backend::load_index`](crate::Backend::load_index)).

use crate::{Embeddings, Pid, RawHit, Result};
use std::any::Any;
use std::sync::Arc;

/// Inverted lists of a segment, unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellLists {
    /// First entry of each list and the end of the last, `(K + 1) u64`.
    pub starts: Vec<u64>,
    /// Passages of the lists, by their pids within the segment; ascending in each list, without duplicates.
    pub pids: Vec<Pid>,
}

/// A segment of an index.
#[derive(Debug)]
pub struct IndexPart<P> {
    /// Passages of the segment, with their lists ([`Backend::load_lists`](crate::Backend::load_lists)).
    pub passages: Arc<P>,
    /// Pid of its first passage.
    pub first_pid: Pid,
}

/// Passages that are scored with their residuals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// All passages, or all of a set.
    Everything,
    /// The best of a set by approximate scores.
    Set {
        /// Number of these, at least 1.
        num_rescored: usize,
    },
    /// The best of the probed cells.
    Cells {
        /// Cells of each query token, at least 1.
        nprobe: usize,
        /// Candidates, the best by the probed cells, that get approximate scores; at least `num_rescored`.
        ndocs: usize,
        /// The best of these by approximate scores; at least 1.
        num_rescored: usize,
    },
}

/// A search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Number of results, at least 1.
    pub k: usize,
    /// Passages that are scored.
    pub route: Route,
}

impl Plan {
    /// Brings the numbers into their ranges for an index of `num_pids` pids, at least one.
    #[cfg(feature = "cuda")]
    pub(crate) fn within(self, num_pids: usize, num_centroids: usize) -> Self {
        let of_passages = |number: usize| number.clamp(1, num_pids);
        let route = match self.route {
            Route::Everything => Route::Everything,
            Route::Set { num_rescored } => Route::Set { num_rescored: of_passages(num_rescored) },
            Route::Cells { nprobe, ndocs, num_rescored } => Route::Cells {
                nprobe: nprobe.clamp(1, num_centroids),
                ndocs: of_passages(ndocs),
                num_rescored: of_passages(num_rescored).min(of_passages(ndocs)),
            },
        };
        Self { k: of_passages(self.k), route }
    }
}

/// Answer to one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The best passages, best first, by their pids in the index.
    pub hits: Vec<RawHit>,
    /// Factor that turns an integer score into a real MaxSim score.
    pub score_unit: f32,
    /// Number of candidates of the probed cells; 0 on other routes.
    pub candidates: usize,
    /// Number of candidates that were scored with their residuals; 0 if all passages are.
    pub rescored: usize,
    /// First component that is not finite, or larger than [`MAX_COMPONENT`], of embeddings that the host did not see:
    /// its number and value. The hits mean nothing then.
    pub refused: Option<(usize, f32)>,
}

/// Largest absolute value of a query's component. Embeddings have about unit length; from about 1e25 on, rotation and
/// scores would overflow f32.
pub const MAX_COMPONENT: f32 = 1e12;

/// A set of passages in a device's memory.
pub struct DeviceSet(pub(crate) Box<dyn Any + Send + Sync>);

impl std::fmt::Debug for DeviceSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceSet")
    }
}

/// An index in a device's memory.
///
/// # Panics
/// A method panics if a set is of another index.
pub trait DeviceIndex: Send + Sync {
    /// The index as the type that it is, whose own methods a caller may need.
    fn as_any(&self) -> &dyn Any;

    /// Whether searches by a route are answered here. Those by other routes are left to the single ops.
    fn answers(&self, route: &Route) -> bool;

    /// Whether the device reads these embeddings where they are.
    fn reads(&self, embeddings: &Embeddings<'_>) -> bool;

    /// Copies a set of passages into the device's memory: a bit for each pid of the index, lowest first.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`](crate::Backend).
    fn load_set(&self, bits: &[u32]) -> Result<DeviceSet>;

    /// Answers queries that are [read](Self::reads) where they are, each with at least one token, from the passages of
    /// `set`, or all; by a route that is [answered](Self::answers) here.
    ///
    /// A query has the hits that the single ops give one after another:
    /// [`quantize_query`](crate::Backend::quantize_query), [`centroid_table`](crate::Backend::centroid_table); for
    /// [`Route::Cells`] [`probe`](crate::Backend::probe), the best of the passages of these cells by the sum over the
    /// query's tokens of `max(0, entry - missing score)` of the best cell that has the passage; for both routes with
    /// candidates [`approx_scores`](crate::Backend::approx_scores); [`maxsim`](crate::Backend::maxsim) and
    /// [`top_k`](crate::Backend::top_k). Equal scores are in the order of pids at each stage.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`](crate::Backend).
    fn search(&self, queries: &[Embeddings<'_>], plan: &Plan, set: Option<&DeviceSet>) -> Result<Vec<Found>>;
}
