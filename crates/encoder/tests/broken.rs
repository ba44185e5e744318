//! Errors of damaged checkpoints, and weights of other types and in shards.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};
use selvedge_encoder::{Encoder, Error, LoadOptions, Precision};
use support::{copy, golden, load, replace};
use tempfile::TempDir;

/// Type, shape and bytes of a tensor.
type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// Rewrites the weights of a folder.
fn rewrite(dir: &Path, change: impl FnOnce(&mut BTreeMap<String, Stored>)) {
    let path = dir.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let stored = |view: TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
    let mut tensors = file.tensors().into_iter().map(|(name, view)| (name, stored(view))).collect();
    change(&mut tensors);
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, data))| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    serialize_to_file(views, None, &path).unwrap();
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let dir = copy("stanford_bert");
    rewrite(dir.path(), |tensors| drop(tensors.remove("bert.encoder.layer.1.attention.self.key.bias")));
    let error = load(&dir).unwrap_err();
    assert!(
        matches!(&error, Error::MissingTensor { path, name }
        if name == "bert.encoder.layer.1.attention.self.key.bias" && path.ends_with("model.safetensors")),
        "{error}"
    );

    let dir = copy("stanford_bert");
    rewrite(dir.path(), |tensors| drop(tensors.remove("linear.weight")));
    let error = load(&dir).unwrap_err();
    assert!(matches!(&error, Error::MissingTensor { name, .. } if name == "linear.weight"), "{error}");

    let dir = copy("stanford_bert");
    replace(dir.path().join("artifact.metadata"), "\"dim\": 16", "\"dim\": 32");
    let error = load(&dir).unwrap_err();
    assert!(
        matches!(&error, Error::ShapeMismatch { name, expected, found, .. }
        if name == "linear.weight" && expected == &[32, 24] && found == &[16, 24]),
        "{error}"
    );

    let dir = copy("plain_modernbert");
    replace(dir.path().join("config.json"), "\"intermediate_size\": 24", "\"intermediate_size\": 40");
    let error = load(&dir).unwrap_err();
    assert!(matches!(&error, Error::ShapeMismatch { name, .. } if name == "layers.0.mlp.Wi.weight"), "{error}");
}

#[test]
fn values_that_are_not_finite_are_named() {
    for bad in [f32::NAN, f32::INFINITY] {
        let dir = copy("pylate_bert");
        rewrite(&dir.path().join("1_Dense"), |tensors| {
            tensors.get_mut("linear.bias").unwrap().2[8..12].copy_from_slice(&bad.to_le_bytes());
        });
        let error = load(&dir).unwrap_err();
        assert!(
            matches!(&error, Error::NonFinite { path, tensor, index: 2 }
            if tensor == "linear.bias" && path.ends_with("1_Dense/model.safetensors")),
            "{error}"
        );
    }
}

#[test]
fn files_are_checked() {
    let dir = copy("plain_bert");
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    assert!(matches!(load(&dir).unwrap_err(), Error::MissingFile { path } if path.ends_with("tokenizer.json")));

    let dir = copy("plain_bert");
    let weights = dir.path().join("model.safetensors");
    std::fs::rename(&weights, dir.path().join("pytorch_model.bin")).unwrap();
    assert!(matches!(load(&dir).unwrap_err(), Error::PickledWeights { path } if path.ends_with("pytorch_model.bin")));

    let dir = copy("plain_bert");
    let weights = dir.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    let mut no_end = bytes.clone();
    no_end[..8].fill(0xff);
    let mut beyond = bytes.clone();
    beyond[..8].copy_from_slice(&(bytes.len() as u64 - 7).to_le_bytes());
    for broken in [&bytes[..bytes.len() - 100], &[&bytes[..], b"more"].concat(), &bytes[..5], &[], &no_end, &beyond] {
        std::fs::write(&weights, broken).unwrap();
        let error = load(&dir).unwrap_err();
        assert!(
            matches!(&error, Error::MalformedWeights { path, .. } if path.ends_with("model.safetensors")),
            "{error}"
        );
    }
    for header in [
        "no json",
        r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}"#,
        r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}"#,
        // Overlapping tensors.
        r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}"#,
    ] {
        std::fs::write(&weights, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat()).unwrap();
        let error = load(&dir).unwrap_err();
        assert!(matches!(&error, Error::MalformedWeights { .. }), "{header}: {error}");
    }

    let dir = copy("plain_bert");
    std::fs::write(dir.path().join("config.json"), "{").unwrap();
    assert!(matches!(load(&dir).unwrap_err(), Error::MalformedJson { .. }));

    let dir = copy("plain_bert");
    replace(dir.path().join("config.json"), "\"model_type\": \"bert\"", "\"model_type\": \"t5\"");
    assert!(matches!(load(&dir).unwrap_err(), Error::UnsupportedArchitecture { found, .. } if found == "t5"));

    for nowhere in ["./nowhere", "nowhere"] {
        let error = Encoder::load(nowhere, &LoadOptions::default()).unwrap_err();
        assert!(matches!(&error, Error::UnknownModel { .. }), "{error}");
    }
}

