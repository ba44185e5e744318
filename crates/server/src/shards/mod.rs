//! A collection on several machines: the routes of a shard, and the router that asks all shards.
//!
//! ```text
//!                       ┌──> shard 0: replica, replica     encode (one), statistics (words), rank, output
//! request ──> router ───┼──> shard 1: replica              over pooled HTTP/2 connections, one fan-out per phase
//!                       └──> shard 2: replica, replica
//! ```
//!
//! `wire.rs` has the bodies that both sides share, `routes.rs` the routes of a shard. On the router's side,
//! `table.rs` has the shards and their replicas; `tables.rs` and `collections.rs` follow the files that name them.
//! `client.rs` sends one request to one replica, `call.rs` chooses replicas, hedges and retries, `pace.rs` has times
//! and rests, `fan.rs` asks all shards side by side, `query.rs` reads a search and `phases.rs` answers it, `front.rs`
//! has the routes, and `sums.rs` the descriptions of collections. Merging, and the budget of hedges, are
//! [`selvedge::shards`].

mod call;
mod client;
mod collections;
mod error;
mod fan;
mod front;
mod pace;
mod phases;
mod query;
pub(crate) mod routes;
mod sums;
mod table;
mod tables;
mod wire;

pub use front::{RouterConfig, route};
pub use table::Table;
pub use tables::Source;
