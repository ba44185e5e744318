//! NVRTC, the compiler of kernels at run time: CUDA C++ in, a CUBIN for one architecture out.

use super::library::{Loaded, Unavailable, load, load_file};
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What messages call it.
const LIBRARY: &str = "NVRTC";

/// `nvrtcResult` in nvrtc.h.
const SUCCESS: c_int = 0;
const COMPILATION: c_int = 6;

/// `nvrtcProgram` in nvrtc.h.
type Program = *mut c_void;

/// NVRTC, loaded.
#[derive(Clone, Copy, Debug)]
pub struct Nvrtc {
    library: Loaded,
    version: (c_int, c_int),
    /// Real architectures that it compiles for, `90` for sm_90, ascending.
    architectures: &'static [c_int],
    calls: Calls,
}

/// The functions that compile, as nvrtc.h has them.
#[derive(Clone, Copy, Debug)]
struct Calls {
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int,
    log_size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    log: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    cubin_size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    cubin: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
}

/// A compiled kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// For the architecture that the options name.
    pub cubin: Vec<u8>,
    /// What the compiler said: warnings and, with `--ptxas-options=-v`, registers and spills.
    pub log: String,
}

/// Why there is no CUBIN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The compiler refused the source or an option.
    #[error("kernel {kernel} does not compile:\n{log}")]
    Refused {
        /// The kernel.
        kernel: String,
        /// What the compiler said.
        log: String,
    },
    /// The compiler itself failed.
    #[error("kernel {kernel}: {error}")]
    Failed {
        /// The kernel.
        kernel: String,
        /// How.
        error: Unavailable,
    },
}

impl Nvrtc {
    /// The compiler of this machine; it is looked for once.
    pub fn get() -> Result<Self, Unavailable> {
        static NVRTC: OnceLock<Result<Nvrtc, Unavailable>> = OnceLock::new();
        NVRTC.get_or_init(Self::open).clone()
    }

    /// The compiler in `file`.
    pub fn from_file(file: &Path) -> Result<Self, Unavailable> {
        Self::of(load_file(LIBRARY, file)?)
    }

    fn open() -> Result<Self, Unavailable> {
        Self::of(load(LIBRARY, "SELVEDGE_NVRTC", places())?)
    }

    fn of(library: Loaded) -> Result<Self, Unavailable> {
        let mut version = (0, 0);
        let mut architectures: Vec<c_int>;
        // SAFETY: the types are those of nvrtc.h; `version` and `number` are where it writes, and as many architectures
        // as it said.
        let calls = unsafe {
            let get = library.symbol::<unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int>("nvrtcVersion")?;
            library.check("nvrtcVersion", get(&mut version.0, &mut version.1))?;
            let count = library.symbol::<unsafe extern "C" fn(*mut c_int) -> c_int>("nvrtcGetNumSupportedArchs")?;
            let mut number = 0;
            library.check("nvrtcGetNumSupportedArchs", count(&mut number))?;
            architectures = vec![0; number.max(0) as usize];
            let list = library.symbol::<unsafe extern "C" fn(*mut c_int) -> c_int>("nvrtcGetSupportedArchs")?;
            library.check("nvrtcGetSupportedArchs", list(architectures.as_mut_ptr()))?;
            Calls {
                create: *library.symbol("nvrtcCreateProgram")?,
                compile: *library.symbol("nvrtcCompileProgram")?,
                log_size: *library.symbol("nvrtcGetProgramLogSize")?,
                log: *library.symbol("nvrtcGetProgramLog")?,
                cubin_size: *library.symbol("nvrtcGetCUBINSize")?,
                cubin: *library.symbol("nvrtcGetCUBIN")?,
                destroy: *library.symbol("nvrtcDestroyProgram")?,
            }
        };
        // NVRTC opens this one by name when it compiles, and what PyPI has does not say where it lies.
        library.load_neighbour(&format!("libnvrtc-builtins.so.{}.{}", version.0, version.1));
        Ok(Self { library, version, architectures: architectures.leak(), calls })
    }

