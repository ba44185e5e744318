//! Codes and packed residuals of an index in ColBERT's terms: as they are, or made anew of decoded embeddings.

use crate::{Error, Result};
use selvedge_backend::{Backend, CodeReader, Cpu, RowCoding, WeightRule};
use selvedge_codec::levels::quantiles;
use selvedge_codec::pack;
use selvedge_index::Index;

/// Passages whose residuals the buckets are fitted to, at most.
const SAMPLE_PASSAGES: usize = 2000;
/// Components of residuals that the buckets are fitted to, at most.
const SAMPLE_COMPONENTS: usize = 1 << 22;
/// Largest distance of a decoded length from 1: ColBERT's formats hold unit vectors.
const UNIT_TOLERANCE: f32 = 0.1;

/// Numbers of the exported codec.
pub(super) struct Coding {
    pub(super) dim: usize,
    pub(super) nbits: u8,
    pub(super) centroids: Vec<f32>,
    pub(super) cutoffs: Vec<f32>,
    pub(super) weights: Vec<f32>,
}

impl Coding {
    pub(super) fn num_centroids(&self) -> usize {
        self.centroids.len() / self.dim
    }
}

/// Reader of an index's passages as codes and packed residuals.
pub(super) struct Coder<'a> {
    index: &'a Index,
    pub(super) coding: Coding,
    /// Bytes of ColBERT's bit order, by bytes with the same buckets in this project's.
    to_colbert: Vec<u8>,
    /// Segments in the memory of a backend, if embeddings are decoded.
    decoded: Option<(Cpu, Vec<<Cpu as Backend>::Passages>)>,
}

impl<'a> Coder<'a> {
    /// Chooses the way, and fits the buckets if they are made anew.
    pub(super) fn new(index: &'a Index, nbits: u8) -> Result<Self> {
        let codec = index.codec()?;
        let params = &codec.params;
        let mut centroids: Vec<f32> = params.centroids.iter().map(|&c| f32::from(c) * params.centroid_scale).collect();
        if params.rule == WeightRule::UnitNorm && params.coding == RowCoding::Buckets && params.weight_bits > 0 {
            let step = params.residual_weight_step / params.centroid_weight_step;
            let weights = params.levels.iter().map(|&level| f32::from(level) * step).collect();
            let coding =
                Coding { dim: params.dim, nbits: params.nbits, centroids, cutoffs: params.cutoffs.clone(), weights };
            return Ok(Self::of(index, coding, None));
        }
        if let Some(rotation) = params.rotation() {
            rotation.undo(&mut centroids);
        }
        centroids.chunks_exact_mut(params.dim).for_each(|row| _ = normalize(row));
        let backend = Cpu::new().map_err(selvedge_codec::Error::from)?;
        let resident = backend.load_codec(params.clone()).map_err(selvedge_codec::Error::from)?;
        let load = |segment: &selvedge_index::Segment| backend.load_passages(&resident, segment.passages.clone());
        let passages = index.segments().iter().map(load).collect::<Result<Vec<_>, _>>();
        let passages = passages.map_err(selvedge_codec::Error::from)?;
        let coding = Coding { dim: params.dim, nbits, centroids, cutoffs: Vec::new(), weights: Vec::new() };
        let mut coder = Self::of(index, coding, Some((backend, passages)));
        coder.fit()?;
        Ok(coder)
    }

    fn of(index: &'a Index, coding: Coding, decoded: Option<(Cpu, Vec<<Cpu as Backend>::Passages>)>) -> Self {
        let to_colbert = (0..=255u8).flat_map(|byte| pack::to_colbert(&[byte], coding.nbits)).collect();
        Self { index, coding, to_colbert, decoded }
    }

    pub(super) fn is_as_is(&self) -> bool {
        self.decoded.is_none()
    }

