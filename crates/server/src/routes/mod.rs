//! The native API, `/v1`: one file per noun.

mod binary;
pub(crate) mod documents;
pub(crate) mod encode;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod indexes;
pub(crate) mod input;
pub(crate) mod operations;
pub(crate) mod search;
pub(crate) mod search_bodies;
pub(crate) mod tasks;
