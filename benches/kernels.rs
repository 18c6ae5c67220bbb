//! Kernels and their twins: `cargo bench --bench kernels`. Where there is no GPU, the twins alone.
//!
//! MKBC_BENCH_JSON names a file that gets the figures as JSON; MKBC_BENCH_ROWS how many vectors are searched (100,000; 1,000,000 on a GPU).

use murakkab::run::devices::{Gpus, cuda};
use murakkab::run::kernels::gpu::{self, Gpu};
use murakkab::run::kernels::nearest::{Rows, nearest};
use murakkab::run::kernels::{Place, Shape, frames, scenes};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

const FULL_HD: Shape = Shape { width: 1920, height: 1080 };
const SMALL: Shape = Shape { width: 320, height: 180 };
const REPEATS: usize = 7;

fn main() {
    let gpu = match cuda::gpus().0 {
        Gpus::Devices(_) => gpu::open("").map_err(|fault| eprintln!("the GPU is left out: {fault:?}")).ok(),
        none => {
            eprintln!("there is no GPU here ({none:?}): the twins on the CPU alone");
            None
        }
    };
    let mut places: Vec<(String, Place)> =
        [1, 2].map(|threads| (format!("cpu * {threads}"), Place::Cpu { threads })).into();
    if let Some(gpu) = &gpu {
        places.push((gpu.name.clone(), Place::Gpu { kind: gpu.name.clone() }));
    }
    let mut rows = Vec::new();
    for (place, at) in &places {
        for (shape, count) in [(FULL_HD, 48), (SMALL, 960)] {
            let data = pixels(shape, count);
            let seconds = median(|| {
                scenes::count(at, shape, &mut data.as_slice(), &mut |_| ()).expect("counted");
            });
            rows.push(row("scene counts", &size(shape), place, seconds / count as f64 * 1e3, "ms a frame"));
        }
        let data = pixels(FULL_HD, 24);
        let pictures: Vec<&[u8]> = data.chunks_exact(FULL_HD.bytes()).collect();
        let to = Shape { width: 640, height: 360 };
        let seconds = median(|| {
            frames::at(at, &pictures, FULL_HD, to).expect("resized");
        });
        let what = format!("{} to {}", size(FULL_HD), size(to));
        rows.push(row("resize", &what, place, seconds / pictures.len() as f64 * 1e3, "ms a frame"));
    }
    vectors(gpu.as_ref(), &mut rows);
    for row in &rows {
        println!(
            "{:<14} {:<24} {:<24} {:>10.3} {}",
            row["what"].as_str().unwrap_or_default(),
            row["of"].as_str().unwrap_or_default(),
            row["place"].as_str().unwrap_or_default(),
            row["value"].as_f64().unwrap_or_default(),
            row["unit"].as_str().unwrap_or_default()
        );
    }
    if let Some(file) = std::env::var_os("MKBC_BENCH_JSON") {
        std::fs::write(&file, json!({"rows": rows}).to_string()).expect("the file can be written");
    }
}

/// The nearest 10 of vectors of 768 numbers: bytes read a second, on the CPU and from a GPU's own memory.
fn vectors(gpu: Option<&Arc<Gpu>>, rows: &mut Vec<Value>) {
    let usual = if gpu.is_some() { 1_000_000 } else { 100_000 };
    let count = std::env::var("MKBC_BENCH_ROWS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    let length = 768;
    let mut random = fastrand::Rng::with_seed(7);
    let values: Vec<f32> = (0..count * length).map(|_| random.f32() - 0.5).collect();
    let query: Vec<f32> = (0..length).map(|_| random.f32() - 0.5).collect();
    let all = Rows { values: &values, length };
    let of = format!("{count} x {length}");
    let rate = |seconds: f64| (count * length * 4) as f64 / seconds / 1e9;
    let mut wanted = Vec::new();
    for threads in [1, 2] {
        let seconds = median(|| wanted = nearest(all, &query, 10, threads));
        rows.push(row("nearest 10", &of, &format!("cpu * {threads}"), rate(seconds), "GB/s"));
    }
    let Some(gpu) = gpu else { return };
    let there = gpu::nearest::Resident::new(gpu, all).expect("copied");
    let mut found = Vec::new();
    let seconds = median(|| found = there.nearest(&query, 10).expect("found"));
    let positions = |found: &[(usize, f32)]| found.iter().map(|f| f.0).collect::<Vec<_>>();
    assert_eq!(positions(&found), positions(&wanted), "the GPU finds what the CPU finds");
    rows.push(row("nearest 10", &of, &gpu.name, rate(seconds), "GB/s"));
    if let Ok(most) = gpu.bandwidth() {
        rows.push(row("nearest 10", "share of bandwidth", &gpu.name, rate(seconds) * 1e11 / most, "%"));
    }
}

fn pixels(shape: Shape, count: usize) -> Vec<u8> {
    // Areas with edges and some noise, as pictures have them.
    let mut random = fastrand::Rng::with_seed(3);
    let (width, pixels) = (shape.width as usize, shape.pixels() * count);
    let value = |i: usize, c: usize| (i % width / 60 * 40 + i / width / 50 * 30 + c * 70) as u8;
    (0..pixels).flat_map(|i| [0, 1, 2].map(|c| value(i, c).wrapping_add(random.u8(0..8)))).collect()
}

fn median(mut work: impl FnMut()) -> f64 {
    work();
    let mut times: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[REPEATS / 2]
}

fn size(shape: Shape) -> String {
    format!("{}x{}", shape.width, shape.height)
}

fn row(what: &str, of: &str, place: &str, value: f64, unit: &str) -> Value {
    json!({"what": what, "of": of, "place": place, "value": value, "unit": unit})
}
