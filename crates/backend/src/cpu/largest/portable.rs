//! `largest` in plain Rust.

use super::{CHUNK, LEAST};

/// Appends the columns of each row of `products (n, width) i32`.
#[inline(always)]
pub(super) fn run(products: &[i32], width: usize, keep: usize, columns: &mut Vec<u32>) {
    let (mut maxima, mut values, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for row in products.chunks_exact(width) {
        let (whole, rest) = row.as_chunks::<CHUNK>();
        maxima.clear();
        maxima.extend(whole.iter().map(|chunk| chunk.iter().fold(i32::MIN, |max, &x| max.max(x))));
        maxima.extend(rest.iter().max());
        // As many chunks have a product that is not below the floor, so none below it is among the largest.
        let floor = if maxima.len() > keep { bound(&maxima, keep) } else { LEAST };
        values.clear();
        found.clear();
        for (chunk, _) in maxima.iter().enumerate().filter(|&(_, &max)| max >= floor) {
            let columns = chunk * CHUNK..width.min((chunk + 1) * CHUNK);
            for (&value, column) in row[columns.clone()].iter().zip(columns) {
                if value >= floor {
                    values.push(value);
                    found.push(column as u32);
                }
            }
        }
        if values.len() <= keep {
            columns.extend_from_slice(&found);
            continue;
        }
        let least = bound(&values, keep);
        let mut ties = keep - values.iter().map(|&x| usize::from(x > least)).sum::<usize>();
        for (&value, &column) in values.iter().zip(&found) {
            if value > least {
                columns.push(column);
            } else if value == least && ties > 0 {
                columns.push(column);
                ties -= 1;
            }
        }
    }
}

/// The largest bound that at least `keep` values reach: the `keep`-th largest of them.
#[inline(always)]
fn bound(values: &[i32], keep: usize) -> i32 {
    let mut low = values.iter().fold(i32::MAX, |min, &x| min.min(x));
    // One more than the largest; both are so far from the ends of i32 that their difference does not overflow.
    let mut high = values.iter().fold(i32::MIN, |max, &x| max.max(x)) + 1;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let count: i32 = values.iter().map(|&x| i32::from(x >= middle)).sum();
        if count as usize >= keep { low = middle } else { high = middle }
    }
    low
}
