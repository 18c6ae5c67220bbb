//! What the real program says of a machine's devices: without a driver, with one that has no device, with one that is too old, and
//! with devices. The drivers are fakes (tests/devices/fake_cuda.c), the way they are loaded is not.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Done, Mkbc, repository};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `mkbc` with a driver library that is compiled for it, or without any.
fn with_driver(flags: Option<&[&str]>, arguments: &[&str]) -> Done {
    with_libraries(if flags.is_some() { &["cuda"] } else { &[] }, flags.unwrap_or_default(), arguments)
}

/// Compiles one of NVIDIA's libraries, a fake, into a folder.
fn fake(library: &str, flags: &[&str], mkbc: &Mkbc) {
    let name = if library == "nvml" { "libnvidia-ml.so.1" } else { "libcuda.so" };
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(mkbc.path(name));
    cc.arg(repository().join(format!("tests/devices/fake_{library}.c"))).args(flags);
    assert!(cc.status().expect("a C compiler, which the build needs as well").success());
}

/// Runs `mkbc` with these of NVIDIA's libraries, fakes that are compiled for it.
fn with_libraries(libraries: &[&str], flags: &[&str], arguments: &[&str]) -> Done {
    let mkbc = Mkbc::new();
    libraries.iter().for_each(|library| fake(library, flags, &mkbc));
    let folder = mkbc.path("").to_path_buf();
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

#[test]
fn power_memory_links_and_parting_come_from_the_management_library() {
    let done = with_libraries(&["cuda", "nvml"], &[], &["devices", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let said: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(said["driver"]["version"], "570.00 (a fake)");
    let [first, second] = [0, 1].map(|i| said["gpus"]["devices"][i].clone());
    assert_eq!((&first["power_w"], &first["power_limit_w"]), (&300.0.into(), &700.0.into()), "{first:#}");
    assert_eq!((&first["used"], &first["pci"]), (&2_000_000_000_u64.into(), &"00000000:17:00.0".into()));
    assert_eq!((&first["mig"], &second["mig"], &first["nvlinks"]), (&false.into(), &true.into(), &5.into()));
    let shown = with_libraries(&["cuda", "nvml"], &[], &["devices"]).out;
    assert!(shown.contains("300 W, at most 700 W, 5 NVLinks, PCI 00000000:17:00.0, GPU-1010"), "{shown}");
    assert!(shown.contains("parted by MIG"), "{shown}");
}

/// What devices do is seen where the fleet is.
#[test]
fn a_server_says_what_its_devices_do() {
    let mkbc = Mkbc::new();
    ["cuda", "nvml"].iter().for_each(|library| fake(library, &[], &mkbc));
    let mut command = mkbc.command(["serve", "--addr", "127.0.0.1:0"]);
    command.env("LD_LIBRARY_PATH", mkbc.path("")).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = command.spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("serving ").expect("an address");
    let [fleet, shown] =
        [&["--json"][..], &[]].map(|more| mkbc.run(&[&["deploy", "--fleet", "--to", url], more].concat()));
    server.kill().expect("killed");
    server.wait().expect("ended");
    let fleet: Value = serde_json::from_str(&fleet.out).expect("JSON");
    let gpus = fleet["load"]["gpus"].as_array().unwrap_or_else(|| panic!("{fleet:#}"));
    assert_eq!(gpus.len(), 2);
    let figures = ["busy", "memory_used_gb", "power_w", "power_limit_w"].map(|name| gpus[0][name].as_f64());
    assert_eq!(figures, [Some(0.41), Some(2.0), Some(300.0), Some(700.0)], "{fleet:#}");
    assert!(shown.out.contains(": 41 % busy, 2.0 of 80.0 GB in use, 300 of 700 W"), "{}", shown.out);
}

/// An instance of a parted GPU bears the GPU's name, and has a part of its memory: nothing may be planned for it as if it were the whole.
#[test]
fn an_instance_of_a_parted_gpu_has_a_uuid_of_its_own_and_is_no_gpu_of_the_library() {
    let done = with_libraries(&["cuda", "nvml"], &["-DINSTANCE"], &["devices", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let said: Value = serde_json::from_str(&done.out).expect("JSON");
    let first = &said["gpus"]["devices"][0];
    assert_eq!(first["uuid"], "MIG-10101010-1010-1010-1010-101010101010");
    assert_eq!((&first["part"], &first["used"]), (&true.into(), &2_000_000_000_u64.into()), "{first:#}");
    // Power is measured for the whole GPU alone.
    assert_eq!(first["power_w"], Value::Null);
    let doctor = with_libraries(&["cuda", "nvml"], &["-DINSTANCE"], &["doctor", "--json"]);
    let findings: Value = serde_json::from_str(&doctor.out).expect("JSON");
    let help =
        findings.as_array().into_iter().flatten().find(|f| f["what"] == "gpu").expect("a GPU")["help"].to_string();
    assert!(help.contains("MIG 1g.10gb"), "{help}");
}

/// CUDA is opened where it is there; a program that is bound to it would not start elsewhere.
#[test]
fn the_program_is_bound_to_no_library_of_nvidias() {
    let said = Command::new("readelf").arg("-d").arg(mkbc::BINARY).output().expect("readelf comes with the C compiler");
    let said = String::from_utf8_lossy(&said.stdout);
    let needed: Vec<&str> = said.lines().filter(|l| l.contains("NEEDED")).collect();
    assert!(needed.iter().any(|l| l.contains("libc.so")), "{said}");
    assert!(!needed.iter().any(|l| ["cuda", "cublas", "nvrtc", "nvidia"].iter().any(|n| l.contains(n))), "{needed:?}");
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

/// `gpu/check.sh` on the fake driver: each part by itself, whatever became of the others, and all of it in one file. The programs that it would
/// find in a bundle are mkbc itself and scripts that fail, or do not end.
#[test]
fn the_check_of_a_gpu_goes_on_whatever_a_part_does() {
    let mkbc = Mkbc::new();
    let bin = mkbc.path("bundle/bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    std::os::unix::fs::symlink(mkbc::BINARY, bin.join("mkbc")).expect("a link");
    for (name, text) in [("kernels", "echo scenes differ; exit 1"), ("kernels-bench", "sleep 60")] {
        mkbc.write(&format!("bundle/bin/{name}"), format!("#!/bin/sh\n{text}\n"));
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("a program");
    }
    fake("cuda", &[], &mkbc);
    let check = |arguments: &[&str]| {
        let mut command = Command::new("bash");
        command.arg(repository().join("gpu/check.sh")).args(arguments).env("LD_LIBRARY_PATH", mkbc.path(""));
        command.env_remove("MKBC_CANDLE").env_remove("MKBC_NVRTC").stdin(Stdio::null());
        let done = command.output().expect("bash");
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stdout).into_owned(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    let (bundle, out) = (mkbc.path("bundle").display().to_string(), mkbc.path("out").display().to_string());
    let parts = ["--only", "inventory,kernels,agree,benchmarks", "--within", "8"];
    let (code, table, err) = check(&[&["--prebuilt", &bundle, "--out", &out][..], &parts].concat());
    assert_eq!(code, Some(1), "{table}{err}");
    let all: Value = serde_json::from_str(&mkbc.read("out/check.json")).expect("JSON");
    let results: Vec<(&str, &str)> = all["parts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|p| Some((p["part"].as_str()?, p["result"].as_str()?)))
        .collect();
    let wanted = [("inventory", "passed"), ("kernels", "failed"), ("agree", "lacking"), ("benchmarks", "too late")];
    assert_eq!(results, wanted, "{table}{err}");
    assert_eq!(all["devices"]["gpus"]["devices"][0]["name"], "NVIDIA H100 FAKE");
    assert_eq!(all["parts"][1]["said"], "scenes differ");
    assert!(all["parts"][2]["said"].as_str().is_some_and(|s| s.contains("workers/cuda.sh")), "{all:#}");
    for line in ["inventory   passed", "kernels     failed", "stopped after", "written: "] {
        assert!(table.contains(line), "no `{line}`: {table}");
    }
    assert_eq!(check(&["--only", "dance"]).0, Some(2));
    std::fs::remove_file(mkbc.path("libcuda.so")).expect("gone");
    if !has_driver() {
        let (code, _, err) = check(&["--prebuilt", &bundle, "--out", &out]);
        assert!(code == Some(3) && err.contains("no NVIDIA GPU here"), "{code:?}: {err}");
    }
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
