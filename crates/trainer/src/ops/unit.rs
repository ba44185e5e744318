//! Rows of unit length: `y = x / |x|`, `dx = (dy - y <y, dy>) / |x|`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use selvedge_encoder::ops::dot;

use super::{tensor, values, with_values};
use crate::blocks::MIN_LENGTH;

/// Scales rows to unit length: (N, D) to (N, D).
pub(crate) fn unit(x: &Tensor) -> Result<Tensor> {
    x.apply_op1(Unit)
}

struct Unit;

impl CustomOp1 for Unit {
    fn name(&self) -> &'static str {
        "unit"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = xl.shape().dims2()?;
        let mut y = values(x, xl)?.to_vec();
        Arch::new().dispatch(Rows { x: &mut y, width, dy: None });
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, width) = x.dims2()?;
        let dx = with_values([x, dy], |[x, dy]| {
            let mut dx = x.to_vec();
            Arch::new().dispatch(Rows { x: &mut dx, width, dy: Some(dy) });
            dx
        })?;
        Ok(Some(tensor(dx, x)?))
    }
}

/// Rows `x`, which become the unit rows, or with `dy` the gradient of x.
struct Rows<'a> {
    x: &'a mut [f32],
    width: usize,
    dy: Option<&'a [f32]>,
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let min_square = (MIN_LENGTH * MIN_LENGTH) as f32;
        for (row, x) in self.x.chunks_exact_mut(self.width).enumerate() {
            let scale = 1.0 / (dot(x, x) + min_square).sqrt();
            x.iter_mut().for_each(|x| *x *= scale);
            if let Some(dy) = self.dy {
                let dy = &dy[row * self.width..][..self.width];
                let along = dot(x, dy);
                x.iter_mut().zip(dy).for_each(|(x, dy)| *x = (*dy - *x * along) * scale);
            }
        }
    }
}
