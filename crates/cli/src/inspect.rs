//! `selvedge info` and `selvedge verify`: what an index holds, and whether its bytes are whole.

use crate::args::{InfoArgs, VerifyArgs};
use crate::{Error, Result, output};
use selvedge_index::{Check, Index};
use std::io::Write;

/// Prints what an index holds.
pub(crate) fn info(args: &InfoArgs) -> Result<()> {
    let index = Index::open(&args.index, Check::Structure)?;
    let info = output::info_json(&index);
    let mut out = std::io::stdout().lock();
    if args.json { output::print(writeln!(out, "{info}")) } else { output::info_text(&mut out, &info) }
}

/// Checks every byte of an index.
pub(crate) fn verify(args: &VerifyArgs) -> Result<()> {
    let report = selvedge_index::verify(&args.index)?;
    let mut out = std::io::stdout().lock();
    for file in &report.files {
        let state = file.status.as_ref().err().map_or("ok".to_owned(), |e| format!("BROKEN: {e}"));
        output::print(writeln!(out, "{:<24} {:>14} bytes  {state}", file.file.name(), file.bytes))?;
    }
    let broken = report.broken().count();
    if broken == 0 {
        Ok(())
    } else {
        Err(Error::Broken { path: args.index.clone(), broken, files: report.files.len() })
    }
}