#[test]
fn sizes_that_cannot_be_computed_are_named() {
    let malformed = |case: &str, from: &str, to: &str, expected: &str| {
        let dir = copy(case);
        replace(dir.path().join("config.json"), from, to);
        let error = load(&dir).unwrap_err();
        assert!(
            matches!(&error, Error::MalformedJson { path, reason }
            if path.ends_with("config.json") && reason.contains(expected)),
            "{error}"
        );
    };
    malformed("plain_bert", "\"intermediate_size\": 32", "\"intermediate_size\": 0", "\"intermediate_size\" is 0");
    malformed("plain_distilbert", "\"hidden_dim\": 32", "\"hidden_dim\": 0", "\"hidden_dim\" is 0");
    malformed(
        "plain_modernbert",
        "\"intermediate_size\": 24",
        "\"intermediate_size\": 0",
        "\"intermediate_size\" is 0",
    );
    for (heads, components) in [(24, 1), (8, 3)] {
        let (heads, expected) =
            (format!("\"num_attention_heads\": {heads}"), format!("heads of {components} components"));
        malformed("plain_modernbert", "\"num_attention_heads\": 2", &heads, &expected);
    }
    let many = "1000000000000000000";
    for (case, key, layers) in [
        ("plain_bert", "num_hidden_layers", 2),
        ("plain_modernbert", "num_hidden_layers", 3),
        ("plain_distilbert", "n_layers", 2),
    ] {
        malformed(case, &format!("\"{key}\": {layers}"), &format!("\"{key}\": {many}"), many);
    }

    let dir = copy("pylate_bert");
    replace(dir.path().join("1_Dense/config.json"), "\"out_features\": 32", "\"out_features\": 0");
    assert!(matches!(load(&dir).unwrap_err(), Error::DimNotMultipleOf8 { dim: 0, .. }));

    // In f32 the next tensor has the wrong shape; in int8 a layer of that width is refused before.
    let wide = 1 << 16;
    let dir = copy("plain_bert");
    replace(dir.path().join("config.json"), "\"intermediate_size\": 32", &format!("\"intermediate_size\": {wide}"));
    rewrite(dir.path(), |tensors| {
        for (name, (_, shape, data)) in tensors.iter_mut().filter(|(name, _)| name.contains("intermediate")) {
            let width = if name.ends_with("weight") { 24 } else { 1 };
            shape[0] = wide;
            *data = vec![0; wide * width * 4];
        }
    });
    let options = LoadOptions { passage_maxlen: Some(40), precision: Some(Precision::Int8), ..LoadOptions::default() };
    let error = Encoder::load(dir.path().to_str().unwrap(), &options).unwrap_err();
    assert!(matches!(error, Error::TooWideForInt8 { width, most: 32_768 } if width == wide), "{error}");
    assert!(matches!(load(&dir).unwrap_err(), Error::ShapeMismatch { .. }));
}

#[test]
fn unsupported_features_are_refused() {
    let refused = |dir: &TempDir, expected: &str| {
        let error = load(dir).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { what, .. } if what == expected), "{error}");
    };
    let dir = copy("plain_modernbert");
    replace(dir.path().join("config.json"), "\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"");
    refused(&dir, "rope_type yarn");
    for scaling in [r#"{"type": "linear", "factor": 2.0}"#, r#"{"rope_type": "dynamic", "factor": 2.0}"#] {
        let dir = copy("plain_modernbert");
        replace(
            dir.path().join("config.json"),
            "\"hidden_size\"",
            &format!("\"rope_scaling\": {scaling}, \"hidden_size\""),
        );
        refused(&dir, if scaling.contains("linear") { "rope_type linear" } else { "rope_type dynamic" });
    }
    let dir = copy("plain_bert");
    let side = "\"truncation_side\": \"left\", \"cls_token\"";
    replace(dir.path().join("tokenizer_config.json"), "\"cls_token\"", side);
    refused(&dir, "truncation_side left");
}

#[test]
fn pointers_in_place_of_files_are_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 90864192\n";
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        let dir = copy("plain_bert");
        std::fs::write(dir.path().join(name), pointer).unwrap();
        let error = load(&dir).unwrap_err();
        assert!(matches!(&error, Error::LfsPointer { path } if path.ends_with(name)), "{error}");
        assert!(error.to_string().contains("git lfs pull"), "{error}");
    }
}

