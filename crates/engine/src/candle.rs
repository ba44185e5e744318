//! Embeddings from candle to the search, on one GPU.
//!
//! In: a tensor on a GPU, such as [`Encoder::encode_queries_on_device`](crate::Encoder::encode_queries_on_device)
//! returns. Out: [`DeviceEmbeddings`] for a [`Queue`](crate::Queue) of a searcher on the same GPU. Nothing passes
//! through the host.

use crate::cuda::{Cuda, DeviceEmbeddings, DeviceFloat};
use crate::{Error, Result};
use candle_core::cuda_backend::CudaDType;
use candle_core::{CudaStorage, DType, Storage, Tensor};
use std::ops::Range;

/// Copies a tensor `(Q, D)` of f32, f16 or bf16 on the device, after the work that writes it.
///
/// Call this on the thread that has launched that work: a stream of candle belongs to a thread.
///
/// # Errors
/// [`Error::Tensor`] if the tensor is not on a GPU, or has another type; [`Error::Backend`] if it is on another GPU, or
/// the device fails.
pub fn copy_of(gpu: &Cuda, tensor: &Tensor) -> Result<DeviceEmbeddings<'static>> {
    let tensor = tensor.contiguous().map_err(refused)?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        return Err(Error::Tensor { reason: "it is not on an NVIDIA GPU".into() });
    };
    let (start, end) = layout.contiguous_offsets().expect("a contiguous tensor");
    match tensor.dtype() {
        DType::F32 => copy::<f32>(gpu, storage, start..end),
        DType::F16 => copy::<half::f16>(gpu, storage, start..end),
        DType::BF16 => copy::<half::bf16>(gpu, storage, start..end),
        other => Err(Error::Tensor { reason: format!("components of {other:?}; f32, f16 or bf16 is needed") }),
    }
}

fn copy<T: CudaDType + DeviceFloat>(
    gpu: &Cuda,
    storage: &CudaStorage,
    range: Range<usize>,
) -> Result<DeviceEmbeddings<'static>> {
    let slice = storage.as_cuda_slice::<T>().map_err(refused)?;
    Ok(gpu.copy_of(&slice.slice(range), &storage.device.cuda_stream())?)
}

fn refused(error: candle_core::Error) -> Error {
    Error::Tensor { reason: error.to_string() }
}
