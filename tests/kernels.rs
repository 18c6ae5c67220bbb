//! Kernels: they compile for every architecture without a GPU, and agree with their twins on the CPU, which agree with the plainest way to
//! compute the same.
//!
//! Where there is a GPU the kernels run on it (`MKBC_GPU=1`: a machine without one fails). Elsewhere a fake driver (tests/kernels/fake_gpu.cpp)
//! runs them on the CPU, and the tests say so. What is missing for that (NVRTC, a C++ compiler) is a skip that says so, unless
//! MKBC_REQUIRE_TOOLS is set.

#[path = "kernels/cubin.rs"]
mod cubin;
#[path = "kernels/device.rs"]
mod device;
#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "kernels/plans.rs"]
mod plans;
#[path = "kernels/reference.rs"]
mod reference;

use device::{places, skipped};
use murakkab::run::fault::FaultKind;
use murakkab::run::kernels::gpu::compile::{self, SOURCES, Source};
use murakkab::run::kernels::nearest::Rows;
use murakkab::run::kernels::{Place, Shape, frames, nearest, scenes};
use proptest::prelude::*;
use std::path::Path;

/// Ampere, Hopper, Blackwell.
const ARCHITECTURES: [&str; 3] = ["sm_80", "sm_90", "sm_120"];

fn has_nvrtc() -> bool {
    match compile::version() {
        Ok(_) => true,
        Err(fault) => {
            skipped(&format!("{}; {}", fault.message, fault.help.unwrap_or_default()));
            false
        }
    }
}

#[test]
fn every_kernel_compiles_for_every_architecture_without_a_gpu() {
    if !has_nvrtc() {
        return;
    }
    for source in SOURCES {
        for arch in ARCHITECTURES {
            let made = compile::compile(source, arch).unwrap_or_else(|fault| panic!("{fault:?}"));
            assert_eq!(made.log, "", "{} for {arch}", source.name);
            let kernels = cubin::kernels(&made.cubin);
            let names: Vec<&str> = kernels.iter().map(|k| k.name.as_str()).collect();
            assert_eq!(names, source.kernels, "{} for {arch}", source.name);
            for kernel in kernels {
                // 65,536 registers for 8 blocks of 256 threads; more, and fewer blocks hide each other's waiting.
                assert!((1..=64).contains(&kernel.registers), "{kernel:?} for {arch}");
                assert_eq!(kernel.spilled, 0, "{kernel:?} for {arch}");
                println!("{arch} {}: {} registers, {} bytes of code", kernel.name, kernel.registers, kernel.code);
            }
        }
    }
}

#[test]
fn what_does_not_compile_is_a_fault_with_the_compilers_words() {
    if !has_nvrtc() {
        return;
    }
    let wrong = Source { name: "wrong", text: "extern \"C\" __global__ void f() { int x = y; }", kernels: &["f"] };
    let fault = compile::compile(&wrong, "sm_90").expect_err("`y` is nothing");
    assert_eq!(fault.kind, FaultKind::Device);
    assert!(fault.message.contains("`wrong.cu` for sm_90"), "{}", fault.message);
    assert!(fault.detail.as_deref().is_some_and(|d| d.contains("wrong.cu(1)") && d.contains("\"y\"")), "{fault:?}");
    assert!(compile::compile(SOURCES[0], "sm_1").is_err());
}

#[test]
fn machine_code_is_kept_and_what_is_broken_is_made_again() {
    if !has_nvrtc() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let first = compile::cached(SOURCES[1], "sm_90", folder.path()).expect("compiled");
    let files = || -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder.path()).expect("a folder").filter_map(Result::ok);
        entries.map(|e| e.path()).collect()
    };
    let file = files().pop().expect("a file");
    let name = file.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
    let (major, minor) = compile::version().expect("a version");
    assert!(name.starts_with("frames-") && name.ends_with(&format!("-sm_90-nvrtc{major}.{minor}.cubin")), "{name}");
    // What lies there is what is taken: nothing is compiled again.
    std::fs::write(&file, b"\x7fELF kept").expect("written");
    assert_eq!(compile::cached(SOURCES[1], "sm_90", folder.path()).expect("kept"), b"\x7fELF kept");
    std::fs::write(&file, b"cut o").expect("written");
    assert_eq!(compile::cached(SOURCES[1], "sm_90", folder.path()).expect("made again"), first);
    compile::cached(SOURCES[1], "sm_80", folder.path()).expect("another architecture");
    assert_eq!(files().len(), 2);
}

