//! Messages on standard error: notes and errors of the commands, and the library's log.
//!
//! Standard error may be full or closed. A message that cannot be written is dropped; it never fails a command.

use crate::output::printable;
use std::fmt::{self, Arguments};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// Environment variable with the filter of the log, such as `debug` or `selvedge_encoder=debug,warn`.
const VARIABLE: &str = "SELVEDGE_LOG";

/// Whether notes and progress bars are suppressed.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Writes a note to standard error, unless the program is quiet.
macro_rules! note {
    ($($words:tt)*) => { $crate::log::write_note(format_args!($($words)*)) };
}
pub(crate) use note;

/// Returns whether only errors are written.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Writes a line, unless the program is quiet: the function of [`note!`].
pub(crate) fn write_note(line: Arguments<'_>) {
    if !is_quiet() {
        write_error(line);
    }
}

/// Writes a line, even if the program is quiet. Names of files and models in it cannot control the terminal.
pub(crate) fn write_error(line: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{}", printable(&line.to_string()));
}

/// Format of the log: lines like the notes of the commands, such as `warning: what happened`.
struct Lines {
    /// Whether a line names the module that it comes from.
    has_targets: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Lines {
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        write!(line, "{level}: ")?;
        if self.has_targets {
            write!(line, "{}: ", event.metadata().target())?;
        }
        context.field_format().format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}

/// Starts the log: warnings, more with each `-v`, only errors with `-q`. [`VARIABLE`] overrides these levels. Lines
/// are text, or JSON.
pub(crate) fn start(verbose: u8, quiet: bool, is_json: bool) {
    IS_QUIET.store(quiet, Ordering::Relaxed);
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (_, 0) => LevelFilter::WARN,
        (_, 1) => LevelFilter::INFO,
        (_, 2) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let by_flags = Targets::new().with_target("selvedge", level).with_default(level.min(LevelFilter::WARN));
    let (filter, malformed) = match std::env::var(VARIABLE).map(|words| words.parse::<Targets>()) {
        Ok(Ok(filter)) => (filter, None),
        Ok(Err(error)) => (by_flags, Some(error)),
        Err(_) => (by_flags, None),
    };
    let registry = tracing_subscriber::registry();
    #[cfg(feature = "otel")]
    let registry = {
        let traces = crate::otel::layer().unwrap_or_else(|error| {
            write_error(format_args!("warning: traces are not exported: {error}"));
            None
        });
        registry.with(traces)
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if is_json {
        registry.with(layer.json().flatten_event(true).with_filter(filter)).init();
        return;
    }
    let layer = layer
        .event_format(Lines { has_targets: verbose > 1 })
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .log_internal_errors(false);
    registry.with(layer.with_filter(filter)).init();
    if let Some(error) = malformed {
        tracing::warn!("{VARIABLE} is ignored: {error}");
    }
}
