//! The limits of a GPU by small loops, each a line of JSON.

use selvedge_backend::Cuda;
use selvedge_backend::cuda::{Instruction, Latency, Work};
use std::io::Write;

/// Sizes of the work.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Bytes that are copied.
    pub copied: usize,
    /// Bytes in which rows are gathered: around the halves of an H200's L2, and a table of centroids as i16 and as i32.
    pub within: [usize; 3],
    /// Rounds of gathering, of products and of instructions, each a few milliseconds.
    pub rounds: [u32; 3],
    /// Times that each is measured, after once that is not.
    pub times: usize,
}

impl Sizes {
    /// Sizes for a GPU.
    pub const FULL: Self =
        Self { copied: 1 << 31, within: [8 << 20, 17 << 20, 34 << 20], rounds: [1000, 8192, 4096], times: 20 };
    /// Sizes that show only that everything runs.
    pub const TINY: Self = Self { copied: 1 << 16, within: [1 << 12, 1 << 14, 1 << 16], rounds: [1, 1, 1], times: 2 };
}

/// Bytes of gathered rows.
const ROW_BYTES: [usize; 3] = [32, 64, 128];
const LATENCIES: [(&str, Latency); 5] = [
    ("launch", Latency::Launch),
    ("launch_and_wait", Latency::LaunchAndWait),
    ("wait", Latency::Wait),
    ("graph_of_10_launches", Latency::GraphOfTen),
    ("upload_4096_bytes", Latency::Upload),
];

/// Measures all of it.
///
/// # Errors
/// The errors of the backend and of `out`.
pub fn run(cuda: &Cuda, sizes: Sizes, out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    let micro = cuda.micro(sizes.copied)?;
    let [gathered, multiplied, calculated] = sizes.rounds;
    // A copied byte is read and written.
    let mut all = vec![("copy".to_owned(), Work::Copy, 2 * sizes.copied, "B/s")];
    let products = micro.peak().num_products() * multiplied as usize;
    all.push(("mma_int8".into(), Work::Products(multiplied), products, "MAC/s"));
    for within in sizes.within {
        for row_bytes in ROW_BYTES {
            let work = Work::Gather { row_bytes, within, rounds: gathered };
            let name = format!("gather_rows_of_{row_bytes}_within_{within}");
            all.push((name, work, micro.bytes_of_gather() * gathered as usize, "B/s"));
        }
    }
    for instruction in Instruction::ALL {
        let work = Work::Integers(instruction, calculated);
        let amount = micro.num_instructions() * calculated as usize;
        all.push((instruction.name().into(), work, amount, "instructions of a thread/s"));
    }
    for (name, work, amount, unit) in all {
        let (median, least) = measured(sizes.times, || micro.seconds(work))?;
        let rate = amount as f64 / median;
        write!(out, r#"{{"name":"{name}","median_s":{median:e},"least_s":{least:e},"#)?;
        writeln!(out, r#""amount":{amount},"rate":{rate:e},"unit":"{unit}"}}"#)?;
    }
    for (name, call) in LATENCIES {
        let (median, least) = measured(sizes.times, || micro.latency(call))?;
        writeln!(out, r#"{{"name":"{name}","median_s":{median:e},"least_s":{least:e}}}"#)?;
    }
    Ok(())
}

/// Returns the median and the least of `times` measurements, after one that warms up.
fn measured<E>(times: usize, mut measure: impl FnMut() -> Result<f64, E>) -> Result<(f64, f64), E> {
    measure()?;
    let mut seconds = (0..times).map(|_| measure()).collect::<Result<Vec<f64>, E>>()?;
    seconds.sort_by(f64::total_cmp);
    Ok((seconds[times / 2], seconds[0]))
}
