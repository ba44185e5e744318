//! An incremental hash over everything that changes an embedding.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Number of hex digits kept: 128 bits tell models apart and are short enough to print.
const HEX_DIGITS: usize = 32;

/// SHA-256 over named parts in a fixed order. Each part is hashed with its name and length, so that no two sequences of
/// parts give the same bytes.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        // Version of the scheme. It has to change when the arithmetic changes, or the meaning of a setting.
        let mut it = Self(Sha256::new());
        it.bytes("scheme", b"1");
        it
    }

    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.begin(name, bytes.len() as u64);
        self.more(bytes);
    }

    /// Starts a part of `len` bytes, which follow through [`Self::more`].
    pub(crate) fn begin(&mut self, name: &str, len: u64) {
        self.0.update((name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(len.to_le_bytes());
    }

    /// Adds the next bytes of the part that was started.
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
