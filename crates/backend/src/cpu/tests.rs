//! Tests of the CPU ops beside what the parity suite covers.
