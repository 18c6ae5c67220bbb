//! Random pictures: nothing overlaps, what belongs into a group is in it, and arrows run downwards past everything else.

use super::{Rect, place};
use crate::graph::{Arrow, Group, Picture, Shape, ShapeKind};

/// Boxes in a row of nested groups, each a part of the row, and arrows onwards.
fn picture(rng: &mut fastrand::Rng) -> Picture {
    let count = rng.usize(1..14);
    let mut picture = Picture::default();
    let shape = || Shape {
        kind: ShapeKind::Step,
        lines: Vec::new(),
        line: 0,
        call: None,
        critical: false,
        group: None,
        colour: None,
    };
    picture.boxes = (0..count).map(|_| shape()).collect();
    for _ in 0..rng.usize(..5) {
        let from = rng.usize(..count);
        let to = rng.usize(from..count);
        // A part of one group or a whole that holds no part of one, so that groups nest.
        let parent = picture.boxes[from].group;
        if picture.boxes[from..=to].iter().all(|b| b.group == parent) {
            picture.groups.push(Group { title: String::new(), parent });
            let group = Some(picture.groups.len() - 1);
            picture.boxes[from..=to].iter_mut().for_each(|b| b.group = group);
        }
    }
    for to in 1..count {
        for _ in 0..rng.usize(..3) {
            picture.arrows.push(Arrow { from: rng.usize(..to), to, control: rng.bool(), critical: false });
        }
    }
    picture.arrows.sort();
    picture.arrows.dedup();
    picture
}

fn apart(a: Rect, b: Rect) -> bool {
    a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
}

fn within(inner: Rect, outer: Rect) -> bool {
    inner.x >= outer.x
        && inner.y >= outer.y
        && inner.x + inner.w <= outer.x + outer.w + 1.0
        && inner.y + inner.h <= outer.y + outer.h + 1.0
}

#[test]
fn nothing_overlaps_and_arrows_run_past_boxes() {
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let picture = picture(&mut rng);
        let sizes: Vec<(f64, f64)> =
            picture.boxes.iter().map(|_| (rng.u32(20..200).into(), rng.u32(20..90).into())).collect();
        let titles: Vec<f64> = picture.groups.iter().map(|_| rng.u32(10..300).into()).collect();
        let places = place(&picture, &sizes, &titles);
        let about = format!("seed {seed}: {picture:?} {places:?}");
        let whole = Rect { x: 0.0, y: 0.0, w: places.width, h: places.height };
        for (at, rect) in places.boxes.iter().enumerate() {
            assert_eq!((rect.w, rect.h), sizes[at], "{about}");
            let outer = picture.boxes[at].group.map_or(whole, |group| places.groups[group]);
            assert!(within(*rect, outer), "box {at}, {about}");
            assert!(places.boxes[..at].iter().all(|other| apart(*rect, *other)), "box {at}, {about}");
        }
        for (at, group) in picture.groups.iter().enumerate() {
            let outer = group.parent.map_or(whole, |parent| places.groups[parent]);
            assert!(within(places.groups[at], outer), "group {at}, {about}");
            let inside = |mut of: Option<usize>| loop {
                match of {
                    Some(group) if group == at => return true,
                    Some(group) => of = picture.groups[group].parent,
                    None => return false,
                }
            };
            for (number, shape) in picture.boxes.iter().enumerate() {
                assert!(inside(shape.group) || apart(places.boxes[number], places.groups[at]), "{number} {at} {about}");
            }
        }
        for (arrow, route) in picture.arrows.iter().zip(&places.routes) {
            assert!(route.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{arrow:?} {route:?} {about}");
            for pair in route.windows(2) {
                let [(ax, ay), (bx, by)] = [pair[0], pair[1]];
                let span = Rect { x: ax.min(bx), y: ay, w: (ax - bx).abs(), h: by - ay };
                for (at, rect) in places.boxes.iter().enumerate().filter(|(at, _)| *at != arrow.from && *at != arrow.to)
                {
                    let inner = Rect { x: rect.x + 0.5, y: rect.y + 0.5, w: rect.w - 1.0, h: rect.h - 1.0 };
                    assert!(apart(span, inner), "{arrow:?} runs through {at}: {route:?} {about}");
                }
            }
        }
    }
}
