//! Tests of what a process sees of this crate: each runs in a process of its own on the emulated driver, because the
//! libraries are loaded once per process and the emulator is configured by the environment.

use super::{Cuda, Driver, Unavailable, calls::Handle, library::load_file, maxsim_f32};
use crate::{Backend, Error};
use std::ffi::{c_int, c_uint};
use std::path::{Path, PathBuf};
use std::process::Command;

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

#[test]
fn in_processes() {
    let folder = tempfile::tempdir().unwrap();
    let Some((driver, nvrtc)) = compiler::emulator(folder.path()) else { return };
    let mut failures = String::new();
    for (name, environment) in PROCESSES {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{}::{name}", module_path!().split_once("::").unwrap().1), "--ignored"])
            .env("SELVEDGE_CUDA_DRIVER", &driver)
            .env("SELVEDGE_NVRTC", &nvrtc)
            .env("SELVEDGE_CUBINS", folder.path().join("cubins"))
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        if !out.status.success() || !stdout.contains("1 passed") {
            failures += &format!("{name} with {environment:?}:\n{stdout}{stderr}");
        }
    }
    assert!(failures.is_empty(), "{failures}");
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
    super::centroid_table::tests::a_table_has_a_share_of_the_memory(&cuda);
}