/// No test: puts machine code for an architecture where `gpu/bundle.sh` wants it.
#[test]
#[ignore = "for gpu/bundle.sh, which says where and for what"]
fn machine_code_for_a_bundle() {
    let [Ok(folder), Ok(arch)] = ["MKBC_KERNELS", "MKBC_ARCH"].map(std::env::var) else { return };
    for source in SOURCES {
        compile::cached(source, &arch, Path::new(&folder)).unwrap_or_else(|fault| panic!("{fault:?}"));
    }
}

#[test]
fn a_kernel_that_fails_is_named_with_its_device() {
    let Some(fail) = device::failing() else { return };
    let rows = [1.0, 0.0, 0.0, 1.0];
    let asked = || nearest::at(&Place::Gpu { kind: String::new() }, Rows { values: &rows, length: 2 }, &[1.0, 0.0], 1);
    let fault = fail(&|| asked().expect_err("it fails"));
    assert_eq!(
        (fault.kind, fault.message.as_str()),
        (
            FaultKind::Device,
            "the kernel `nearest` failed on NVIDIA L4 (a fake): an illegal memory access was encountered"
        )
    );
    assert_eq!(asked().expect("it works again"), [(0, 1.0)]);
    let absent = nearest::at(&Place::Gpu { kind: "h100".into() }, Rows { values: &rows, length: 2 }, &[1.0, 0.0], 1);
    assert_eq!(absent.expect_err("no such").message, "the plan needs a GPU (h100): there is NVIDIA L4 (a fake)");
}

/// Pictures of this shape with all that is of interest: noise, areas of one colour, edges.
fn pictures(count: usize, shape: Shape, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count)
        .flat_map(|_| {
            let noisy = random.bool();
            let (plain, split) = ([random.u8(..), random.u8(..), random.u8(..)], random.u32(0..=shape.width));
            let mut pixels = Vec::with_capacity(shape.bytes());
            for i in 0..shape.pixels() as u32 {
                let noise = [random.u8(..), random.u8(..), random.u8(..)];
                let value = if noisy { noise } else { plain.map(|v| if i % shape.width < split { v } else { !v }) };
                pixels.extend(value);
            }
            pixels
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn frames_are_counted_alike_everywhere(width in 1_u32..150, height in 1_u32..40, count in 1_usize..9, seed: u64) {
        let shape = Shape { width, height };
        let frames = pictures(count, shape, seed);
        let wanted: Vec<u32> = frames.chunks_exact(shape.bytes()).flat_map(|f| reference::features(f, shape)).collect();
        for place in places() {
            let mut counts = Vec::new();
            let cut_off = [&frames[..], &[0; 1][..usize::from(shape.bytes() > 1)]].concat();
            scenes::count(place, shape, &mut cut_off.as_slice(), &mut |c| counts.extend_from_slice(c)).expect("counted");
            prop_assert!(counts == wanted, "{:?}", place);
        }
    }

    #[test]
    fn pictures_are_resized_alike_everywhere(
        (width, height, to_width, to_height) in (1_u32..60, 1_u32..40, 1_u32..50, 1_u32..40), count in 1_usize..4, seed: u64
    ) {
        let (from, to) = (Shape { width, height }, Shape { width: to_width, height: to_height });
        let data = pictures(count, from, seed);
        let data: Vec<&[u8]> = data.chunks_exact(from.bytes()).collect();
        let wanted: Vec<Vec<u8>> = data.iter().map(|p| reference::resized(p, from, to)).collect();
        for place in places() {
            let found = frames::at(place, &data, from, to).expect("resized");
            prop_assert!(found == wanted, "{:?}", place);
        }
    }

    #[test]
    fn the_nearest_are_the_same_everywhere(count in 0_usize..1300, length in 1_usize..70, most in 1_usize..20, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut number = |_| random.f32() * 2.0 - 1.0;
        let values: Vec<f32> = (0..count * length).map(&mut number).collect();
        let query: Vec<f32> = (0..length).map(&mut number).collect();
        let rows = Rows { values: &values, length };
        let exact = reference::cosines(&values, &query);
        for place in places() {
            let found = nearest::at(place, rows, &query, most).expect("found");
            prop_assert_eq!(found.len(), most.min(count), "{:?}", place);
            let mut all = exact.clone();
            all.sort_by(|a, b| b.total_cmp(a));
            for ((row, cosine), wanted) in found.iter().zip(&all) {
                prop_assert!((exact[*row] - f64::from(*cosine)).abs() < 1e-5, "{:?}: row {}", place, row);
                prop_assert!((wanted - f64::from(*cosine)).abs() < 1e-5, "{:?}", place);
            }
            let mut rows: Vec<usize> = found.iter().map(|f| f.0).collect();
            rows.sort_unstable();
            rows.dedup();
            prop_assert_eq!(rows.len(), found.len(), "a row twice, {:?}", place);
        }
    }
}

#[test]
fn vectors_without_length_and_equal_ones_keep_their_order() {
    let values = [0.0, 0.0, 2.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0];
    for place in places() {
        let found = nearest::at(place, Rows { values: &values, length: 2 }, &[3.0, 0.0], 9).expect("found");
        assert_eq!(found, [(1, 1.0), (2, 1.0), (0, 0.0), (4, 0.0), (3, -1.0)], "{place:?}");
    }
}

#[test]
fn more_rows_than_a_piece_and_more_wanted_than_a_block_has() {
    // 9,000 rows of 1,000 numbers are 36 MB: two pieces. More than 512 are wanted: all of a block are candidates.
    let (count, length) = (9000, 1000);
    let values: Vec<f32> =
        (0..count * length).map(|i| if i % length == i / length % 7 { 1.0 } else { 0.001 }).collect();
    let query: Vec<f32> = (0..length).map(|i| if i == 3 { 1.0 } else { 0.0 }).collect();
    for place in places() {
        let found = nearest::at(place, Rows { values: &values, length }, &query, 600).expect("found");
        let wanted: Vec<usize> = (0..600).map(|i| i * 7 + 3).collect();
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), wanted, "{place:?}");
    }
}

