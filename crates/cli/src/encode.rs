//! `selvedge encode`: embeddings of texts as NumPy arrays or safetensors.

use crate::args::EncodeArgs;
use crate::index::note_skipped;
use crate::log::note;
use crate::progress::Bars;
use crate::{Error, Result};
use selvedge::save::existing;
use selvedge::{Device, EncodeOptions, Encoder};
use selvedge_encoder::TextKind;

/// Encodes a collection or queries, and notes the counts.
pub(crate) fn encode(args: &EncodeArgs) -> Result<()> {
    if args.encode.device != Device::Cpu {
        let device = args.encode.device;
        return Err(Error::Usage(format!(
            "the model runs on the CPU, or where --executor says: leave --device {device} out"
        )));
    }
    if args.encode.query_maxlen.is_some() && !args.queries {
        return Err(Error::Usage("--query-maxlen needs --queries".into()));
    }
    let kind = if args.queries { TextKind::Query } else { TextKind::Passage };
    if let Some(path) = existing(&args.out, kind).filter(|_| !args.force) {
        return Err(Error::Usage(format!("{}: exists already; name another path, or --force", path.display())));
    }
    let encoder = Encoder::load(&args.model, &args.encode.load_options())?;
    let options = EncodeOptions { queries: args.queries, is_f32: args.f32, read: args.read.read_options() };
    let report = selvedge::encode(&args.input, &args.out, &encoder, &options, &Bars::default())?;
    note_skipped(&report.read);
    if report.truncated > 0 {
        note!("{} of {} texts are longer than the model reads; they are cut", report.truncated, report.texts);
    }
    note!("{}: {} texts, {} rows of {} dims", args.out.display(), report.texts, report.tokens, report.dim);
    Ok(())
}
