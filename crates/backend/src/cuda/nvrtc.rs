//! NVRTC, the compiler of kernels at run time: CUDA C++ in, a CUBIN for one architecture out.

use super::{
    driver::Driver,
    library::{Loaded, Unavailable, load_all, load_file},
    nvrtc_places as places,
};
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::sync::OnceLock;

/// Name of the library in messages.
const LIBRARY: &str = "NVRTC";

/// Values of `nvrtcResult` in nvrtc.h.
const SUCCESS: c_int = 0;
const COMPILATION: c_int = 6;

/// `nvrtcProgram` in nvrtc.h.
type Program = *mut c_void;

/// A loaded NVRTC.
#[derive(Clone, Copy, Debug)]
pub struct Nvrtc {
    library: Loaded,
    version: (c_int, c_int),
    /// Real architectures that the compiler supports, ascending: `90` is sm_90.
    architectures: &'static [c_int],
    calls: Calls,
}

/// The functions of NVRTC that compile a kernel, with the types of nvrtc.h.
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
    /// The binary for the architecture that the options name.
    pub cubin: Vec<u8>,
    /// Messages of the compiler: warnings and, with `--ptxas-options=-v`, registers and spills.
    pub log: String,
}

/// Reason why a kernel was not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The compiler refused the source or an option.
    #[error("kernel {kernel} does not compile:\n{log}")]
    Refused {
        /// The kernel.
        kernel: String,
        /// Messages of the compiler.
        log: String,
    },
    /// The compiler itself failed.
    #[error("kernel {kernel}: {error}")]
    Failed {
        /// The kernel.
        kernel: String,
        /// The call that failed.
        error: Unavailable,
    },
}

impl Nvrtc {
    /// Loads the newest compiler of this machine; the search runs once per process.
    ///
    /// # Errors
    /// [`Unavailable::NotFound`] if no place has it, [`Unavailable::MissingSymbol`] if the library lacks a function,
    /// [`Unavailable::Failed`] if the call for its version or for its architectures fails.
    pub fn get() -> Result<Self, Unavailable> {
        Self::all()?.first().copied().ok_or(Unavailable::NotFound { library: LIBRARY, tried: Vec::new() })
    }

    /// Loads the newest compiler of this machine whose kernels `driver` can load: its major version is at most that of
    /// the driver.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`Unavailable::NewerThanDriver`] if all that were found are newer.
    pub fn for_driver(driver: &Driver) -> Result<Self, Unavailable> {
        let mut newest = None;
        for nvrtc in Self::all()? {
            match nvrtc.check(driver) {
                Ok(()) => return Ok(*nvrtc),
                Err(error) => newest = newest.or(Some(error)),
            }
        }
        Err(newest.unwrap_or(Unavailable::NotFound { library: LIBRARY, tried: Vec::new() }))
    }

    /// Checks that `driver` can load the kernels of this compiler.
    ///
    /// # Errors
    /// [`Unavailable::NewerThanDriver`] if it cannot: CUBINs need a driver of their own major version or a newer one.
    pub(super) fn check(&self, driver: &Driver) -> Result<(), Unavailable> {
        let (nvrtc, driver) = (self.version(), driver.version());
        match nvrtc.0 <= driver.0 {
            true => Ok(()),
            false => Err(Unavailable::NewerThanDriver { path: self.path().into(), nvrtc, driver }),
        }
    }

