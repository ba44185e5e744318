//! A running hash over everything that changes an embedding.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Hex digits kept: 128 bits are plenty to tell models apart, and short enough to print.
const HEX_DIGITS: usize = 32;

/// Collects parts in a fixed order; each is hashed with its name and length, so parts cannot run into each other.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        // The scheme's own version: change it when the encoder's arithmetic or its settings change meaning.
        let mut it = Self(Sha256::new());
        it.bytes("scheme", b"1");
        it
    }

    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.begin(name, bytes.len() as u64);
        self.more(bytes);
    }

    /// A part whose `len` bytes come piece by piece, through [`Self::more`].
    pub(crate) fn begin(&mut self, name: &str, len: u64) {
        self.0.update((name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(len.to_le_bytes());
    }

    /// The next piece of the part that was begun.
    pub(crate) fn more(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn json(&mut self, name: &str, value: &impl Serialize) {
        let text = serde_json::to_string(value).expect("plain settings serialize");
        self.bytes(name, text.as_bytes());
    }

    pub(crate) fn finish(self) -> String {
        let digest = self.0.finalize();
        let mut hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.truncate(HEX_DIGITS);
        hex
    }
}
