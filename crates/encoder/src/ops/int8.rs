//! Products in int8, by the backend.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use selvedge_backend::cpu::Linear;

use super::values;

/// `x W^T`, both rounded; (N, in) to (N, out).
pub(crate) fn int8_product(x: &Tensor, weight: &Linear) -> Result<Tensor> {
    x.apply_op1_no_bwd(&Int8(weight))
}

struct Int8<'a>(&'a Linear);

impl CustomOp1 for Int8<'_> {
    fn name(&self) -> &'static str {
        "int8-product"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, _) = layout.shape().dims2()?;
        let mut y = vec![0.0; rows * self.0.outputs()];
        self.0.forward(values(x, layout)?, &mut y);
        Ok((CpuStorage::F32(y), Shape::from((rows, self.0.outputs()))))
    }
}