    /// The file, or the name by which the loader found it.
    pub fn path(&self) -> &'static Path {
        self.library.path()
    }

    /// Major and minor.
    pub fn version(&self) -> (u32, u32) {
        (self.version.0 as u32, self.version.1 as u32)
    }

    /// The architecture to compile for, for GPUs of this compute capability: their own or, where this compiler is older
    /// than they are, the newest before it of the same major number, whose CUBINs they run as well. None if there is none.
    pub fn architecture(&self, (major, minor): (u32, u32)) -> Option<String> {
        let own = (10 * major + minor) as c_int;
        let runs = |&&known: &&c_int| known <= own && known / 10 == major as c_int;
        self.architectures.iter().filter(runs).max().map(|known| format!("sm_{known}"))
    }

    /// Compiles `source` with `options`, one of which has to name a real architecture (`--gpu-architecture=sm_90`).
    /// `kernel` is what messages call it.
    pub fn compile(&self, kernel: &str, source: &str, options: &[String]) -> Result<Compiled, CompileError> {
        let refused = |log: String| CompileError::Refused { kernel: kernel.into(), log };
        let failed = |error| CompileError::Failed { kernel: kernel.into(), error };
        let text = |text: &str| CString::new(text).map_err(|_| refused("there is a zero byte in it".into()));
        let (name, source) = (text(&format!("{kernel}.cu"))?, text(source)?);
        let options = options.iter().map(|option| text(option)).collect::<Result<Vec<_>, _>>()?;
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let check = |call, code| self.library.check(call, code).map_err(failed);

        let mut program = Destroyed { program: std::ptr::null_mut(), destroy: self.calls.destroy };
        let none = std::ptr::null();
        // SAFETY: the strings end with a zero and live until the call returns; there are no headers.
        let code = unsafe { (self.calls.create)(&mut program.program, source.as_ptr(), name.as_ptr(), 0, none, none) };
        check("nvrtcCreateProgram", code)?;
        // SAFETY: the program was created; there are as many options as said.
        let code = unsafe { (self.calls.compile)(program.program, options.len() as c_int, options.as_ptr()) };
        let log = self.bytes(program.program, "nvrtcGetProgramLog", self.calls.log_size, self.calls.log);
        let log = log.map_err(failed)?;
        let log = String::from_utf8_lossy(&log).trim_end_matches(['\0', '\n']).to_owned();
        match code {
            SUCCESS => {}
            // The source, or an option that it does not know: the log says which.
            code if code == COMPILATION || !log.is_empty() => return Err(refused(log)),
            code => check("nvrtcCompileProgram", code)?,
        }
        let cubin = self.bytes(program.program, "nvrtcGetCUBIN", self.calls.cubin_size, self.calls.cubin);
        match cubin.map_err(failed)? {
            empty if empty.is_empty() => Err(refused("no CUBIN: the options name no real architecture (sm_..)".into())),
            cubin => Ok(Compiled { cubin, log }),
        }
    }

    /// What `get` writes: as many bytes as `size` says.
    fn bytes(
        &self,
        program: Program,
        call: &'static str,
        size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
        get: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    ) -> Result<Vec<u8>, Unavailable> {
        let mut len = 0;
        // SAFETY: the program was created, and `len` is where it writes.
        self.library.check(call, unsafe { size(program, &mut len) })?;
        let mut bytes = vec![0u8; len];
        if len > 0 {
            // SAFETY: it writes as many bytes as it said.
            self.library.check(call, unsafe { get(program, bytes.as_mut_ptr().cast()) })?;
        }
        Ok(bytes)
    }
}

/// A program that is destroyed with its scope.
struct Destroyed {
    program: Program,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
}

impl Drop for Destroyed {
    fn drop(&mut self) {
        if !self.program.is_null() {
            // SAFETY: it was created, and nobody uses it any more.
            unsafe { (self.destroy)(&mut self.program) };
        }
    }
}

/// Where it may be, first to last.
fn places() -> Vec<PathBuf> {
    let names = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"];
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let folders = homes.flat_map(|home| [home.join("lib64"), home.join("lib")]);
    let in_folder = |folder: PathBuf| names.map(|name| folder.join(name));
    let common = in_folder("/usr/local/cuda/lib64".into());
    folders.flat_map(in_folder).chain(names.map(PathBuf::from)).chain(common).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NVRTC, unless there is none, which `SELVEDGE_REQUIRE_NVRTC=1` does not put up with.
    fn nvrtc() -> Option<Nvrtc> {
        match Nvrtc::get() {
            Ok(nvrtc) => Some(nvrtc),
            Err(error) if std::env::var_os("SELVEDGE_REQUIRE_NVRTC").is_some() => panic!("{error}"),
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    }

    const TWICE: &str = "extern \"C\" __global__ void twice(int* x) { x[threadIdx.x] *= 2; }";

    fn arch(sm: &str) -> Vec<String> {
        vec![format!("--gpu-architecture={sm}")]
    }

    #[test]
    fn cubins_for_every_architecture_that_counts() {
        let Some(nvrtc) = nvrtc() else { return };
        let mut cubins = Vec::new();
        for sm in ["sm_80", "sm_90", "sm_90a"] {
            let mut options = arch(sm);
            options.push("--ptxas-options=-v".into());
            let compiled = nvrtc.compile("twice", TWICE, &options).unwrap();
            assert_eq!(compiled.cubin[..4], *b"\x7fELF", "{sm}");
            assert!(compiled.log.contains("registers"), "{sm}: {}", compiled.log);
            assert!(nvrtc.compile("twice", TWICE, &options).unwrap().cubin == compiled.cubin, "{sm} twice the same");
            cubins.push(compiled.cubin);
        }
        assert!(cubins[0] != cubins[1]);
    }

    #[test]
    fn a_gpu_newer_than_the_compiler_gets_what_it_runs() {
        let Some(nvrtc) = nvrtc() else { return };
        let nvrtc = Nvrtc { architectures: &[75, 80, 86, 90, 100], ..nvrtc };
        let architecture = |major, minor| nvrtc.architecture((major, minor));
        assert_eq!(
            [(8, 0), (8, 9), (9, 0), (10, 3)].map(|(a, b)| architecture(a, b).unwrap()),
            ["sm_80", "sm_86", "sm_90", "sm_100"]
        );
        assert_eq!([architecture(12, 0), architecture(7, 0)], [None, None]);
    }

    #[test]
    fn what_does_not_compile_comes_with_its_log() {
        let Some(nvrtc) = nvrtc() else { return };
        let log = |source: &str, options: &[String]| match nvrtc.compile("broken", source, options) {
            Err(CompileError::Refused { kernel, log }) if kernel == "broken" => log,
            other => panic!("{other:?}"),
        };
        let wrong = log("\nextern \"C\" __global__ void broken(int* x) { x[0] = y; }", &arch("sm_90"));
        assert!(wrong.contains("broken.cu(2)") && wrong.contains('y'), "{wrong}");
        assert!(log(TWICE, &["--no-such-option".into()]).contains("no-such-option"));
        assert!(log(TWICE, &arch("sm_1")).contains("--gpu-architecture"));
        assert!(log(TWICE, &arch("compute_90")).contains("no CUBIN"));
        assert!(log("a\0b", &arch("sm_90")).contains("zero byte"));
    }
}