/// Two lanes take turns: what is sent is copied and worked on while the next piece is filled, and only then is anything waited for.
#[test]
fn copies_of_one_piece_overlap_with_work_on_another() {
    let Some(gpu) = places().iter().find(|p| matches!(p, Place::Gpu { .. })) else { return };
    // 20 MB a picture: each is a piece of its own.
    let shape = Shape { width: 2600, height: 2600 };
    let data: Vec<Vec<u8>> = (0..4).map(|i| vec![i; shape.bytes()]).collect();
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let small = Shape { width: 2, height: 2 };
    let asked = device::asked(|| {
        let found = frames::at(gpu, &data, shape, small).expect("resized");
        assert_eq!(found, [[0; 12], [1; 12], [2; 12], [3; 12]]);
    });
    let Some(asked) = asked else { return };
    let wanted = "H0 K0 D0 H1 K1 D1 S0 H0 K0 D0 S1 H1 K1 D1 S0 S1";
    let of_lanes: Vec<&str> = asked.iter().map(String::as_str).collect();
    assert!(of_lanes.join(" ").starts_with(wanted), "{of_lanes:?}");
}

#[test]
fn a_cut_stands_out_from_what_moves() {
    let mut differences = vec![0.01; 40];
    differences[10] = 0.6;
    differences[11] = 0.55;
    differences[30] = 0.3;
    assert_eq!(scenes::cuts(&differences, 12.5), [11, 31]);
    // Something that moves all the time differs all the time.
    assert!(scenes::cuts(&[0.4; 40], 12.5).is_empty());
    assert!(scenes::cuts(&[], 12.5).is_empty());
    let shape = Shape { width: 64, height: 32 };
    let data = [vec![20; shape.bytes()], vec![200; shape.bytes()]].concat();
    let counts = scenes::features(&data, shape, 1);
    let (a, b) = counts.split_at(scenes::FEATURES);
    assert_eq!(scenes::difference(a, a), 0.0);
    assert!((0.69..=1.0).contains(&scenes::difference(a, b)), "{}", scenes::difference(a, b));
}

#[test]
fn brightness_and_contrast_do_not_make_another_picture() {
    let shape = Shape { width: frames::SIDE, height: frames::SIDE };
    let mut random = fastrand::Rng::with_seed(1);
    let first: Vec<u8> = (0..shape.bytes()).map(|_| random.u8(40..160)).collect();
    let brighter: Vec<u8> = first.iter().map(|v| v + 60).collect();
    let other: Vec<u8> = (0..shape.bytes()).map(|_| random.u8(40..160)).collect();
    let [first, brighter, other] = [&first, &brighter, &other].map(|p| frames::normalised(p));
    assert!(frames::likeness(&first, &brighter) > 0.9999);
    assert!(frames::likeness(&first, &other) < 0.5);
    let plain = frames::normalised(&[7; 768]);
    assert_eq!((frames::likeness(&plain, &plain), frames::likeness(&plain, &first)), (1.0, 0.0));
}
