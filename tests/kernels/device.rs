//! Where the tests compute: on the CPU, and on the machine's GPU or the fake one.

use murakkab::run::devices::{Gpus, cuda};
use murakkab::run::fault::Fault;
use murakkab::run::kernels::Place;
use murakkab::run::kernels::gpu::compile;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Says that something is not tested, and why; an error where nothing may be skipped.
pub fn skipped(why: &str) {
    assert!(std::env::var_os("MKBC_REQUIRE_TOOLS").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

enum Device {
    Real,
    Fake { set_failing: unsafe extern "C" fn(i32) -> i32, asked: unsafe extern "C" fn() -> *const libc::c_char },
    None,
}

/// One core, several cores, and a GPU, real or fake, where there is one.
pub fn places() -> &'static [Place] {
    static PLACES: OnceLock<Vec<Place>> = OnceLock::new();
    PLACES.get_or_init(|| {
        let gpu = (!matches!(device(), Device::None)).then(|| Place::Gpu { kind: String::new() });
        [1, 3].map(|threads| Place::Cpu { threads }).into_iter().chain(gpu).collect()
    })
}

/// Does something while every launch of this thread fails. Only the fake GPU can do that.
pub fn failing() -> Option<impl Fn(&dyn Fn() -> Fault) -> Fault> {
    let Device::Fake { set_failing, .. } = device() else { return None };
    Some(move |work: &dyn Fn() -> Fault| {
        // SAFETY: the fake's function takes a number and sets a variable.
        #[allow(unsafe_code)]
        let set = |fails| unsafe { set_failing(fails) };
        set(1);
        let fault = work();
        set(0);
        fault
    })
}

/// What some work asks of the device, in order: `H0 K0 D0 S0` are a copy there, a kernel, a copy back and waiting, each with its stream by the
/// order in which these were first used; copies of memory that is not pinned are small. Only the fake GPU can tell.
pub fn asked(work: impl FnOnce()) -> Option<Vec<String>> {
    let Device::Fake { asked, .. } = device() else { return None };
    // SAFETY: the fake's function returns a string that lives until this thread calls it again.
    #[allow(unsafe_code)]
    let told = || unsafe { CStr::from_ptr(asked()).to_string_lossy().into_owned() };
    told();
    work();
    let mut streams: Vec<String> = Vec::new();
    let mut named = |entry: &str| {
        let (what, stream) = entry.split_at(1);
        let number = streams.iter().position(|s| s == stream).unwrap_or_else(|| {
            streams.push(stream.to_owned());
            streams.len() - 1
        });
        format!("{what}{number}")
    };
    Some(told().split_whitespace().map(&mut named).collect())
}

fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| match cuda::gpus().0 {
        Gpus::Devices(gpus) => {
            eprintln!("kernels run on {}", gpus[0].name);
            Device::Real
        }
        none => {
            assert!(std::env::var("MKBC_GPU").as_deref() != Ok("1"), "MKBC_GPU=1 asks for a GPU: {none:?}");
            fake(&none)
        }
    })
}

/// The folder of the fake driver, for a program that is to find it; none where kernels run on a real GPU or not at all.
pub fn fake_driver() -> Option<PathBuf> {
    matches!(device(), Device::Fake { .. }).then(|| folder().to_path_buf())
}

fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fake_gpu");
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    })
}

/// Compiles and loads the fake driver; whoever looks for a driver by its name finds it from then on.
#[allow(unsafe_code)]
fn fake(instead_of: &Gpus) -> Device {
    if !matches!(instead_of, Gpus::NoDriver) {
        skipped(&format!("kernels are not run: {instead_of:?}"));
        return Device::None;
    }
    if let Err(fault) = compile::version() {
        skipped(&format!("kernels are not run: {}", fault.message));
        return Device::None;
    }
    let library = folder().join("libcuda.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernels/fake_gpu.cpp");
    let flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-Wl,-soname,libcuda.so", "-o"];
    // Tests run side by side, each in a process of its own: what another has just opened is replaced whole.
    let own = |path: &Path| path.with_extension(format!("{}", std::process::id()));
    match Command::new("c++").args(flags).arg(own(&library)).arg(source).output() {
        Ok(made) if made.status.success() => std::fs::rename(own(&library), &library).expect("a file"),
        Ok(made) => panic!("the fake GPU does not compile: {}", String::from_utf8_lossy(&made.stderr)),
        Err(e) => {
            skipped(&format!("kernels are not run: there is no C++ compiler for the fake GPU ({e})"));
            return Device::None;
        }
    }
    let management = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/devices/fake_nvml.c");
    let beside = folder().join("libnvidia-ml.so.1");
    let mut made = Command::new("cc");
    made.args(["-shared", "-fPIC", "-DFIRST=1", "-DCOUNT=1", "-o"]).arg(own(&beside)).arg(management);
    assert!(made.status().is_ok_and(|status| status.success()), "the fake of the management library does not compile");
    std::fs::rename(own(&beside), &beside).expect("a file");
    let path = CString::new(library.as_os_str().as_bytes()).expect("a path");
    // SAFETY: the library was compiled above and its initialisers are those of C++; the function that is looked up has the type that it
    // is given.
    let (set_failing, asked) = unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
        assert!(!library.is_null(), "{:?}", CStr::from_ptr(libc::dlerror()));
        let found = |name: &CStr| libc::dlsym(library, name.as_ptr());
        (
            std::mem::transmute::<*mut libc::c_void, unsafe extern "C" fn(i32) -> i32>(found(c"fake_gpu_fails")),
            std::mem::transmute::<*mut libc::c_void, unsafe extern "C" fn() -> *const libc::c_char>(found(
                c"fake_gpu_asked",
            )),
        )
    };
    eprintln!("there is no GPU here: kernels run on a fake one, on the CPU");
    Device::Fake { set_failing, asked }
}
