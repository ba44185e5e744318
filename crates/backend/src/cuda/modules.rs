//! Kernels, compiled when they are first needed, and their launches.

use super::{
    calls::{self, CudaStream, Function, Image},
    constants,
    context::{Buffer, Context},
    cubins::{Cubins, Key},
    nvrtc::{CompileError, Nvrtc},
};
use crate::{Error, Result};
use bytemuck::Pod;
use selvedge_kernels::{Defines, Op};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

/// The parameters that a kernel is specialized for; those that [`Op::defines`] does not name are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KernelVariant {
    /// Components of an embedding.
    pub dim: usize,
    /// Bits of a component in a packed row.
    pub nbits: u8,
    /// Flag for rows that are coded by a trellis, not by buckets.
    pub trellis: bool,
}

impl KernelVariant {
    /// Variant of kernels without parameters.
    pub(super) const NONE: Self = Self { dim: 0, nbits: 0, trellis: false };

    /// Variant of kernels specialized for `dim`.
    pub(super) fn dim(dim: usize) -> Self {
        Self { dim, ..Self::NONE }
    }

    /// Variant of kernels specialized for a codec's dim, nbits and coding.
    pub(super) fn codec(codec: &crate::CodecParams) -> Self {
        let trellis = codec.nbits > 0 && matches!(codec.coding, crate::RowCoding::Trellis { .. });
        Self { dim: codec.dim, nbits: codec.nbits, trellis }
    }

    /// Returns the compiler's options for the kernels of `op` on GPUs of architecture `arch` (`sm_90`).
    pub fn compiler_options(self, op: Op, arch: &str) -> Vec<String> {
        let mut options = vec![format!("--gpu-architecture={arch}"), "--std=c++17".into()];
        options.extend(constants::defines(op));
        if op.defines() != Defines::None {
            options.push(format!("-DDIM={}", self.dim));
        }
        if op.defines() == Defines::Coding {
            options.push(format!("-DNBITS={}", self.nbits));
            options.push(format!("-DTRELLIS={}", u8::from(self.trellis)));
        }
        options
    }
}

/// The kernels of a device.
#[derive(Debug)]
pub(super) struct Modules {
    context: Arc<Context>,
    nvrtc: Nvrtc,
    architecture: String,
    /// Whether kernels for [`WGMMA`] alone are used.
    has_wgmma: bool,
    cubins: Cubins,
    loaded: Mutex<HashMap<(Op, KernelVariant), Arc<Module>>>,
}

/// A loaded CUBIN.
#[derive(Debug)]
struct Module {
    context: Arc<Context>,
    image: Image,
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Ok(entered) = self.context.enter() {
            // Errors of the launches are ignored here, because they belong to the ops that made them.
            _ = calls::synchronize(&entered, self.context.stream());
            // SAFETY: none of its kernels runs: every `Kernel` keeps its module loaded, so no more can be launched, and
            // earlier launches were waited for.
            unsafe { self.image.unload(&entered) };
        }
    }
}

/// The compute capability of `sm_90a`, and the first NVRTC that knows it.
const WGMMA: ((u32, u32), (u32, u32)) = ((9, 0), (12, 0));

/// `CUresult` in cuda.h for bytes that are not a CUBIN, or one for another architecture.
const INVALID_IMAGE: i32 = 200;
const NO_BINARY_FOR_GPU: i32 = 209;

/// A kernel that can be launched.
#[derive(Debug)]
pub(super) struct Kernel {
    module: Arc<Module>,
    function: Function,
    name: &'static str,
}

impl Modules {
    /// Kernels for the device of `context`, compiled by `nvrtc` and cached in `cubins`; without those that only one
    /// architecture has, if they shall be portable.
    ///
    /// # Errors
    /// [`Error::NoCudaDevice`] if the compiler is too old for the device.
    pub(super) fn new(context: Arc<Context>, nvrtc: Nvrtc, cubins: Cubins, is_portable: bool) -> Result<Self> {
        let device = context.device();
        let ((major, minor), (of, release)) = (device.capability, nvrtc.version());
        let too_old = || Error::NoCudaDevice {
            requested: device.ordinal,
            reason: format!(
                "NVRTC {of}.{release} ({}) does not support {}, of compute capability {major}.{minor}: a newer one \
                 is needed",
                nvrtc.path().display(),
                device.name
            ),
        };
        let architecture = nvrtc.architecture(device.capability).ok_or_else(too_old)?;
        let has_wgmma = !is_portable && device.capability == WGMMA.0 && nvrtc.version() >= WGMMA.1;
        Ok(Self { context, nvrtc, architecture, has_wgmma, cubins, loaded: Mutex::default() })
    }

    /// Whether the ops of `sm_90a` can be used.
    pub(super) fn has_wgmma(&self) -> bool {
        self.has_wgmma
    }

    /// Returns kernel `name` of an op, compiled for `variant`.
    ///
    /// # Errors
    /// [`Error::KernelCompile`] if the op does not compile, [`Error::Cuda`] if a call of the driver fails.
    pub(super) fn kernel(&self, op: Op, variant: KernelVariant, name: &'static str) -> Result<Kernel> {
        let module = self.module(op, variant)?;
        let function = module.image.function(&self.context.enter()?, name)?;
        Ok(Kernel { module, function, name })
    }

