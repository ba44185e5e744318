//! The forward pass of a loaded checkpoint: one interface to both executors.
//!
//! In: a [`Batch`]. Out: in `scratch.x`, hidden states (N, H) or embeddings (N, D) of the kept tokens, in the batch's
//! order.

use selvedge_backend::Cpu;

use crate::batch::Batch;
#[cfg(feature = "candle")]
use crate::candle::Candle;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::fingerprint::Fingerprint;
use crate::models::{AnyConfig, Arithmetic, Precision, Scratch, Transformer};
use crate::options::LoadOptions;
use crate::projection::Projection;
use crate::shipped;
use crate::text_rules::TextRules;
use crate::weights::Weights;

/// Transformer and projection with their weights, as loaded by an executor.
pub(crate) enum Forward {
    /// This crate's own layers.
    Own { transformer: Transformer, projection: Projection },
    /// candle's models.
    #[cfg(feature = "candle")]
    Candle(Candle),
}

/// Executor and number format of a checkpoint to be loaded, checked to fit each other and this build.
pub(crate) enum Loading {
    Own(Arithmetic),
    #[cfg(feature = "candle")]
    Candle(crate::CandleDevice, candle_core::Device),
}

impl Loading {
    /// Checks the executor and opens its device.
    pub(crate) fn new(model: &str, options: &LoadOptions) -> Result<Self> {
        match options.executor {
            Executor::Own => {
                let default = default_precision(model);
                let precision = options.precision.unwrap_or(default);
                Ok(Self::Own(Arithmetic { cpu: Cpu::new()?, precision }))
            }
            Executor::Candle(_) if options.precision == Some(Precision::Int8) => Err(Error::CandleInt8),
            #[cfg(feature = "candle")]
            Executor::Candle(device) => Ok(Self::Candle(device, crate::candle::open(device)?)),
            #[cfg(not(feature = "candle"))]
            Executor::Candle(_) => Err(Error::NoCandle),
        }
    }

    pub(crate) fn executor(&self) -> Executor {
        match self {
            Self::Own(_) => Executor::Own,
            #[cfg(feature = "candle")]
            Self::Candle(device, _) => Executor::Candle(*device),
        }
    }

    pub(crate) fn precision(&self) -> Precision {
        match self {
            Self::Own(arithmetic) => arithmetic.precision,
            #[cfg(feature = "candle")]
            Self::Candle(..) => Precision::F32,
        }
    }

    /// Loads the weights; returns the forward pass and D.
    pub(crate) fn load(
        self,
        config: AnyConfig,
        files: &Checkpoint,
        text_rules: &TextRules,
        fingerprint: &mut Fingerprint,
    ) -> Result<(Forward, usize)> {
        match self {
            Self::Own(arithmetic) => {
                let config = config.own(&files.describe("config.json"))?;
                let hidden = config.hidden();
                let transformer = config.load(&mut Weights::open(files, "", Some(&mut *fingerprint))?, arithmetic)?;
                let exact = Arithmetic { precision: Precision::F32, ..arithmetic };
                let (projection, dim) = Projection::load(files, &text_rules.projection, hidden, exact, fingerprint)?;
                Ok((Forward::Own { transformer, projection }, dim))
            }
            #[cfg(feature = "candle")]
            Self::Candle(_, device) => {
                let (candle, dim) = Candle::load(config, files, text_rules, device, fingerprint)?;
                Ok((Forward::Candle(candle), dim))
            }
        }
    }
}

/// Default number format: int8 for the shipped model, for which the loss of quality is measured
/// (`crates/encoder/README.md`); f32 for any other.
fn default_precision(model: &str) -> Precision {
    if model == shipped::NAME { Precision::Int8 } else { Precision::F32 }
}

impl Forward {
    /// Number of multiply-adds of the layers' products per token, attention excluded.
    pub(crate) fn multiply_adds(&self) -> usize {
        match self {
            Self::Own { transformer, .. } => transformer.multiply_adds(),
            #[cfg(feature = "candle")]
            Self::Candle(candle) => candle.multiply_adds(),
        }
    }

    /// Number of batches that are computed at the same time.
    pub(crate) fn max_workers(&self) -> usize {
        match self {
            Self::Own { .. } => rayon::current_num_threads(),
            #[cfg(feature = "candle")]
            Self::Candle(candle) => candle.max_workers(),
        }
    }

    /// Computes the last hidden states of the tokens that a batch keeps, (N, H), into `scratch.x`.
    pub(crate) fn hidden_states(&self, batch: &Batch, scratch: &mut Scratch) -> Result<()> {
        match self {
            Self::Own { transformer, .. } => transformer.forward(batch, scratch),
            #[cfg(feature = "candle")]
            Self::Candle(candle) => crate::candle::to_host(&candle.hidden_states(batch)?, &mut scratch.x),
        }
    }

    /// Computes the embeddings of the tokens that a batch keeps, (N, D), into `scratch.x`. Their norm is not yet 1 with
    /// the executor own.
    pub(crate) fn embeddings(&self, batch: &Batch, scratch: &mut Scratch) -> Result<()> {
        match self {
            Self::Own { transformer, projection } => {
                transformer.forward(batch, scratch)?;
                projection.forward(scratch);
                Ok(())
            }
            #[cfg(feature = "candle")]
            Self::Candle(candle) => crate::candle::to_host(&candle.embeddings(batch)?, &mut scratch.x),
        }
    }
}
