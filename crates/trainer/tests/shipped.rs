//! The shipped model can be trained further: a student saves it unchanged.

#![allow(missing_docs)]

use selvedge_encoder::{Encoder, LoadOptions, Precision, shipped};
use selvedge_trainer::{StoredAs, Student};

#[test]
fn the_shipped_model_can_be_trained_further() {
    let student = Student::load(shipped::NAME, &LoadOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    student.save(folder.path(), StoredAs::F16).unwrap();
    let alike = LoadOptions { precision: Some(Precision::F32), ..LoadOptions::default() };
    let again = Encoder::load(folder.path().to_str().unwrap(), &alike).unwrap();
    let shipped = Encoder::load(shipped::NAME, &alike).unwrap();
    let texts = ["weights in f16 come back as they were"];
    assert_eq!(again.encode_passages(&texts).unwrap(), shipped.encode_passages(&texts).unwrap());
    // int8 is the default of the shipped model alone, whose loss in int8 is measured.
    let of = |model: &str| Encoder::load(model, &LoadOptions::default()).unwrap().precision();
    assert_eq!([shipped::NAME, folder.path().to_str().unwrap()].map(of), [Precision::Int8, Precision::F32]);
}
