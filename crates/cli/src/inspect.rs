//! `selvedge info` and `selvedge verify`: the contents of an index, and a check of its files.

use crate::args::{InfoArgs, VerifyArgs};
use crate::{Error, Result, output};
use selvedge_index::{Check, Index, Report};
use std::io::Write;

/// Prints the contents of an index.
pub(crate) fn info(args: &InfoArgs) -> Result<()> {
    let index = Index::open(&args.index, Check::Structure)?;
    if args.columns {
        return output::columns(&mut std::io::stdout().lock(), &index.columns()?, args.json);
    }
    let mut generations = selvedge_index::generations_at(&args.index)?;
    let this = std::process::id();
    generations.iter_mut().for_each(|generation| generation.processes.retain(|&process| process != this));
    let info = selvedge::info(&index, &generations);
    let mut out = std::io::stdout().lock();
    if args.json { output::print(writeln!(out, "{info}")) } else { output::info_text(&mut out, &info) }
}

/// Checks every byte of an index, and prints the state of each file.
pub(crate) fn verify(args: &VerifyArgs) -> Result<()> {
    let report = selvedge_index::verify(&args.index)?;
    output::unless_closed(print_files(&mut std::io::stdout().lock(), &report))?;
    match report.broken().count() {
        0 => Ok(()),
        broken => Err(Error::Broken { path: args.index.clone(), broken, files: report.files.len() }),
    }
}

fn print_files(out: &mut impl Write, report: &Report) -> Result<()> {
    report.files.iter().try_for_each(|file| {
        let state = file.status.as_ref().err().map_or("ok".to_owned(), |e| format!("BROKEN: {e}"));
        output::print(writeln!(out, "{:<24} {:>14} bytes  {state}", file.file.name(), file.bytes))
    })
}
