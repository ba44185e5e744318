//! Resident query of the CPU: int8 rows, interleaved once for all tables and segments.

use super::{dots::Panels, levels};
use crate::{CheckedCodec, Isa, QuantizedQuery};

/// A rounded query, interleaved for an instruction set and the passages of one codec.
#[derive(Debug)]
pub struct Query {
    isa: Isa,
    nbits: u8,
    score_unit: f32,
    rounded: QuantizedQuery,
    /// Panels with components in their own order, as in centroids.
    in_order: Panels,
    /// Panels with components in the order in which residual rows are unpacked, if that order differs.
    as_unpacked: Option<Panels>,
}

impl Query {
    /// Interleaves `rounded`.
    ///
    /// # Panics
    /// If the codec has another dim, or a component is -128.
    pub(super) fn new(isa: Isa, codec: &CheckedCodec, rounded: QuantizedQuery) -> Self {
        assert_eq!(codec.dim, rounded.dim, "codec and query differ in dim");
        let in_order: Vec<Option<usize>> = (0..rounded.dim).map(Some).collect();
        let as_unpacked = levels::order(isa, codec);
        let panels = |order: &[Option<usize>]| Panels::in_order(isa, rounded.dim, &rounded.data, order);
        Self {
            isa,
            nbits: codec.nbits,
            score_unit: codec.score_unit(&rounded),
            as_unpacked: (as_unpacked != in_order).then(|| panels(&as_unpacked)),
            in_order: panels(&in_order),
            rounded,
        }
    }

    /// The query as int8 rows in their plain order, with their scale.
    pub fn rounded(&self) -> &QuantizedQuery {
        &self.rounded
    }

    /// Factor that turns an integer score into a real MaxSim score.
    pub(super) fn score_unit(&self) -> f32 {
        self.score_unit
    }

    /// Panels whose components are in their own order.
    ///
    /// # Panics
    /// If they were made for another instruction set or dim: bodies read as many lanes as their own registers have.
    pub(super) fn in_order(&self, isa: Isa, codec: &CheckedCodec) -> &Panels {
        assert_eq!(self.isa, isa, "a query is used with the instruction set that it was loaded for");
        assert_eq!(self.rounded.dim, codec.dim, "query and codec differ in dim");
        &self.in_order
    }

    /// Panels whose components are in the order of unpacked residual rows.
    ///
    /// # Panics
    /// As [`Self::in_order`], and if they were made for rows of other bits.
    pub(super) fn as_unpacked(&self, isa: Isa, codec: &CheckedCodec) -> &Panels {
        assert_eq!(self.nbits, codec.nbits, "query and passages differ in nbits");
        let in_order = self.in_order(isa, codec);
        self.as_unpacked.as_ref().unwrap_or(in_order)
    }
}