    fn module(&self, op: Op, variant: KernelVariant) -> Result<Arc<Module>> {
        // Parameters that the op ignores must not lead to modules of their own.
        let variant = match op.defines() {
            Defines::None => KernelVariant::NONE,
            Defines::Dim => KernelVariant::dim(variant.dim),
            Defines::Coding => variant,
        };
        if let Some(module) = self.loaded.lock().expect("no holder panics").get(&(op, variant)) {
            return Ok(Arc::clone(module));
        }
        // The lock is not held here: two threads that need the same module at once both compile it.
        let options = variant.compiler_options(op, op.architecture().unwrap_or(&self.architecture));
        let source = selvedge_kernels::source(op);
        let key = Key::new(&source, &options, self.nvrtc.version());
        let compile = || self.nvrtc.compile(op.name(), &source, &options).map(|compiled| compiled.cubin);
        let get = || self.cubins.get_or_compile(&key, compile).map_err(|error| refused(op, error));
        let module = match self.load(&get()?) {
            Ok(module) => module,
            // The driver rejects the cached CUBIN, whatever wrote it: compile again. Any other error says nothing about
            // the file.
            Err(Error::Cuda { code: INVALID_IMAGE | NO_BINARY_FOR_GPU, .. }) => {
                self.cubins.remove(&key);
                self.load(&get()?)?
            }
            Err(error) => return Err(error),
        };
        let module = Arc::new(module);
        // If another thread has stored the same module meanwhile, that one stays: one of its kernels may be running.
        // The other is dropped after the lock, because that waits for the stream.
        let mut loaded = self.loaded.lock().expect("no holder panics");
        let kept = Arc::clone(loaded.entry((op, variant)).or_insert_with(|| Arc::clone(&module)));
        drop(loaded);
        Ok(kept)
    }

    fn load(&self, cubin: &[u8]) -> Result<Module> {
        let image = Image::load(&self.context.enter()?, cubin)?;
        Ok(Module { context: Arc::clone(&self.context), image })
    }
}

fn refused(op: Op, error: CompileError) -> Error {
    let kernel = op.name().to_owned();
    match error {
        CompileError::Refused { log, .. } => Error::KernelCompile { kernel, log },
        CompileError::Failed { error, .. } => Error::KernelCompile { kernel, log: error.to_string() },
    }
}

/// Address of a kernel's argument, for as long as the argument is borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument<'a>(*mut c_void, std::marker::PhantomData<&'a ()>);

/// Passes a number or a structure by value.
pub(super) fn value<T: Copy>(value: &T) -> Argument<'_> {
    Argument(std::ptr::from_ref(value).cast_mut().cast(), std::marker::PhantomData)
}

impl<T: Pod> Buffer<T> {
    /// Passes the buffer as a kernel's pointer.
    pub(super) fn argument(&self) -> Argument<'_> {
        value(self.pointer())
    }
}

impl Kernel {
    /// Launches the kernel on the stream of all ops; see [`Self::launch_on`].
    ///
    /// # Errors
    /// As [`Self::launch_on`].
    ///
    /// # Safety
    /// As [`Self::launch_on`].
    pub(super) unsafe fn launch(&self, blocks: (usize, usize), threads: u32, arguments: &[Argument<'_>]) -> Result<()> {
        // SAFETY: the caller guarantees the arguments.
        unsafe { self.launch_on(self.module.context.stream(), blocks, threads, arguments) }
    }

    /// Launches `blocks` (x, y) of `threads`, or nothing if there are no blocks.
    ///
    /// # Errors
    /// [`Error::Cuda`] if there are more blocks than a launch can have, or the launch fails.
    ///
    /// # Safety
    /// `arguments` have the types of the kernel's parameters, and the memory that they point to is as long as the
    /// kernel assumes. The stream is of the context.
    pub(super) unsafe fn launch_on(
        &self,
        stream: &CudaStream,
        blocks: (usize, usize),
        threads: u32,
        arguments: &[Argument<'_>],
    ) -> Result<()> {
        // SAFETY: the caller guarantees the arguments.
        unsafe { self.launch_with(stream, blocks, (threads, 0), arguments) }
    }

    /// Allows launches with this number of bytes of dynamic shared memory, if it is more than 48 KiB.
    pub(super) fn allow_shared(&self, bytes: u32) -> Result<()> {
        // SAFETY: the kernel keeps its module loaded.
        unsafe { self.function.allow_shared(&self.module.context.enter()?, bytes) }
    }

    /// Launches blocks as [`Self::launch_on`], of `threads` and with `shared` bytes of dynamic shared memory.
    ///
    /// # Errors
    /// As [`Self::launch_on`].
    ///
    /// # Safety
    /// As [`Self::launch_on`].
    pub(super) unsafe fn launch_with(
        &self,
        stream: &CudaStream,
        blocks: (usize, usize),
        (threads, shared): (u32, u32),
        arguments: &[Argument<'_>],
    ) -> Result<()> {
        if blocks.0 == 0 || blocks.1 == 0 {
            return Ok(());
        }
        let context = &self.module.context;
        let too_many = || Error::Cuda { call: self.name, code: 1, meaning: format!("{blocks:?} are too many blocks") };
        let x = u32::try_from(blocks.0).ok().filter(|&x| x < 1 << 31).ok_or_else(too_many)?;
        let y = u32::try_from(blocks.1).ok().filter(|&y| y < 1 << 16).ok_or_else(too_many)?;
        let mut pointers: Vec<*mut c_void> = arguments.iter().map(|argument| argument.0).collect();
        let entered = context.enter()?;
        // SAFETY: the kernel keeps its module loaded; the caller guarantees the arguments.
        unsafe { self.function.launch(&entered, self.name, (x, y), (threads, shared), stream, &mut pointers) }
    }
}
