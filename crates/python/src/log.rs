//! The engine's log as records of Python's `logging`, of the logger `selvedge_search`.
//!
//! Events wait in a list until a thread that holds the interpreter passes them on: no thread of the engine runs
//! Python's code.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Name of the logger.
const LOGGER: &str = "selvedge_search";
/// Largest number of events that wait; others are dropped.
const MOST_WAITING: usize = 1000;

static WAITING: Mutex<Vec<(u8, String)>> = Mutex::new(Vec::new());
static ANY_WAITING: AtomicBool = AtomicBool::new(false);
/// Level of the logger, in Python's numbers.
static LEVEL: AtomicUsize = AtomicUsize::new(30);

/// Starts to listen, the first time, and looks at the level of the logger.
pub(crate) fn start(py: Python<'_>) {
    static STARTED: Once = Once::new();
    // Another subscriber, that of the program in this process, stays.
    STARTED.call_once(|| drop(tracing::subscriber::set_global_default(Listener)));
    let level = || logger(py)?.call_method0("getEffectiveLevel")?.extract::<usize>();
    LEVEL.store(level().unwrap_or(30), Ordering::Relaxed);
}

/// Passes the events that wait on. A handler's exception ends here, as in `logging`; an interruption does not.
pub(crate) fn pass_on(py: Python<'_>) -> PyResult<()> {
    if !ANY_WAITING.swap(false, Ordering::Relaxed) {
        return Ok(());
    }
    let events = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
    for (level, message) in events {
        let logged = logger(py).and_then(|logger| logger.call_method1("log", (level, "%s", message)));
        if let Err(error) = logged
            && !error.is_instance_of::<PyException>(py)
        {
            return Err(error);
        }
    }
    Ok(())
}

fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("logging")?.call_method1("getLogger", (LOGGER,))
}

/// Python's number of a level.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = metadata.target().starts_with("selvedge");
        metadata.is_event() && is_ours && usize::from(number(*metadata.level())) >= LEVEL.load(Ordering::Relaxed)
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // The level changes with the logger's.
        tracing::subscriber::Interest::sometimes()
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_WAITING {
            waiting.push((number(*event.metadata().level()), text.0));
            ANY_WAITING.store(true, Ordering::Relaxed);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Message of an event, and its fields as `name=value`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}
