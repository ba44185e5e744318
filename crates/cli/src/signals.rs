//! Signals that end a process: the first one asks the command to stop and clean up, a second one ends it at once.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// The signal that was received; 0 for none.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Begins to listen. A signal that cannot be listened to keeps its usual effect.
pub(crate) fn listen() {
    let again = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the second signal of whatever kind ends the process before it is recorded.
        let _ = flag::register_conditional_default(signal, Arc::clone(&again));
        let _ = flag::register(signal, Arc::clone(&again));
        let _ = flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize);
    }
}

/// Whether a signal asked the process to end.
pub(crate) fn is_received() -> bool {
    RECEIVED.load(Ordering::Relaxed) != 0
}

/// Ends the process as the signal that was received would have, so that its parent sees which one; returns if there was
/// none.
pub(crate) fn end_as_asked() {
    let signal = RECEIVED.load(Ordering::Relaxed);
    if signal != 0 {
        let _ = low_level::emulate_default_handler(signal as i32);
    }
}
