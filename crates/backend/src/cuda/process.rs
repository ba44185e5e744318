//! Tests of what a process sees of this crate: each runs in a process of its own on the emulated driver, because the
//! libraries are loaded once per process and the emulator is configured by the environment.

use super::{
    Cubins, Cuda, CudaOptions, Driver, Nvrtc, Unavailable,
    calls::{Image, SYMBOLS},
    driver::DESCRIBING,
    library::load_file,
    maxsim_f32,
};
use crate::{Backend, Error};
use std::ffi::{c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

#[path = "../../../../tests/emulator/compiler.rs"]
#[allow(unreachable_pub)] // it is part of other test crates too
mod compiler;

/// The tests below, which [`in_processes`] runs, and the environment of each.
const PROCESSES: [(&str, &[(&str, &str)]); 7] = [
    ("nothing_of_the_process_changes", &[]),
    ("nothing_of_the_process_changes", &[("EMULATED_POOLS", "0")]),
    ("another_device", &[("EMULATED_DEVICES", "2")]),
    ("nvrtc_newer_than_the_driver", &[("EMULATED_DRIVER_VERSION", "12040")]),
    ("nvrtc_older_than_the_driver", &[("EMULATED_NVRTC_VERSION", "12040")]),
    ("ops", &[]),
    ("ops", &[("EMULATED_POOLS", "0")]),
];

/// `CUcontext` and `CUmemoryPool` of cuda.h.
type Handle = *mut c_void;

/// The emulated libraries, compiled once for all tests of this file.
struct Emulator {
    folder: tempfile::TempDir,
    /// The driver, not linked yet.
    object: PathBuf,
    nvrtc: PathBuf,
}

impl Emulator {
    /// Compiles them; `None` without a C++ compiler.
    fn get() -> Option<&'static Self> {
        static EMULATOR: OnceLock<Option<Emulator>> = OnceLock::new();
        let compile = || {
            let folder = tempfile::tempdir().unwrap();
            let [object, nvrtc] = ["driver.o", "libnvrtc.so.13"].map(|name| folder.path().join(name));
            let compiled = compiler::compile("driver.cpp", &["-c", "-fPIC"], &object)
                && compiler::compile("nvrtc.cpp", &["-shared", "-fPIC"], &nvrtc);
            compiled.then_some(Self { folder, object, nvrtc })
        };
        EMULATOR.get_or_init(compile).as_ref()
    }

    /// Links a driver that has these functions and no others, in the file `name`.
    fn driver(&self, name: &str, soname: &str, functions: impl Iterator<Item = &'static str>) -> PathBuf {
        let functions: String = functions.map(|function| format!("{function}; ")).collect();
        let script = self.folder.path().join(format!("{name}.script"));
        std::fs::write(&script, format!("{{ global: {functions}local: *; }};")).unwrap();
        let library = self.folder.path().join(name);
        let options = [format!("-Wl,-soname,{soname}"), format!("-Wl,--version-script={}", script.display())];
        let object = self.object.to_str().unwrap();
        assert!(compiler::compile(object, &["-shared", &options[0], &options[1]], &library));
        library
    }

    /// Runs a test of this file in a process of its own; returns its output if it fails, and nothing if it passes.
    fn failure(&self, name: &str, driver: &Path, environment: &[(&str, &str)]) -> String {
        let (_, module) = module_path!().split_once("::").unwrap();
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::{name}"), "--ignored"])
            .env("SELVEDGE_CUDA_DRIVER", driver)
            .env("SELVEDGE_NVRTC", &self.nvrtc)
            .env("SELVEDGE_CUBINS", self.folder.path().join("cubins"))
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        match out.status.success() && stdout.contains("1 passed") {
            true => String::new(),
            false => format!("{name} with {environment:?}:\n{stdout}{stderr}"),
        }
    }
}

/// The first name by which cudarc asks for the driver: of the libraries that are loaded, the loader takes the one with
/// this SONAME, and no file of the system.
const FIRST_NAME: &str = "libcuda.so";

/// Every function of the driver that this crate calls, through cudarc or directly.
fn called() -> impl Iterator<Item = &'static str> {
    SYMBOLS.into_iter().chain(DESCRIBING)
}

#[test]
fn in_processes() {
    let Some(emulator) = Emulator::get() else { return };
    let whole = emulator.driver("whole.so", FIRST_NAME, std::iter::once("cu*"));
    let failures: String =
        PROCESSES.iter().map(|(name, environment)| emulator.failure(name, &whole, environment)).collect();
    assert!(failures.is_empty(), "{failures}");
}

/// A driver that has the functions of both lists and no others is enough for everything; cudarc would panic at another.
#[test]
fn no_other_function_is_called() {
    let Some(emulator) = Emulator::get() else { return };
    let driver = emulator.driver("called.so", FIRST_NAME, called());
    for environment in [&[][..], &[("EMULATED_POOLS", "0")]] {
        let failure = emulator.failure("every_call", &driver, environment);
        assert!(failure.is_empty(), "{failure}");
    }
}