#[test]
fn settings_are_checked() {
    let dir = copy("pylate_bert");
    replace(
        dir.path().join("config_sentence_transformers.json"),
        "\"query_prefix\": \"[Q] \"",
        "\"query_prefix\": \"<q>\"",
    );
    assert!(matches!(load(&dir).unwrap_err(), Error::UnknownToken { token, .. } if token == "<q>"));

    let folder = golden("plain_bert");
    let with = |query, passage| {
        let options = LoadOptions { query_maxlen: query, passage_maxlen: passage, ..LoadOptions::default() };
        Encoder::load(folder.to_str().unwrap(), &options)
    };
    assert!(matches!(with(None, Some(53)).unwrap_err(), Error::MaxLength { requested: 53, most: 52, .. }));
    assert!(matches!(with(Some(2), None).unwrap_err(), Error::MaxLength { requested: 2, least: 3, .. }));

    let dir = copy("pylate_distilbert");
    replace(dir.path().join("1_Dense/config.json"), "\"out_features\": 24", "\"out_features\": 20");
    rewrite(&dir.path().join("1_Dense"), |tensors| {
        let weight = tensors.get_mut("linear.weight").unwrap();
        weight.1 = vec![20, 24];
        weight.2.truncate(20 * 24 * 4);
    });
    assert!(matches!(load(&dir).unwrap_err(), Error::DimNotMultipleOf8 { dim: 20, .. }));
}

/// Rewrites every tensor of a checkpoint's transformer with two bytes per value.
fn narrow(dir: &TempDir, dtype: Dtype, to: impl Fn(f32) -> [u8; 2]) {
    rewrite(dir.path(), |tensors| {
        for (kind, _, data) in tensors.values_mut() {
            *kind = dtype;
            *data = data.as_chunks::<4>().0.iter().flat_map(|bytes| to(f32::from_le_bytes(*bytes))).collect();
        }
    });
}

#[test]
fn half_weights_are_accepted() {
    let texts = ["the woven edge keeps a cloth from fraying", "late interaction"];
    let full = load(copy("plain_modernbert")).unwrap();
    let expected = full.encode_passages(&texts).unwrap();
    for (dtype, tolerance) in [(Dtype::F16, 1e-2), (Dtype::BF16, 6e-2)] {
        let dir = copy("plain_modernbert");
        narrow(&dir, dtype, |x| match dtype {
            Dtype::F16 => f16::from_f32(x).to_le_bytes(),
            _ => bf16::from_f32(x).to_le_bytes(),
        });
        let encoder = load(&dir).unwrap();
        let found = encoder.encode_passages(&texts).unwrap();
        assert_eq!(found.lens, expected.lens);
        let worst = found.data.iter().zip(&expected.data).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst < tolerance && worst > 0.0, "{dtype:?}: {worst}");
        assert_ne!(encoder.fingerprint(), full.fingerprint());
    }
}

#[test]
fn shards_are_one_checkpoint() {
    let dir = copy("plain_bert");
    let expected = load(&dir).unwrap();
    let bytes = std::fs::read(dir.path().join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut map = serde_json::Map::new();
    for shard in 0..2 {
        let name = format!("model-{shard}.safetensors");
        let part: Vec<_> = file.tensors().into_iter().filter(|(tensor, _)| tensor.len() % 2 == shard).collect();
        map.extend(part.iter().map(|(tensor, _)| (tensor.clone(), name.clone().into())));
        serialize_to_file(part, None, &dir.path().join(name)).unwrap();
    }
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let index = serde_json::json!({ "weight_map": map });
    std::fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    let sharded = load(&dir).unwrap();
    let texts = ["the woven edge"];
    assert_eq!(sharded.encode_passages(&texts).unwrap(), expected.encode_passages(&texts).unwrap());
    assert_eq!(sharded.fingerprint(), expected.fingerprint());
}

#[test]
fn the_fingerprint_follows_what_changes_vectors() {
    let original = load(copy("pylate_bert")).unwrap();
    assert_eq!(original.fingerprint(), load(copy("pylate_bert")).unwrap().fingerprint(), "it depends on the path");

    let shorter = LoadOptions { passage_maxlen: Some(20), ..LoadOptions::default() };
    let dir = copy("pylate_bert");
    let shorter = Encoder::load(dir.path().to_str().unwrap(), &shorter).unwrap();
    assert_eq!(original.fingerprint(), shorter.fingerprint(), "it depends on the caller's length");

    rewrite(&dir.path().join("2_Dense"), |tensors| tensors.get_mut("linear.weight").unwrap().2[0] ^= 1);
    assert_ne!(original.fingerprint(), load(&dir).unwrap().fingerprint(), "a bit of the weights is not covered");

    let dir = copy("pylate_bert");
    replace(dir.path().join("config_sentence_transformers.json"), "\"[D] \"", "\"[Q] \"");
    assert_ne!(original.fingerprint(), load(&dir).unwrap().fingerprint(), "the prefix token is not covered");
}
