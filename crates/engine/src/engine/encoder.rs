//! The encoder of an engine: loaded by the first text that needs it, or shared with other engines.

use super::Engine;
use crate::Result;
use crate::queries::{check_encoder, encoder_of};
use selvedge_encoder::Encoder;
use std::sync::Arc;

impl Engine {
    /// Returns the encoder of queries, which is loaded by the first call.
    ///
    /// # Errors
    /// - [`Error::NoEncoder`](crate::Error::NoEncoder) if the index was made from embeddings and
    ///   [`OpenOptions::model`](crate::OpenOptions::model) names no encoder.
    /// - [`Error::StoredModel`](crate::Error::StoredModel) if the encoder that made the index does not load by the name
    ///   that the index stores.
    /// - [`Error::Encoder`](crate::Error::Encoder) if a named encoder does not load.
    /// - [`Error::OtherEncoder`](crate::Error::OtherEncoder) if its fingerprint is not the index's and
    ///   [`OpenOptions::any_model`](crate::OpenOptions::any_model) is not set.
    /// - [`Error::Search`](crate::Error::Search) if its dimension is not the index's.
    pub fn encoder(&self) -> Result<&Encoder> {
        self.shared_encoder().map(|encoder| &**encoder)
    }

    /// Returns the encoder of queries, as [`Engine::encoder`], for callers that share it.
    ///
    /// # Errors
    /// As [`Engine::encoder`].
    pub fn shared_encoder(&self) -> Result<&Arc<Encoder>> {
        if let Some(encoder) = self.encoder.get() {
            return Ok(encoder);
        }
        // If two threads load it at the same time, one of the two encoders is kept.
        let encoder = Arc::new(encoder_of(self.snapshot().index(), &self.options)?);
        Ok(self.encoder.get_or_init(|| encoder))
    }

    /// Uses an encoder that other engines have too, instead of loading one. An engine that has an encoder keeps it.
    ///
    /// # Errors
    /// [`Error::OtherEncoder`](crate::Error::OtherEncoder) if its fingerprint is not the index's and
    /// [`OpenOptions::any_model`](crate::OpenOptions::any_model) is not set, [`Error::Search`](crate::Error::Search) if
    /// its dimension is not the index's.
    pub fn share_encoder(&self, encoder: &Arc<Encoder>) -> Result<()> {
        check_encoder(self.snapshot().index(), encoder, self.options.any_model)?;
        self.encoder.get_or_init(|| Arc::clone(encoder));
        Ok(())
    }

    /// Returns the encoder of queries, if it is loaded.
    pub fn loaded_encoder(&self) -> Option<&Encoder> {
        self.encoder.get().map(|encoder| &**encoder)
    }
}