    /// Appends codes and packed residuals of a passage.
    pub(super) fn push(&self, pid: u32, codes: &mut Vec<u32>, residuals: &mut Vec<u8>) -> Result<()> {
        let (segment, tokens) = self.tokens(pid);
        let passages = &self.index.segments()[segment].passages;
        let params = &self.index.codec()?.params;
        let reader = CodeReader::new(&passages.codes, params.code_bits());
        let first = codes.len();
        codes.extend(tokens.clone().map(|token| reader.get(token)));
        if self.decoded.is_none() {
            let width = params.row_bytes();
            let rows = passages.residuals[tokens.start * width..tokens.end * width].chunks_exact(width);
            rows.for_each(|row| residuals.extend(pack::to_colbert(row, params.nbits)));
            return Ok(());
        }
        let rows = self.residuals_of(segment, tokens, &codes[first..])?;
        let per_byte = 8 / usize::from(self.coding.nbits);
        for components in rows.chunks_exact(per_byte) {
            // Buckets in this crate's planes of one byte are buckets of neighbours here.
            let bucket = |x: &f32| self.coding.cutoffs.partition_point(|cutoff| cutoff < x) as u8;
            let field = |(k, x)| bucket(x) << (k * usize::from(self.coding.nbits));
            let byte = components.iter().enumerate().map(field).fold(0, |byte, field| byte | field);
            residuals.push(self.to_colbert[usize::from(byte)]);
        }
        Ok(())
    }

    /// Segment of a passage, and its tokens there.
    fn tokens(&self, pid: u32) -> (usize, std::ops::Range<usize>) {
        let segments = self.index.segments();
        let at = segments.partition_point(|segment| segment.first_pid <= pid) - 1;
        (at, segments[at].passages.tokens((pid - segments[at].first_pid) as usize))
    }

    /// Decodes embeddings, scales them to unit length, and subtracts their centroids.
    fn residuals_of(&self, segment: usize, tokens: std::ops::Range<usize>, codes: &[u32]) -> Result<Vec<f32>> {
        let (backend, passages) = self.decoded.as_ref().expect("embeddings are decoded");
        let mut rows = backend.decompress(&passages[segment], tokens).map_err(selvedge_codec::Error::from)?;
        if let Some(rotation) = self.index.codec()?.params.rotation() {
            rotation.undo(&mut rows);
        }
        for (row, &code) in rows.chunks_exact_mut(self.coding.dim).zip(codes) {
            let length = normalize(row);
            if (length - 1.0).abs() > UNIT_TOLERANCE {
                let reason = format!("an embedding has length {length}; the format holds embeddings of length 1 alone");
                return Err(Error::Export { path: self.index.path().into(), reason });
            }
            let centroid = &self.coding.centroids[code as usize * self.coding.dim..][..self.coding.dim];
            row.iter_mut().zip(centroid).for_each(|(x, c)| *x -= c);
        }
        Ok(rows)
    }

    /// Fits the buckets to the residuals of some passages, evenly spread.
    fn fit(&mut self) -> Result<()> {
        let pids: Vec<u32> = self.index.pids().collect();
        let mut components = Vec::new();
        for &pid in pids.iter().step_by(pids.len().div_ceil(SAMPLE_PASSAGES).max(1)) {
            let (segment, tokens) = self.tokens(pid);
            let passages = &self.index.segments()[segment].passages;
            let reader = CodeReader::new(&passages.codes, self.index.codec()?.params.code_bits());
            let codes: Vec<u32> = tokens.clone().map(|token| reader.get(token)).collect();
            components.extend(self.residuals_of(segment, tokens, &codes)?);
            if components.len() >= SAMPLE_COMPONENTS {
                break;
            }
        }
        if components.is_empty() {
            return Err(Error::Export { path: self.index.path().into(), reason: "the index has no embedding".into() });
        }
        let levels = quantiles(self.coding.nbits, &mut components, 0.0);
        self.coding.weights = levels.levels.iter().map(|&level| f32::from(level) * levels.step).collect();
        self.coding.cutoffs = levels.cutoffs;
        Ok(())
    }
}

/// Scales a row to unit length, and returns its length.
fn normalize(row: &mut [f32]) -> f32 {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.iter_mut().for_each(|x| *x /= length.max(1e-12));
    length
}
