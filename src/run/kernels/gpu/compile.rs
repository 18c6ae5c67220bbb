//! CUDA C++ + architecture -> machine code, by NVIDIA's run-time compiler (NVRTC), which needs no GPU; kept in the user's cache.
//!
//! NVRTC is looked for where the system has its libraries, in the folder that `MKBC_NVRTC` names and in the cache (`mkbc/nvrtc`), where
//! `pip install --target` puts it. Machine code that is in the cache is used without it.

use crate::run::fault::{Fault, FaultKind};
use crate::run::store;
use cudarc::nvrtc::{result, sys};
use std::ffi::{CStr, CString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A file of kernels.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: &'static str,
    /// CUDA C++.
    pub text: &'static str,
    /// The kernels in it.
    pub kernels: &'static [&'static str],
}

/// Counts of colours and edges.
pub static SCENES: Source =
    Source { name: "scenes", text: include_str!("../cuda/scenes.cu"), kernels: &["frame_features"] };
/// Pictures brought to another size.
pub static FRAMES: Source =
    Source { name: "frames", text: include_str!("../cuda/frames.cu"), kernels: &["resize_area"] };
/// The nearest of many vectors.
pub static NEAREST: Source =
    Source { name: "nearest", text: include_str!("../cuda/nearest.cu"), kernels: &["nearest"] };
/// All of them.
pub static SOURCES: [&Source; 3] = [&SCENES, &FRAMES, &NEAREST];

/// What NVRTC made.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Machine code for one architecture, in an ELF file.
    pub cubin: Vec<u8>,
    /// What the compiler said; empty if nothing.
    pub log: String,
}

/// Where machine code is kept.
pub fn cache_folder() -> PathBuf {
    cache().join("kernels")
}

fn cache() -> PathBuf {
    store::cache(&|name| std::env::var(name).ok())
}

/// Machine code from the cache, or compiled and put there. The name of a file holds what it depends on: the text, the architecture and the
/// compiler's version; without a compiler, what any version made of the same text is taken.
pub fn cached(source: &Source, arch: &str, folder: &Path) -> Result<Vec<u8>, Fault> {
    let stem = format!("{}-{}-{arch}-nvrtc", source.name, &crate::digest::digest([source.text])[..16]);
    let compiler = version();
    let file = match &compiler {
        Ok((major, minor)) => Some(folder.join(format!("{stem}{major}.{minor}.cubin"))),
        Err(_) => newest(folder, &stem),
    };
    if let Some(code) =
        file.as_ref().and_then(|file| std::fs::read(file).ok()).filter(|code| code.starts_with(b"\x7fELF"))
    {
        return Ok(code);
    }
    compiler?;
    let compiled = compile(source, arch)?;
    if let Some(file) = file {
        // A cache that cannot be written costs a compilation the next time, and no run.
        let _ = keep(&file, folder, &compiled.cubin);
    }
    Ok(compiled.cubin)
}

/// Whole or not at all, also where several processes write the same.
fn keep(file: &Path, folder: &Path, code: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut part = tempfile::NamedTempFile::new_in(folder)?;
    part.write_all(code)?;
    part.persist(file).map(drop).map_err(|e| e.error)
}

fn newest(folder: &Path, stem: &str) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|e| e.path());
    let fits = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(stem));
    files.filter(fits).max()
}

/// The compiler's version, or why there is none.
pub fn version() -> Result<(i32, i32), Fault> {
    static VERSION: OnceLock<Result<(i32, i32), Fault>> = OnceLock::new();
    VERSION.get_or_init(|| super::guarded("NVRTC", find)).clone()
}

#[allow(unsafe_code)]
fn find() -> Result<(i32, i32), Fault> {
    if let Some(folder) = installed() {
        preload(&folder);
    }
    // SAFETY: opens the library by its usual names, of which one may be loaded by now.
    if !unsafe { sys::is_culib_present() } {
        let message = "kernels for a GPU cannot be compiled: NVIDIA's run-time compiler (libnvrtc) is not installed";
        let help = "pip install --no-deps --target ~/.cache/mkbc/nvrtc nvidia-cuda-nvrtc==13.0.88, or name its folder in MKBC_NVRTC";
        return Err(Fault::new(FaultKind::Program, message).help(help));
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two ints to valid places.
    unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) }.result().map_err(|e| refused("its version", e))?;
    Ok((major, minor))
}

