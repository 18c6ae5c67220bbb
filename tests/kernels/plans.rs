//! Plans over the kernels: chosen by the solver, run on a core and on a GPU (the fake one where there is none), with the same result.

use crate::device;
use crate::mkbc::{self, Mkbc, have};
use murakkab::run::kernels::gpu::compile;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Three scenes of 3 s, of which the middle one moves; with sound.
fn film(at: &Path) {
    let scenes =
        ["color=c=0x204080:s=960x540:r=24:d=3", "testsrc=s=960x540:r=24:d=3", "color=c=0xa05020:s=960x540:r=24:d=3"];
    let inputs = scenes.iter().flat_map(|s| ["-f", "lavfi", "-i", s]);
    let arguments = inputs.chain(["-f", "lavfi", "-i", "sine=d=9:r=16000"]);
    let joined = ["-filter_complex", "[0][1][2]concat=n=3[v]", "-map", "[v]", "-map", "3", "-pix_fmt", "yuv420p"];
    let made =
        Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y"]).args(arguments).args(joined).arg(at).status();
    assert!(made.expect("ffmpeg starts").success());
}

/// The whole way from a plan to frames, with the steps pinned to this device; and the run's report.
fn pieces(device: &str, env: &[(&str, &Path)]) -> Result<(Value, Value), String> {
    let mkbc = Mkbc::new();
    film(&mkbc.path("film.mp4"));
    let job = format!(
        "use std.video\nuse kernels\n\njob pieces(video: Video) -> Frames {{\n  let (frames, audio) = scene_detection(video) using \
         histogram_scenes(frames: 5) on {device} * 1\n  distinct_frames(frames) using unlike_frames on {device} * 1\n}}\n"
    );
    mkbc.write("job.mkb", job);
    let mut command = mkbc.command([
        "run",
        "job.mkb",
        "--cluster",
        "here",
        "--video",
        "film.mp4",
        "--quiet",
        "--folder",
        "out",
        "--library",
    ]);
    command.arg(mkbc::repository().join("gpu/library")).envs(env.iter().map(|(name, path)| (name, path)));
    let done = mkbc.end(&mut command);
    if done.code != Some(0) {
        return Err(done.err);
    }
    let mut found: Value = serde_json::from_str(&mkbc.read("out/result.json")).expect("JSON");
    for frame in found["frames"].as_array_mut().expect("frames") {
        let file = frame["file"].as_str().expect("a file");
        let bytes = std::fs::read(file).expect("the frame is there");
        assert!(bytes.starts_with(b"\x89PNG"));
        // Where it lies differs, what it shows must not.
        frame["file"] = murakkab::digest::file_digest(Path::new(file)).expect("read").into();
    }
    Ok((found, serde_json::from_str(&mkbc.read("out/report.json")).expect("JSON")))
}

#[test]
fn a_plan_finds_the_same_scenes_and_frames_on_a_cpu_and_on_a_gpu() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let (on_cpu, _) = pieces("cpu", &[]).unwrap_or_else(|said| panic!("{said}"));
    let starts: Vec<f64> =
        on_cpu["scenes"].as_array().into_iter().flatten().filter_map(|s| s["start"].as_f64()).collect();
    assert_eq!(starts.len(), 3, "{on_cpu}");
    assert!((2.95..3.05).contains(&starts[1]) && (5.95..6.05).contains(&starts[2]), "{starts:?}");
    assert_eq!(on_cpu["pixels"], 640 * 360);
    // Of the scenes of one colour one frame is left.
    let of = |scene: u64| on_cpu["frames"].as_array().into_iter().flatten().filter(|f| f["scene"] == scene).count();
    assert_eq!((of(0), of(2)), (1, 1), "{on_cpu}");
    let Some(driver) = device::fake_driver() else { return };
    let nvrtc = compile::cache_folder().with_file_name("nvrtc");
    let nvrtc = std::env::var_os("MKBC_NVRTC").map_or(nvrtc, Into::into);
    let (on_gpu, report) =
        pieces("l4", &[("LD_LIBRARY_PATH", &driver), ("MKBC_NVRTC", &nvrtc)]).unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(on_gpu, on_cpu);
    // Where it was, and what it took: the fake's counter rises by 300 W.
    for step in report["steps"].as_array().expect("steps") {
        let uuid = "GPU-01010101-0101-0101-0101-010101010101";
        assert_eq!((&step["devices"][0], &step["as_planned"]), (&uuid.into(), &true.into()), "{step:#}");
        assert_eq!(step["energy_basis"], "measured", "{step:#}");
        let number = |name: &str| step[name].as_f64().expect("a number");
        let watts = number("energy_wh") * 3600.0 / number("busy_s");
        assert!((200.0..400.0).contains(&watts) && step["planned"]["energy_wh"].is_number(), "{watts}: {step:#}");
    }
    let energy = &report["energy"][0];
    let wh = |name: &str| energy[name].as_f64().expect("a number");
    assert!((wh("steps_wh") + wh("idle_wh") - wh("total_wh")).abs() < 1e-9 && wh("steps_wh") > 0.0, "{energy:#}");
    let without = pieces("l4", &[("LD_LIBRARY_PATH", &driver), ("MKBC_NVRTC", Path::new("/nonexistent"))]);
    let said = without.expect_err("kernels cannot be compiled");
    assert!(said.contains("libnvrtc") && said.contains("pip install"), "{said}");
}

/// Over the same library, a GPU is taken where its figures are the better ones, and is what is left where they are not.
#[test]
fn the_solver_chooses_between_a_core_and_a_gpu() {
    let mkbc = Mkbc::new();
    let job = "use std.video\nuse kernels\n\njob pieces(video: Video) -> Frames {\n  minimize latency\n  let (frames, audio) = \
               scene_detection(video) using histogram_scenes(frames: 5)\n  distinct_frames(frames) using unlike_frames\n}\n";
    mkbc.write("job.mkb", job);
    std::fs::create_dir_all(mkbc.path("lib/measured")).expect("a folder");
    let library = mkbc::repository().join("gpu/library").display().to_string();
    let devices = |more: &[&str]| {
        let plan = ["plan", "job.mkb", "--cluster", "azure_mixed", "--json", "--library", &library];
        let done = mkbc.run(&[&plan[..], more].concat());
        let plan: Value = serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {}", done.err));
        let step = plan["steps"][0].clone();
        let device = |v: &Value| v["hardware"]["device"].as_str().unwrap_or_default().to_owned();
        (device(&step), device(&step["fallbacks"][0]))
    };
    assert_eq!(devices(&[]), ("cpu".to_owned(), "h100".to_owned()));
    let quick = "frames,device,units,figure,value,unit,low,high,evidence,source\n\
                 5,h100,1,latency,0.001,s,0.001,0.001,measured,\"h100, 2026-11-30, 5 runs: made up for a test\"\n";
    mkbc.write("lib/measured/histogram_scenes.csv", quick);
    assert_eq!(devices(&["--library", "lib"]), ("h100".to_owned(), "cpu".to_owned()));
}
