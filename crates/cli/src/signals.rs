//! Signals that end a process: the first one asks the command to stop and clean up, a second one ends it at once.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// Number of the signal that was received; 0 for none.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Begins to listen. A signal whose handler cannot be set keeps its default effect.
pub(crate) fn listen() {
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Handlers run in the order of registration. At the first signal the flag is still false and is then set; at
        // any later one it is true, and the process ends.
        let _ = flag::register_conditional_default(signal, Arc::clone(&is_second));
        let _ = flag::register(signal, Arc::clone(&is_second));
        let _ = flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize);
    }
}

/// Returns whether a signal asked the process to end.
pub(crate) fn is_received() -> bool {
    RECEIVED.load(Ordering::Relaxed) != 0
}

/// Ends the process by the default effect of the signal that was received, so that the parent process sees which one it
/// was. Returns if there was none.
pub(crate) fn end_by_signal() {
    let signal = RECEIVED.load(Ordering::Relaxed);
    if signal != 0 {
        let _ = low_level::emulate_default_handler(signal as i32);
    }
}
