//! Tests of the crate, in one program.

mod damage;
mod scores;
mod search;
mod support;