/// The folder with the library, where it is not the system's.
fn installed() -> Option<PathBuf> {
    let named = std::env::var("MKBC_NVRTC").ok().filter(|v| !v.is_empty()).map(PathBuf::from);
    let root = named.unwrap_or_else(|| cache().join("nvrtc"));
    // As `pip install --target` lays it out, or the libraries themselves.
    let places = ["", "nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib", "lib", "lib64"];
    places.into_iter().map(|place| root.join(place)).find(|folder| !libraries(folder, "libnvrtc.so").is_empty())
}

fn libraries(folder: &Path, name: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|e| e.path());
    let mut found: Vec<PathBuf> =
        files.filter(|p| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(name))).collect();
    found.sort();
    found
}

/// Loads the libraries by their paths, the one that the other asks for first: whoever opens them by name then gets these.
#[allow(unsafe_code)]
fn preload(folder: &Path) {
    let files = ["libnvrtc-builtins.so", "libnvrtc.so"].map(|name| libraries(folder, name).into_iter().next());
    for path in files.into_iter().flatten().filter_map(|p| CString::new(p.into_os_string().into_encoded_bytes()).ok()) {
        // SAFETY: dlopen(3) reads a string that lives until it returns. A library that does not load is missed at the next look, and
        // its initialisers are NVIDIA's, trusted as the driver's.
        unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    }
}

/// Compiles kernels for an architecture (`sm_90`), without a cache. Multiplications and additions are not fused, so that a GPU rounds
/// where a CPU does.
pub fn compile(source: &Source, arch: &str) -> Result<Compiled, Fault> {
    version()?;
    super::guarded("NVRTC", || compiled(source, arch))
}

#[allow(unsafe_code)]
fn compiled(source: &Source, arch: &str) -> Result<Compiled, Fault> {
    let of = |text: &str| CString::new(text).map_err(|_| Fault::plan("a kernel's text holds a NUL byte"));
    let (text, name) = (of(source.text)?, of(&format!("{}.cu", source.name))?);
    let program = result::create_program(&text, Some(&name)).map_err(|e| refused(source.name, e))?;
    let options = [format!("--gpu-architecture={arch}"), "--fmad=false".into(), "--std=c++17".into()];
    // SAFETY: `program` was made above and is destroyed below, after its last use; the strings that it was made of outlive it.
    let outcome = unsafe {
        let done = result::compile_program(program, &options);
        let log =
            result::get_program_log(program).map(|log| CStr::from_ptr(log.as_ptr()).to_string_lossy().into_owned());
        let cubin = done.and_then(|()| cubin(program));
        // A program that cannot be destroyed costs memory and nothing else.
        let _ = result::destroy_program(program);
        (cubin, log.unwrap_or_default().trim().to_owned())
    };
    match outcome {
        (Ok(cubin), log) => Ok(Compiled { cubin, log }),
        (Err(error), log) => Err(refused(&format!("`{}.cu` for {arch}", source.name), error).detail(&log)),
    }
}

/// # Safety
/// The program is one that was compiled for an architecture and not destroyed.
#[allow(unsafe_code)]
unsafe fn cubin(program: sys::nvrtcProgram) -> Result<Vec<u8>, result::NvrtcError> {
    let mut size = 0;
    // SAFETY: the program is valid (see above); the compiler writes as many bytes as it said.
    unsafe {
        sys::nvrtcGetCUBINSize(program, &raw mut size).result()?;
        let mut code = vec![0_u8; size];
        sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result()?;
        Ok(code)
    }
}

fn refused(what: &str, error: result::NvrtcError) -> Fault {
    Fault::new(FaultKind::Device, format!("NVRTC refuses {what}: {:?}", error.0))
}