/// Each function that a driver lacks is an error that names it.
#[test]
fn each_missing_function_is_an_error() {
    let Some(emulator) = Emulator::get() else { return };
    let nvrtc = Nvrtc::from_file(&emulator.nvrtc).unwrap();
    for missing in called() {
        let name = format!("without-{missing}.so");
        let library = emulator.driver(&name, &name, called().filter(|&function| function != missing));
        match Driver::from_file(&library) {
            Err(Unavailable::MissingSymbol { symbol, .. }) => assert_eq!(symbol, missing),
            Err(error) => panic!("{missing}: {error}"),
            Ok(driver) => match Cuda::with(driver, nvrtc, Cubins::nowhere(), 0) {
                Err(Error::NoCudaDevice { reason, .. }) => {
                    assert!(reason.contains(&format!("{missing} is missing")), "{missing}: {reason}");
                }
                other => panic!("{missing}: {other:?}"),
            },
        }
    }
}

/// A driver under another name than those that cudarc knows: it would load another one, or none.
#[test]
fn a_driver_that_cudarc_does_not_find_is_an_error() {
    let Some(emulator) = Emulator::get() else { return };
    let library = emulator.driver("libother.so", "libother.so", called());
    let (driver, nvrtc) = (Driver::from_file(&library).unwrap(), Nvrtc::from_file(&emulator.nvrtc).unwrap());
    let Err(Error::NoCudaDevice { reason, .. }) = Cuda::with(driver, nvrtc, Cubins::nowhere(), 0) else {
        panic!("cudarc does not know this name")
    };
    assert!(reason.contains("libother.so") && reason.contains("SELVEDGE_CUDA_DRIVER"), "{reason}");
}

/// Only the folder `calls` names cudarc.
#[test]
fn one_folder_calls_cudarc() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cuda");
    let files = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    for file in [files(&folder), files(&folder.join("search"))].concat().into_iter().filter(|file| file.is_file()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let uses: Vec<&str> = code.filter(|line| line.contains("cudarc::")).map(str::trim).collect();
        match file.file_name().unwrap().to_str().unwrap() {
            "process.rs" => {}
            name => assert!(uses.is_empty(), "{name}: {uses:?}"),
        }
    }
}

/// Calls the driver that the environment names as another library in this process would.
struct Neighbor {
    set_context: unsafe extern "C" fn(Handle) -> c_int,
    current_context: unsafe extern "C" fn(*mut Handle) -> c_int,
    default_pool: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
    pool_attribute: unsafe extern "C" fn(Handle, c_int, *mut u64) -> c_int,
    retain: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
    release: unsafe extern "C" fn(c_int) -> c_int,
    device: c_int,
}

impl Neighbor {
    fn new(ordinal: c_int) -> Self {
        let library = load_file("the driver", Path::new(&std::env::var_os("SELVEDGE_CUDA_DRIVER").unwrap())).unwrap();
        let mut device = -1;
        // SAFETY: the types match cuda.h.
        unsafe {
            let init = library.symbol::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit").unwrap();
            assert_eq!(init(0), 0);
            let get = library.symbol::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>("cuDeviceGet").unwrap();
            assert_eq!(get(&mut device, ordinal), 0);
            Self {
                set_context: *library.symbol("cuCtxSetCurrent").unwrap(),
                current_context: *library.symbol("cuCtxGetCurrent").unwrap(),
                default_pool: *library.symbol("cuDeviceGetDefaultMemPool").unwrap(),
                pool_attribute: *library.symbol("cuMemPoolGetAttribute").unwrap(),
                retain: *library.symbol("cuDevicePrimaryCtxRetain").unwrap(),
                release: *library.symbol("cuDevicePrimaryCtxRelease_v2").unwrap(),
                device,
            }
        }
    }

    fn current(&self) -> Handle {
        let mut context = std::ptr::null_mut();
        // SAFETY: the call writes to `context`.
        assert_eq!(unsafe { (self.current_context)(&mut context) }, 0);
        context
    }

    fn set(&self, context: Handle) {
        // SAFETY: the context is null or retained.
        assert_eq!(unsafe { (self.set_context)(context) }, 0);
    }

    fn retain(&self) -> Handle {
        let mut context = std::ptr::null_mut();
        // SAFETY: the call writes to `context`.
        assert_eq!(unsafe { (self.retain)(&mut context, self.device) }, 0);
        context
    }

    /// The attributes of the device's default pool; none if it has no pools.
    fn pool(&self) -> Option<[u64; 4]> {
        let mut pool = std::ptr::null_mut();
        // SAFETY: the calls write to `pool` and to `value`, which is large enough for attributes of 4 and of 8 bytes.
        unsafe {
            ((self.default_pool)(&mut pool, self.device) == 0).then(|| {
                [1, 2, 3, 4].map(|attribute| {
                    let mut value = 0;
                    assert_eq!((self.pool_attribute)(pool, attribute, &mut value), 0);
                    value
                })
            })
        }
    }
}

