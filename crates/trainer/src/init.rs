//! New, small checkpoint whose token embeddings start as the teacher's embeddings of the single tokens.
//!
//! ```text
//! x = norm(word[id] + position[p]);  word[id] = the teacher's embedding of that token alone, position = 0
//! each layer: as in BERT, with weights near 0, so that at first its output is close to its input
//! ```
//!
//! Before the first step the model is a table of static embeddings; training adds the influence of a token's neighbors.
//! Its hidden width is the dimension D of the teacher's embeddings, and it has no projection. The format is that of
//! sentence-transformers.

use std::path::Path;

use candle_core::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_encoder::{Encoder, punctuation};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::params::{StoredAs, tensor, write_tensors};

/// Sizes and token rules of a new model.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// Number of layers, each of attention and a feed-forward network.
    pub layers: usize,
    /// Number of attention heads per layer, a divisor of the dimension of the teacher's embeddings.
    pub heads: usize,
    /// Width of a layer's feed-forward network.
    pub intermediate: usize,
    /// Maximum number of tokens of a query.
    pub query_maxlen: usize,
    /// Maximum number of tokens of a passage.
    pub passage_maxlen: usize,
    /// Tokens whose embeddings are dropped, in queries and in passages.
    pub skiplist: Vec<String>,
    /// Seed of the weights.
    pub seed: u64,
}

impl Default for InitOptions {
    /// Returns the options of one small layer, with ColBERT's query length and its skiplist for both kinds of text.
    fn default() -> Self {
        let (query_maxlen, passage_maxlen) = (32, 512);
        Self { layers: 1, heads: 4, intermediate: 256, query_maxlen, passage_maxlen, skiplist: punctuation(), seed: 42 }
    }
}

/// Standard deviation of the normal distribution that BERT draws its initial weights from.
const STD_DEV: f64 = 0.02;

/// Writes a new, small BERT checkpoint into `folder`, in the format of sentence-transformers.
///
/// Its embedding of each token starts as the teacher's embedding of that token alone, and has the same dimension. The
/// vocabulary is the teacher's without the tokens that English does not need: those with characters outside ASCII, and
/// BERT's unused ones.
///
/// # Errors
/// - [`Error::Heads`] if the number of heads does not divide the dimension of the teacher's embeddings.
/// - [`Error::NotWordPiece`] if the teacher's tokenizer is not WordPiece.
/// - [`Error::Encoder`] if the teacher cannot encode its vocabulary.
/// - [`Error::Io`] and [`Error::UnwritableWeights`] if a file cannot be written.
pub fn init(teacher: &Encoder, options: &InitOptions, folder: &Path) -> Result<()> {
    let dim = teacher.dim();
    if options.heads == 0 || !dim.is_multiple_of(options.heads) {
        return Err(Error::Heads { heads: options.heads, dim });
    }
    let vocabulary = teacher.pipeline().word_pieces();
    let vocabulary = vocabulary.ok_or_else(|| Error::NotWordPiece { model: teacher.model().to_owned() })?;
    let kept = (0..).zip(&vocabulary).filter(|(_, token)| is_kept(token));
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

/// Folder of the module that holds the skiplist.
const MASK: &str = "1_MultiVectorMask";

/// Returns whether a token is plain ASCII and not one of BERT's unused tokens, such as `[unused7]`.
fn is_kept(token: &str) -> bool {
    token.is_ascii() && !token.starts_with("[unused")
}

fn tokenizer_config(positions: usize) -> Value {
    json!({
        "tokenizer_class": "BertTokenizer", "do_lower_case": true, "model_max_length": positions, "cls_token": "[CLS]",
        "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]",
    })
}

/// Returns BERT's tensors with their names.
fn weights(
    words: Vec<f32>,
    num_tokens: usize,
    dim: usize,
    positions: usize,
    options: &InitOptions,
) -> Result<Vec<(String, Tensor)>> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    // The sum of 12 uniform numbers has variance 1 and is close enough to a normal distribution here.
    let mut normal = || STD_DEV as f32 * ((0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0);
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
    std::fs::create_dir_all(path.parent().expect("a file in the folder")).map_err(io)?;
    std::fs::write(path, text).map_err(io)
}
