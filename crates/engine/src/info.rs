//! Description of an index as JSON, as `selvedge info --json` prints it.

use selvedge_index::{Generation, Index, SegmentEntry};
use serde_json::{Value, json};

/// Returns the contents of an index as a JSON object; `generations` are those that are on disk.
pub fn info(index: &Index, generations: &[Generation]) -> Value {
    let manifest = index.manifest();
    let codec = &manifest.codec;
    let tokens = index.num_tokens();
    let files = index.bytes_on_disk();
    let total: u64 = files.values().sum();
    let by_kind: serde_json::Map<String, Value> =
        files.iter().map(|(kind, bytes)| (kind.word().to_owned(), (*bytes).into())).collect();
    let segment = |entry: &SegmentEntry| {
        json!({
            "segment": entry.number,
            "passages": entry.num_alive(),
            "deleted": entry.count - entry.num_alive(),
            "tokens": entry.num_alive_tokens(),
            "bytes": entry.files().map(|(_, file)| file.bytes).sum::<u64>(),
            "drift": manifest.drift(entry),
        })
    };
    let segments: Vec<Value> = manifest.segments.iter().map(segment).collect();
    json!({
        "generation": index.generation(),
        "generations": generations,
        "passages": index.num_passages(),
        "deleted": index.num_pids() - index.num_passages(),
        "tokens": tokens,
        "segments": index.segments().len(),
        "by_segment": segments,
        "dim": codec.dim,
        "nbits": codec.nbits,
        "codec": codec.kind,
        "centroids": codec.num_centroids,
        "code_bits": codec.sizes().code_bits(),
        "scale_bits": codec.weight_bits,
        "encoder": manifest.encoder,
        "language": manifest.language,
        "build": manifest.build,
        "search": manifest.search,
        "format_version": selvedge_index::FORMAT_VERSION,
        "bytes": total,
        "bytes_by_file": by_kind,
        "bytes_per_vector": (tokens > 0).then(|| index.bytes_per_vector()),
    })
}
