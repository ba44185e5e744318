//! A transformer's layers: multiply-adds a second, one thread, at the shapes of MiniLM-L6, of BERT's base size and of the shipped
//! model, for a query's rows and for a batch's. In f32 and in int8, whose time has the rounding of its inputs in it.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::cpu::{LinearF32, LinearInt8, RoundedRows};
use support::{DIM, Work, bench, embeddings};

/// (inputs, outputs).
const SHAPES: [(usize, usize); 7] =
    [(384, 1152), (384, 1536), (1536, 384), (768, 3072), (3072, 768), (128, 512), (512, 128)];
/// A query's, a batch's.
const ROWS: [usize; 2] = [32, 256];

fn linear(c: &mut Criterion) {
    let mut group = c.benchmark_group("linear");
    group.sample_size(20);
    let numbers = embeddings(3072 * 768 / DIM, 10, 1);
    for (inputs, outputs) in SHAPES {
        let weight = &numbers[..inputs * outputs];
        for rows in ROWS {
            let x = &numbers[..rows * inputs];
            let (mut y, mut rounded) = (vec![0.0; rows * outputs], RoundedRows::default());
            let macs = rows * inputs * outputs;
            let throughput = Throughput::Elements(macs as u64);
            let what = |precision| format!("{precision}/{rows}x{inputs}x{outputs}");
            for cpu in &support::cpus() {
                let layer = LinearF32::new(cpu, inputs, weight);
                let work = Work::MultiplyAdds(macs);
                bench(&mut group, cpu, what("f32"), throughput.clone(), work, || layer.forward(x, &mut y));
                let layer = LinearInt8::new(cpu, inputs, weight);
                bench(&mut group, cpu, what("int8"), throughput.clone(), Work::Products(macs), || {
                    layer.forward(x, &mut y, &mut rounded);
                });
            }
        }
    }
}

criterion_group!(benches, linear);
criterion_main!(benches);
