//! A new, small checkpoint: the teacher's words, each beginning with what the teacher makes of it alone.
//!
//! ```text
//! x = norm(word[id] + position[p]);  word[id] = the teacher's embedding of that token alone, position = 0
//! each layer: as BERT's, with weights near 0, so that at first its output is its input
//! ```
//!
//! So before a single step it is a table of static embeddings, and what training adds is what a word's neighbours make of
//! it. It is as wide as the teacher's embeddings (D) and has no projection. Format: sentence-transformers.

use std::path::Path;

use candle_core::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_encoder::{Encoder, punctuation};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::params::{StoredAs, tensor, write_tensors};

/// Sizes and rules of a new model.
#[derive(Debug, Clone)]
pub struct FreshOptions {
    /// Blocks of attention and two products.
    pub layers: usize,
    /// Heads of a block's attention; they divide D.
    pub heads: usize,
    /// Width between a block's two products.
    pub intermediate: usize,
    /// Tokens of a query at most.
    pub query_maxlen: usize,
    /// Tokens of a passage at most.
    pub passage_maxlen: usize,
    /// Tokens that neither queries nor passages keep.
    pub skiplist: Vec<String>,
    /// Seed of the weights.
    pub seed: u64,
}

impl Default for FreshOptions {
    /// One small layer, ColBERT's length of queries, its skiplist for both kinds of text.
    fn default() -> Self {
        let (query_maxlen, passage_maxlen) = (32, 512);
        Self { layers: 1, heads: 4, intermediate: 256, query_maxlen, passage_maxlen, skiplist: punctuation(), seed: 42 }
    }
}

/// What BERT begins its weights with: a normal distribution of this width.
const WIDTH: f64 = 0.02;

/// Writes such a checkpoint into `folder`.
///
/// The vocabulary is the teacher's without what English does not need: tokens beyond ASCII, and BERT's unused ones.
///
/// # Errors
/// [`Error::NotWordPiece`], [`Error::Heads`], what the file system says.
pub fn fresh(teacher: &Encoder, options: &FreshOptions, folder: &Path) -> Result<()> {
    let dim = teacher.dim();
    if options.heads == 0 || !dim.is_multiple_of(options.heads) {
        return Err(Error::Heads { heads: options.heads, dim });
    }
    let vocabulary = teacher.pipeline().word_pieces();
    let vocabulary = vocabulary.ok_or_else(|| Error::NotWordPiece { model: teacher.model().to_owned() })?;
    let kept = (0..).zip(&vocabulary).filter(|(_, token)| is_wanted(token));
    let (ids, tokens): (Vec<u32>, Vec<&str>) = kept.map(|(id, token): (u32, _)| (id, token.as_str())).unzip();
    let words = teacher.encode_tokens(ids)?.data;
    let positions = options.query_maxlen.max(options.passage_maxlen);
    let config = json!({
        "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        "hidden_size": dim, "intermediate_size": options.intermediate, "max_position_embeddings": positions,
        "num_attention_heads": options.heads, "num_hidden_layers": options.layers, "pad_token_id": 0,
        "type_vocab_size": 1, "vocab_size": tokens.len(),
    });
    let module = |number: usize, path: &str, class: &str| {
        let class = format!("sentence_transformers.{class}");
        json!({ "idx": number, "name": number.to_string(), "path": path, "type": class })
    };
    let modules = json!([
        module(0, "", "base.modules.transformer.Transformer"),
        module(1, MASK, "multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"),
        module(2, "2_Normalize", "base.modules.normalize.Normalize"),
    ]);
    let mask = json!({
        "skiplist_words": options.skiplist, "skiplist_tasks": ["query", "document"], "keep_only_token_ids": null,
    });
    let normalize = json!({ "module_input_name": "token_embeddings", "module_output_name": "token_embeddings" });
    let settings = json!({
        "model_type": "MultiVectorEncoder", "prompts": { "query": "", "document": "" }, "default_prompt_name": null,
        "similarity_fn_name": null,
    });
    let lens = json!({
        "transformer_task": "feature-extraction", "module_output_name": "token_embeddings",
        "modality_config": { "text": { "method": "forward", "method_output_name": "last_hidden_state" } },
        "query_length": options.query_maxlen, "document_length": options.passage_maxlen,
    });
    write(&folder.join("vocab.txt"), &format!("{}\n", tokens.join("\n")))?;
    for (name, value) in [
        ("config.json", config),
        ("modules.json", modules),
        ("config_sentence_transformers.json", settings),
        ("sentence_bert_config.json", lens),
        ("tokenizer_config.json", tokenizer_config(positions)),
        (&format!("{MASK}/config.json"), mask),
        ("2_Normalize/config.json", normalize),
    ] {
        write(&folder.join(name), &format!("{value:#}\n"))?;
    }
    let weights = weights(words, tokens.len(), dim, positions, options)?;
    write_tensors(
        &folder.join("model.safetensors"),
        StoredAs::F32,
        weights.iter().map(|(name, value)| (name.clone(), value)),
    )
}

/// The folder of the skiplist.
const MASK: &str = "1_MultiVectorMask";

/// Plain ASCII, and no `[unused7]`.
fn is_wanted(token: &str) -> bool {
    token.is_ascii() && !token.starts_with("[unused")
}

fn tokenizer_config(positions: usize) -> Value {
    json!({
        "tokenizer_class": "BertTokenizer", "do_lower_case": true, "model_max_length": positions, "cls_token": "[CLS]",
        "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]",
    })
}

/// BERT's tensors, by their names.
fn weights(
    words: Vec<f32>,
    num_tokens: usize,
    dim: usize,
    positions: usize,
    options: &FreshOptions,
) -> Result<Vec<(String, Tensor)>> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    // A sum of twelve is as good as normal here.
    let mut normal = || WIDTH as f32 * ((0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0);
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), tensor(words, &[num_tokens, dim])?),
        ("embeddings.position_embeddings.weight".to_owned(), tensor(vec![0.0; positions * dim], &[positions, dim])?),
        ("embeddings.token_type_embeddings.weight".to_owned(), tensor(vec![0.0; dim], &[1, dim])?),
    ];
    let norm = |name: &str| -> Result<_> {
        Ok([
            (format!("{name}.weight"), tensor(vec![1.0; dim], &[dim])?),
            (format!("{name}.bias"), tensor(vec![0.0; dim], &[dim])?),
        ])
    };
    all.extend(norm("embeddings.LayerNorm")?);
    for layer in 0..options.layers {
        let wide = options.intermediate;
        let layer = format!("encoder.layer.{layer}");
        for (name, out, width) in [
            ("attention.self.query", dim, dim),
            ("attention.self.key", dim, dim),
            ("attention.self.value", dim, dim),
            ("attention.output.dense", dim, dim),
            ("intermediate.dense", wide, dim),
            ("output.dense", dim, wide),
        ] {
            let values = (0..out * width).map(|_| normal()).collect();
            all.push((format!("{layer}.{name}.weight"), tensor(values, &[out, width])?));
            all.push((format!("{layer}.{name}.bias"), tensor(vec![0.0; out], &[out])?));
        }
        all.extend(norm(&format!("{layer}.attention.output.LayerNorm"))?);
        all.extend(norm(&format!("{layer}.output.LayerNorm"))?);
    }
    Ok(all)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let io = |source| Error::Io { path: path.into(), source };
    std::fs::create_dir_all(path.parent().expect("it lies in the folder")).map_err(io)?;
    std::fs::write(path, text).map_err(io)
}
