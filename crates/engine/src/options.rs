//! Options of opening and of searching; `Default` is right for most programs.

use crate::Device;
use selvedge_encoder::LoadOptions;
use selvedge_search::{Mode, Search, SearchParams, Subset};
use std::sync::Arc;

/// The encoder that an opened index takes its queries from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// The one that made the index, where the index remembers it.
    #[default]
    OfIndex,
    /// A local folder or a hub id, which has to be the model that made the index.
    Named(String),
}

/// Options of [`Engine::open`](crate::Engine::open).
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The encoder of queries.
    pub model: Model,
    /// Whether an encoder of another fingerprint than the index remembers is taken, with a warning.
    pub any_model: bool,
    /// Options of loading the encoder; lengths that are not given are those of the index.
    pub encoder: LoadOptions,
    /// The device that scores passages. The encoder stays on the CPU.
    pub device: Device,
    /// Whether the encoder is loaded with the index rather than by the first text that needs it.
    pub load_model: bool,
}

/// Options of a search.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Number of results.
    pub k: usize,
    /// Whether every passage is scored: the ground truth of the index.
    pub exact: bool,
    /// Cells opened for each query token; by `k` and by what was tuned, where not given.
    pub nprobe: Option<usize>,
    /// Candidates ranked by their centroids.
    pub ndocs: Option<usize>,
    /// Candidates scored with their residuals.
    pub num_rescored: Option<usize>,
    /// Passages that may be found; all, where not given.
    pub subset: Option<Arc<Subset>>,
    /// Whether hits carry their text.
    pub text: bool,
    /// Whether hits carry their metadata.
    pub metadata: bool,
    /// Characters of the part of the text that matched best; none where not given.
    pub snippet: Option<usize>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            k: 10,
            exact: false,
            nprobe: None,
            ndocs: None,
            num_rescored: None,
            subset: None,
            text: false,
            metadata: false,
            snippet: None,
        }
    }
}

impl SearchOptions {
    /// The search's parameters: as given, or else as tuned on the index, or else the defaults.
    pub fn params(&self, search: &dyn Search) -> SearchParams {
        let mut params = if self.exact { SearchParams::exact(self.k) } else { search.params(self.k) };
        if let Mode::Approximate { nprobe, ndocs, num_rescored } = &mut params.mode {
            *nprobe = self.nprobe.unwrap_or(*nprobe);
            *ndocs = self.ndocs.unwrap_or(*ndocs);
            *num_rescored = self.num_rescored.unwrap_or(*num_rescored);
        }
        params
    }
}
