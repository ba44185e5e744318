//! Foreign indexes, imported and compared with their libraries' own scores; and hostile ones, refused.

mod hostile;
mod import;
#[cfg(feature = "parquet")]
mod parquet;
mod qdrant;
mod support;
mod vectors;