#[test]
#[ignore = "run by no_other_function_is_called"]
fn every_call() {
    use_everything();
    let cuda = Cuda::new(0).unwrap();
    let Err(Error::OutOfDeviceMemory { wanted_bytes, free_bytes }) = cuda.context.allocate::<u8>(2 << 30) else {
        panic!("more than the device has")
    };
    assert!(wanted_bytes == 2 << 30 && free_bytes <= 1 << 30);
    // An error with the driver's text.
    let image = Image::load(&cuda.context.enter().unwrap(), &[0; 64]);
    let error = image.unwrap_err().to_string();
    assert_eq!(error, "cuModuleLoadData failed with code 200 (device kernel image is invalid)");
}

/// Uses every kind of call: allocations, copies, launches, modules, streams, and the drop of everything.
fn use_everything() {
    let cuda = Cuda::new(0).unwrap();
    let data: Vec<u8> = (0..160).collect();
    let peak = cuda.peak(&data).unwrap();
    peak.copy().unwrap();
    assert_eq!(peak.copied().unwrap(), data);
    cuda.synchronize().unwrap();
}

#[test]
#[ignore = "run by in_processes"]
fn nothing_of_the_process_changes() {
    let neighbor = Neighbor::new(0);
    let before = neighbor.pool();
    assert!(neighbor.current().is_null());
    use_everything();
    assert!(neighbor.current().is_null(), "a context stays current");
    // The same when another user of the device has its context current.
    let own = neighbor.retain();
    neighbor.set(own);
    use_everything();
    assert_eq!(neighbor.current(), own, "another context is current");
    assert_eq!(neighbor.pool(), before, "the device's default pool has changed");
    // SAFETY: the context was retained once.
    assert_eq!(unsafe { (neighbor.release)(neighbor.device) }, 0);
    // A context that is not retained any more is not current anywhere either: the last drop has released it.
    neighbor.set(std::ptr::null_mut());
    // SAFETY: a call that must fail, because nothing retains the context.
    assert_ne!(unsafe { (neighbor.release)(neighbor.device) }, 0, "somebody still retains the context");
}

#[test]
#[ignore = "run by in_processes"]
fn another_device() {
    let neighbor = Neighbor::new(1);
    let own = neighbor.retain();
    neighbor.set(own);
    use_everything();
    assert_eq!(neighbor.current(), own, "the other device's context is current");
    assert_eq!(Cuda::new(1).unwrap().name(), "cuda/1");
    let Err(Error::NoCudaDevice { requested: 2, reason }) = Cuda::new(2) else { panic!("there are two") };
    assert_eq!(reason, "this machine has 2, cuda/0 to cuda/1");
}

#[test]
#[ignore = "run by in_processes"]
fn nvrtc_newer_than_the_driver() {
    let Err(error) = Cuda::new(0) else { panic!("CUBINs of CUDA 13 on a driver of 12.4") };
    let text = error.to_string();
    let Error::NvrtcNewerThanDriver { nvrtc, driver, path } = error else { panic!("{error}") };
    assert_eq!((nvrtc, driver), ((13, 0), (12, 4)));
    assert_eq!(path, PathBuf::from(std::env::var_os("SELVEDGE_NVRTC").unwrap()));
    for part in ["NVRTC 13.0", "of CUDA 12.4", "nvidia-cuda-nvrtc-cu12", "SELVEDGE_NVRTC"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let found = super::devices();
    assert!(matches!(found.nvrtc, Err(Unavailable::NewerThanDriver { .. })), "{:?}", found.nvrtc);
}

#[test]
#[ignore = "run by in_processes"]
fn nvrtc_older_than_the_driver() {
    use_everything();
    assert_eq!(super::Nvrtc::for_driver(&Driver::get().unwrap()).unwrap().version(), (12, 4));
}

#[test]
#[ignore = "run by in_processes"]
fn ops() {
    let cuda = Cuda::new(0).unwrap();
    maxsim_f32::tests::batches_give_the_scores_of_the_whole(&cuda);
    let portable = Cuda::open(CudaOptions { portable: true, ..CudaOptions::default() }).unwrap();
    assert_eq!((cuda.modules.has_wgmma(), portable.modules.has_wgmma()), (true, false));
    super::search::a_certificate_without_memory_is_none(|memory_bytes| {
        Cuda::open(CudaOptions { memory_bytes, ..CudaOptions::default() }).unwrap()
    });
    for each in [&cuda, &portable] {
        super::search::the_device_measures_and_sums(each);
    }
    super::centroid_table::tests::a_table_has_a_share_of_the_memory(&cuda);
}
