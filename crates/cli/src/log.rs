//! Messages on standard error: notes of the commands, and the library's log.
//!
//! Standard error may be full or closed; a message that cannot be written is dropped, never a failure.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// The environment variable that chooses what is logged, such as `debug` or `selvedge_encoder=debug,warn`.
const VARIABLE: &str = "SELVEDGE_LOG";

/// Writes a line to standard error, if it can be written.
macro_rules! note {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
pub(crate) use note;

/// Starts logging to standard error: warnings, more with each `-v`, errors alone with `-q`; [`VARIABLE`] overrules both.
pub(crate) fn start(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (_, 0) => LevelFilter::WARN,
        (_, 1) => LevelFilter::INFO,
        (_, 2) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let ours = Targets::new().with_target("selvedge", level).with_default(level.min(LevelFilter::WARN));
    let (filter, refused) = match std::env::var(VARIABLE).map(|words| words.parse::<Targets>()) {
        Ok(Ok(filter)) => (filter, None),
        Ok(Err(error)) => (ours, Some(error)),
        Err(_) => (ours, None),
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(verbose > 1)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .log_internal_errors(false);
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    if let Some(error) = refused {
        tracing::warn!("{VARIABLE} is ignored: {error}");
    }
}