    /// Every compiler of this machine that works, the newest first, or the error of the first one. The search runs once
    /// per process.
    fn all() -> Result<&'static [Self], Unavailable> {
        static ALL: OnceLock<Result<Vec<Nvrtc>, Unavailable>> = OnceLock::new();
        let search = || {
            let (mut working, mut broken) = (Vec::<Self>::new(), None);
            for library in load_all(LIBRARY, "SELVEDGE_NVRTC", places::places())? {
                match Self::of(library) {
                    Ok(nvrtc) => working.push(nvrtc),
                    Err(error) => broken = broken.or(Some(error)),
                }
            }
            // Stable: of one version, the place that comes first.
            working.sort_by_key(|nvrtc| std::cmp::Reverse(nvrtc.version));
            match broken {
                Some(error) if working.is_empty() => Err(error),
                _ => Ok(working),
            }
        };
        ALL.get_or_init(search).as_deref().map_err(Clone::clone)
    }

    /// Loads the compiler in `file`.
    ///
    /// # Errors
    /// [`Unavailable::NotFound`] if the file does not load, [`Unavailable::MissingSymbol`] if it lacks a function,
    /// [`Unavailable::Failed`] if the call for its version or for its architectures fails.
    pub fn from_file(file: &Path) -> Result<Self, Unavailable> {
        Self::of(load_file(LIBRARY, file)?)
    }

    fn of(library: Loaded) -> Result<Self, Unavailable> {
        let mut version = (0, 0);
        let mut architectures: Vec<c_int>;
        // SAFETY: the types match nvrtc.h; the calls write to `version`, `number` and as many architectures as
        // they counted.
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
        // NVRTC opens this library by name when it compiles. The loader does not find the copy in the PyPI package,
        // because the package's folder is not on the loader's path.
        library.load_neighbour(&places::builtins(version));
        Ok(Self { library, version, architectures: architectures.leak(), calls })
    }

    /// Path of the library, or the name by which the loader found it.
    pub fn path(&self) -> &'static Path {
        self.library.path()
    }

    /// Version of the compiler, major and minor.
    pub fn version(&self) -> (u32, u32) {
        (self.version.0 as u32, self.version.1 as u32)
    }

    /// Returns the architecture to compile for, such as `sm_90`, given the compute capability (major, minor) of a GPU.
    /// It is the GPU's own architecture if the compiler supports it, and otherwise the newest older one of the same
    /// major number, whose CUBINs the GPU runs too. `None` if the compiler supports neither.
    pub fn architecture(&self, (major, minor): (u32, u32)) -> Option<String> {
        let own = (10 * major + minor) as c_int;
        let runs = |&&known: &&c_int| known <= own && known / 10 == major as c_int;
        self.architectures.iter().filter(runs).max().map(|known| format!("sm_{known}"))
    }

    /// Compiles `source` with `options`, one of which has to name a real architecture (`--gpu-architecture=sm_90`).
    /// `kernel` is the name of the source in messages.
    ///
    /// # Errors
    /// [`CompileError::Refused`] if the source or an option is wrong, or no real architecture is named;
    /// [`CompileError::Failed`] if the compiler itself fails.
    pub fn compile(&self, kernel: &str, source: &str, options: &[String]) -> Result<Compiled, CompileError> {
        let refused = |log: String| CompileError::Refused { kernel: kernel.into(), log };
        let failed = |error| CompileError::Failed { kernel: kernel.into(), error };
        let text =
            |text: &str| CString::new(text).map_err(|_| refused("the source or an option has a zero byte".into()));
        let (name, source) = (text(&format!("{kernel}.cu"))?, text(source)?);
        let options = options.iter().map(|option| text(option)).collect::<Result<Vec<_>, _>>()?;
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let check = |call, code| self.library.check(call, code).map_err(failed);

        let mut program = Destroyed { program: std::ptr::null_mut(), destroy: self.calls.destroy };
        let none = std::ptr::null();
        // SAFETY: the strings end with a zero and live until the call returns; there are no headers.
        let code = unsafe { (self.calls.create)(&mut program.program, source.as_ptr(), name.as_ptr(), 0, none, none) };
        check("nvrtcCreateProgram", code)?;
        // SAFETY: the program was created; `options.len()` is the number of options.
        let code = unsafe { (self.calls.compile)(program.program, options.len() as c_int, options.as_ptr()) };
        let log = self.bytes(program.program, "nvrtcGetProgramLog", self.calls.log_size, self.calls.log);
        let log = log.map_err(failed)?;
        let log = String::from_utf8_lossy(&log).trim_end_matches(['\0', '\n']).to_owned();
        match code {
            SUCCESS => {}
            // The source is wrong, or an option is unknown: the log says which.
            code if code == COMPILATION || !log.is_empty() => return Err(refused(log)),
            code => check("nvrtcCompileProgram", code)?,
        }
        let cubin = self.bytes(program.program, "nvrtcGetCUBIN", self.calls.cubin_size, self.calls.cubin);
        match cubin.map_err(failed)? {
            empty if empty.is_empty() => Err(refused("no CUBIN: the options name no real architecture (sm_..)".into())),
            cubin => Ok(Compiled { cubin, log }),
        }
    }

    /// Returns the bytes that `get` writes, as many as `size` counts.
    fn bytes(
        &self,
        program: Program,
        call: &'static str,
        size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
        get: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    ) -> Result<Vec<u8>, Unavailable> {
        let mut len = 0;
        // SAFETY: the program was created, and the call writes to `len`.
        self.library.check(call, unsafe { size(program, &mut len) })?;
        let mut bytes = vec![0u8; len];
        if len > 0 {
            // SAFETY: the call writes as many bytes as were counted.
            self.library.check(call, unsafe { get(program, bytes.as_mut_ptr().cast()) })?;
        }
        Ok(bytes)
    }
}

/// A program that is destroyed when dropped.
struct Destroyed {
    program: Program,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
}

impl Drop for Destroyed {
    fn drop(&mut self) {
        if !self.program.is_null() {
            // SAFETY: the program was created, and is not used any more.
            unsafe { (self.destroy)(&mut self.program) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns NVRTC, or `None` if there is none; that fails under `SELVEDGE_REQUIRE_NVRTC=1`.
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
    fn cubins_for_every_tested_architecture() {
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
    fn a_refused_source_has_its_log() {
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
