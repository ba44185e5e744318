//! Layers of a transformer: multiply-adds per second, in f32 and in int8, for the rows of a query and of a batch. The
//! time in int8 includes rounding the inputs.

use crate::support::Bench;
use crate::support::data::{DIM, embeddings};
use crate::support::report::Work;
use selvedge_backend::cpu::{LinearF32, LinearInt8, RoundedRows};

/// Inputs and outputs: a layer of MiniLM-L6 and one of the shipped model.
const SHAPES: [(usize, usize); 2] = [(384, 1536), (128, 512)];
/// Inputs and outputs of the other layers, and of BERT's base size.
const MORE_SHAPES: [(usize, usize); 5] = [(384, 1152), (1536, 384), (768, 3072), (3072, 768), (512, 128)];
/// Rows of a query, and of a batch.
const ROWS: [usize; 2] = [32, 256];

pub fn run(bench: &mut Bench<'_>) {
    for (inputs, outputs) in bench.shapes(&SHAPES, &MORE_SHAPES) {
        for rows in ROWS {
            layer(bench, rows, inputs, outputs);
        }
    }
}

fn layer(bench: &mut Bench<'_>, rows: usize, inputs: usize, outputs: usize) {
    let numbers = embeddings((inputs * outputs).max(rows * inputs) / DIM, 10, 1);
    let (weight, x) = (&numbers[..inputs * outputs], &numbers[..rows * inputs]);
    let (mut y, mut rounded) = (vec![0.0; rows * outputs], RoundedRows::default());
    let macs = rows * inputs * outputs;
    let shape = format!("rows={rows} inputs={inputs} outputs={outputs}");
    for cpu in &bench.cpus() {
        if let Some(row) = bench.row("linear_f32", cpu, shape.clone()) {
            let (layer, work) = (LinearF32::new(cpu, inputs, weight), Work::f32(macs));
            row.time(cpu, work.units(), work, || layer.forward(x, &mut y));
        }
        if let Some(row) = bench.row("linear_int8", cpu, shape.clone()) {
            let (layer, work) = (LinearInt8::new(cpu, inputs, weight), Work::int8(macs));
            row.time(cpu, work.units(), work, || layer.forward(x, &mut y, &mut rounded));
        }
    }
}
