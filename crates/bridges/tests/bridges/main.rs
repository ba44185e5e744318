//! Foreign indexes, imported and compared with their libraries' own scores; and hostile ones, refused.

mod hostile;
mod import;
mod qdrant;
mod support;
mod vectors;
