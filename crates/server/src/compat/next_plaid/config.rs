//! Settings of an index that next-plaid's clients give and read back.
//!
//! They are a file beside the settings of the index. Only `nbits` and `max_documents` have an effect here.

use super::unsupported;
use crate::error::{ApiError, Result};
use crate::served::Served;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;

/// Name of the file.
const FILE: &str = "next-plaid.json";

/// Settings of a new index.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub(super) struct PlaidConfigRequest {
    /// Bits per residual component, 4 by default.
    nbits: Option<u8>,
    /// No effect.
    batch_size: Option<usize>,
    /// No effect.
    seed: Option<u64>,
    /// No effect.
    start_from_scratch: Option<usize>,
    /// Number of documents above which the oldest are deleted.
    max_documents: Option<usize>,
    /// `unicode61`, which has no effect.
    fts_tokenizer: Option<String>,
    /// False.
    binary: bool,
}

/// Settings of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidConfig {
    /// Bits per residual component.
    pub(super) nbits: u8,
    /// No effect.
    batch_size: usize,
    /// No effect.
    seed: Option<u64>,
    /// No effect.
    start_from_scratch: usize,
    /// Number of documents above which the oldest are deleted.
    pub(super) max_documents: Option<usize>,
}

impl PlaidConfigRequest {
    /// The settings, if this server has them.
    pub(super) fn config(self) -> Result<PlaidConfig> {
        if self.binary {
            return Err(unsupported("binary is not supported; nbits 0 or 1 are the smallest indexes"));
        }
        if self.fts_tokenizer.is_some_and(|name| name != "unicode61") {
            return Err(unsupported("fts_tokenizer is unicode61 here"));
        }
        Ok(PlaidConfig {
            nbits: self.nbits.unwrap_or(4),
            batch_size: self.batch_size.unwrap_or(50_000),
            seed: self.seed,
            start_from_scratch: self.start_from_scratch.unwrap_or(999),
            max_documents: self.max_documents,
        })
    }
}

impl PlaidConfig {
    /// Reads the settings of an index; of one that was not declared over `/indices`, the defaults with its own `nbits`.
    pub(super) fn of(served: &Served) -> Result<Self> {
        let Some(home) = &served.home else { return Self::unsaved(served) };
        match std::fs::read(home.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(&error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::unsaved(served),
            Err(error) => Err(failed(&error)),
        }
    }

    fn unsaved(served: &Served) -> Result<Self> {
        let built = served.open().ok().map(|open| open.engine.snapshot().index().manifest().codec.nbits);
        PlaidConfigRequest { nbits: built.or(served.settings.nbits), ..PlaidConfigRequest::default() }.config()
    }

    /// Writes the settings; they appear whole.
    pub(super) fn save(&self, served: &Served) -> Result<()> {
        let Some(home) = &served.home else {
            return Err(unsupported(format!("index {:?} was made elsewhere; it has no settings here", served.name)));
        };
        let write = || {
            let new = home.join(format!("{FILE}.new"));
            let mut file = std::fs::File::create(&new)?;
            std::io::Write::write_all(&mut file, &serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(new, home.join(FILE))
        };
        write().map_err(|error| match error.kind() {
            // It was deleted meanwhile.
            ErrorKind::NotFound => ApiError::no_index(&served.name),
            _ => failed(&error),
        })
    }
}

fn failed(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::internal(format!("{FILE}: {error}"))
}
