//! The server as its clients see it: over sockets, with bad input and bad manners.

#![allow(missing_docs, unreachable_pub)] // a test crate exports nothing

mod clients;
mod collection;
mod documents;
mod faults;
mod manners;
mod mcp;
mod page;
mod search;
mod shards;
mod support;
mod tables;
mod tls;
