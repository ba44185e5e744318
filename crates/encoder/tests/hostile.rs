//! Checkpoints whose settings claim sizes beyond memory or name files outside the checkpoint.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use safetensors::SafeTensors;
use selvedge_encoder::{Encoder, Error, LoadOptions};
use support::{copy, copy_folder, golden, load, replace};

#[test]
fn sizes_beyond_any_model_are_refused_with_their_value() {
    let many = "1000000000000000000";
    let refused = |case: &str, key: &str, from: &str, to: &str| {
        let dir = copy(case);
        replace(dir.path().join("config.json"), &format!("\"{key}\": {from}"), &format!("\"{key}\": {to}"));
        let error = load(&dir).unwrap_err();
        assert!(
            matches!(&error, Error::MalformedJson { path, reason }
            if path.ends_with("config.json") && reason.contains(&format!("\"{key}\" is {to}"))),
            "{error}"
        );
    };
    for (case, positions) in
        [("plain_bert", "52"), ("plain_distilbert", "52"), ("plain_xlm_roberta", "54"), ("plain_modernbert", "52")]
    {
        refused(case, "max_position_embeddings", positions, many);
        refused(case, "max_position_embeddings", positions, "1048577");
        refused(case, "max_position_embeddings", positions, "0");
    }
    for (case, key, width) in [
        ("plain_bert", "intermediate_size", "32"),
        ("plain_distilbert", "hidden_dim", "32"),
        ("plain_modernbert", "intermediate_size", "24"),
        ("plain_bert", "hidden_size", "24"),
    ] {
        refused(case, key, width, &usize::MAX.to_string());
    }
}

/// Files outside a checkpoint's folder are not read, even where they exist and fit.
#[test]
fn paths_that_lead_out_of_the_checkpoint_are_refused() {
    let dir = copy("pylate_bert");
    let root = dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    copy_folder(&golden("pylate_bert"), &root);
    let absolute = dir.path().join("1_Dense").display().to_string();
    for outside in ["../1_Dense", absolute.as_str(), "2_Dense/../../1_Dense"] {
        replace(root.join("modules.json"), "\"1_Dense\"", &format!("{outside:?}"));
        let error = Encoder::load(root.to_str().unwrap(), &LoadOptions::default()).unwrap_err();
        assert!(
            matches!(&error, Error::MalformedJson { path, reason }
            if path.ends_with("modules.json") && reason.contains(outside)),
            "{error}"
        );
        replace(root.join("modules.json"), &format!("{outside:?}"), "\"1_Dense\"");
    }

    std::fs::remove_file(root.join("model.safetensors")).unwrap();
    let weights = SafeTensors::deserialize(&std::fs::read(dir.path().join("model.safetensors")).unwrap())
        .unwrap()
        .names()
        .into_iter()
        .map(|name| (name.to_owned(), "../model.safetensors".into()))
        .collect::<serde_json::Map<_, _>>();
    let index = serde_json::json!({ "weight_map": weights });
    std::fs::write(root.join("model.safetensors.index.json"), index.to_string()).unwrap();
    let error = Encoder::load(root.to_str().unwrap(), &LoadOptions::default()).unwrap_err();
    assert!(
        matches!(&error, Error::MalformedJson { reason, .. } if reason.contains("../model.safetensors")),
        "{error}"
    );
}

/// The configuration claims more positions than memory holds, and queries are expanded to as many.
#[test]
fn a_query_is_not_expanded_beyond_memory() {
    let dir = copy("pylate_modernbert");
    let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["max_position_embeddings"] = 1_000_000_000_000_000_u64.into();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let settings = dir.path().join("config_sentence_transformers.json");
    let mut json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&settings).unwrap()).unwrap();
    json["query_length"] = 1_000_000_000_000_u64.into();
    std::fs::write(&settings, json.to_string()).unwrap();
    let error = load(&dir).unwrap_err();
    assert!(matches!(&error, Error::MalformedJson { reason, .. } if reason.contains("1000000000000000")), "{error}");

    // With the largest accepted number of positions, the length of the query is refused instead.
    config["max_position_embeddings"] = (1 << 20).into();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let error = load(&dir).unwrap_err();
    assert!(matches!(error, Error::MaxLength { requested: 1_000_000_000_000, most: 1_048_576, .. }), "{error}");
}

#[test]
fn any_number_of_tokens_is_a_batch() {
    let folder = golden("plain_bert");
    let with = |batch_tokens| {
        let options = LoadOptions { batch_tokens, passage_maxlen: Some(40), ..LoadOptions::default() };
        let encoder = Encoder::load(folder.to_str().unwrap(), &options).unwrap();
        encoder.encode_passages(&["the woven edge", "late interaction"]).unwrap()
    };
    // Both hold all texts in one batch.
    assert_eq!(with(Some(usize::MAX)), with(Some(256)));
}
