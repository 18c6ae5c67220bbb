//! What the real program says of a machine's devices: without a driver, with one that has no device, with one that is too old, and
//! with devices. The drivers are fakes (tests/devices/fake_cuda.c), the way they are loaded is not.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Done, Mkbc, repository};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Runs `mkbc` with a driver library that is compiled for it, or without any.
fn with_driver(flags: Option<&[&str]>, arguments: &[&str]) -> Done {
    let mkbc = Mkbc::new();
    if let Some(flags) = flags {
        let source = repository().join("tests/devices/fake_cuda.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(mkbc.path("libcuda.so"))
            .arg(source)
            .args(flags)
            .status();
        assert!(made.expect("a C compiler, which the build needs as well").success());
    }
    let folder = mkbc.path("libcuda.so").parent().map(Path::to_path_buf).expect("a folder");
    mkbc.end(mkbc.command(arguments).env("LD_LIBRARY_PATH", folder))
}

/// No driver is on the machines that run the tests but for those that have a GPU: what stands there is then the real one's answer.
fn has_driver() -> bool {
    with_driver(None, &["devices"]).out.lines().all(|l| !l.contains("no NVIDIA driver"))
}

#[test]
fn without_a_driver_there_is_no_gpu() {
    if has_driver() {
        eprintln!("skipped: this machine has a driver");
        return;
    }
    let done = with_driver(None, &["devices", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let said: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(said["gpus"], "no_driver");
    assert_eq!(said["driver"], Value::Null);
    assert!(
        said["cpu"]["cores"].as_u64().is_some_and(|n| n > 0) && said["cpu"]["memory"].as_u64().is_some_and(|n| n > 0)
    );
}

#[test]
fn a_driver_without_a_device_is_said_in_its_words() {
    let done = with_driver(Some(&["-DNO_DEVICE"]), &["devices"]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{}", done.out);
    assert!(done.out.contains("gpu: none usable (no CUDA-capable device is detected)\n"), "{}", done.out);
    assert!(done.out.contains("CUDA up to 12.8"), "{}", done.out);
}

#[test]
fn a_driver_that_is_too_old_is_no_panic() {
    let done = with_driver(Some(&["-DTOO_OLD"]), &["devices"]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{}", done.out);
    assert!(done.out.contains("none usable (the driver is too old: it has no `cuDeviceGetUuid_v2`)"), "{}", done.out);
}

#[test]
fn a_file_that_is_no_library_is_no_driver() {
    let mkbc = Mkbc::new();
    mkbc.write("libcuda.so", "this is text");
    let folder = mkbc.path("libcuda.so").parent().map(Path::to_path_buf).expect("a folder");
    let done = mkbc.end(mkbc.command(["devices"]).env("LD_LIBRARY_PATH", folder));
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{}", done.out);
}

#[test]
fn devices_have_names_sizes_and_uuids() {
    let done = with_driver(Some(&[]), &["devices", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let said: Value = serde_json::from_str(&done.out).expect("JSON");
    let gpus = said["gpus"]["devices"].as_array().expect("devices");
    assert_eq!(gpus.len(), 2);
    assert_eq!(gpus[0]["uuid"], "GPU-10101010-1010-1010-1010-101010101010");
    assert_eq!(gpus[0]["capability"], "9.0");
    assert_eq!(gpus[1]["memory"], 79_999_999_999_u64);
    assert_eq!(said["driver"]["cuda"], "12.8");
    // NVML is not there: what only it knows is absent, not zero.
    assert_eq!(gpus[0]["power_w"], Value::Null);
}

/// The inventory is what `here` is as a cluster: a GPU that the library knows can be planned for, another one is named.
#[test]
fn the_solver_plans_for_what_is_here() {
    let done = with_driver(Some(&[]), &["doctor", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let findings: Value = serde_json::from_str(&done.out).expect("JSON");
    let gpu = findings.as_array().expect("findings").iter().find(|f| f["what"] == "gpu").expect("a GPU");
    assert_eq!(gpu["state"], "absent");
    assert!(gpu["help"].as_str().is_some_and(|h| h.contains("NVIDIA STRANGER FAKE") && !h.contains("H100")), "{gpu}");
}

#[test]
fn the_doctor_names_keys_and_never_their_values() {
    let mkbc = Mkbc::new();
    let done = mkbc.end(mkbc.command(["doctor"]).env("OPENAI_API_KEY", "canary-7f3a"));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(
        done.out.contains("ok      key: `OPENAI_API_KEY` is set")
            && done.out.contains("`ANTHROPIC_API_KEY` is not set"),
        "{}",
        done.out
    );
    assert!(!done.out.contains("canary"), "{}", done.out);
    assert!(done.out.contains("ok      solver: z3 "), "{}", done.out);
}
