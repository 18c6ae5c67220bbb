//! Boxes with sizes, groups, arrows → places. Layered, each group by itself and then as one box of the group around it: a box stands
//! below all that it waits for, an arrow that passes a layer has a place of its own in it, layers are ordered for few crossings, and
//! places in a layer follow what they are tied to above and below.

use super::Picture;
use std::collections::{BTreeMap, BTreeSet};

/// Between two things in a layer.
const BESIDE: f64 = 28.0;
/// Between two layers.
const BELOW: f64 = 40.0;
/// Inside the edge of a group.
const INSIDE: f64 = 16.0;
/// The title of a group.
const TITLE: f64 = 22.0;
/// Rounds of ordering and of placing; more change nothing that can be seen.
const ROUNDS: usize = 6;
/// Crossings are counted up to so many arrows between two layers; beyond that the last order is taken.
const COUNTED: usize = 400;

/// A place: left, top, width, height.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

/// Where everything is.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub width: f64,
    pub height: f64,
    pub boxes: Vec<Rect>,
    pub groups: Vec<Rect>,
    /// By arrow: the points that it runs through, from top to bottom.
    pub routes: Vec<Vec<(f64, f64)>>,
}

/// Places a picture. `sizes` are those of the boxes, `titles` the widths of the groups' titles.
pub fn place(picture: &Picture, sizes: &[(f64, f64)], titles: &[f64]) -> Places {
    let mut pass = Pass { picture, children: BTreeMap::new(), levels: BTreeMap::new() };
    for at in 0..picture.boxes.len() {
        pass.add(Child::Box(at), picture.boxes[at].group);
    }
    // Inner groups come after those around them.
    for group in (0..picture.groups.len()).rev() {
        let level = pass.level(Some(group), sizes);
        pass.levels.insert(Some(group), level.titled(titles[group]));
    }
    let whole = pass.level(None, sizes);
    let (width, height) = (whole.w, whole.h);
    pass.levels.insert(None, whole);
    let mut places = Places {
        width,
        height,
        boxes: vec![Rect::default(); picture.boxes.len()],
        groups: vec![Rect::default(); picture.groups.len()],
        routes: Vec::new(),
    };
    pass.settle(None, (0.0, 0.0), &mut places);
    places.routes = picture.arrows.iter().map(|arrow| pass.route(arrow.from, arrow.to, &places)).collect();
    places
}

/// What a level is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Child {
    Box(usize),
    Group(usize),
    /// Where the arrows of a box pass a layer.
    Pass {
        of: usize,
        layer: usize,
    },
}

/// A group, or the picture as a whole, with places relative to its own corner.
#[derive(Clone, Debug, Default)]
struct Level {
    w: f64,
    h: f64,
    places: BTreeMap<Child, Rect>,
    layer: BTreeMap<Child, usize>,
    /// Top and bottom of each layer.
    layers: Vec<(f64, f64)>,
}

impl Level {
    /// With room for a title and an edge around it.
    fn titled(mut self, title: f64) -> Level {
        let wider = (title - self.w).max(0.0);
        for place in self.places.values_mut() {
            place.x += INSIDE + wider / 2.0;
            place.y += INSIDE + TITLE;
        }
        for (top, bottom) in &mut self.layers {
            *top += INSIDE + TITLE;
            *bottom += INSIDE + TITLE;
        }
        self.w += wider + 2.0 * INSIDE;
        self.h += 2.0 * INSIDE + TITLE;
        self
    }
}

struct Pass<'a> {
    picture: &'a Picture,
    /// By group, in the order of the workflow.
    children: BTreeMap<Option<usize>, Vec<Child>>,
    levels: BTreeMap<Option<usize>, Level>,
}

impl Pass<'_> {
    /// A box, and the groups around it that are not there yet.
    fn add(&mut self, child: Child, group: Option<usize>) {
        let there = self.children.entry(group).or_default();
        if there.contains(&child) {
            return;
        }
        there.push(child);
        if let Some(group) = group {
            self.add(Child::Group(group), self.picture.groups[group].parent);
        }
    }

    /// The child of a level that a box is in, if it is in that level.
    fn within(&self, at: usize, level: Option<usize>) -> Option<Child> {
        let (mut child, mut group) = (Child::Box(at), self.picture.boxes[at].group);
        while group != level {
            let inner = group?;
            (child, group) = (Child::Group(inner), self.picture.groups[inner].parent);
        }
        Some(child)
    }

    fn level(&self, group: Option<usize>, sizes: &[(f64, f64)]) -> Level {
        let children = self.children.get(&group).cloned().unwrap_or_default();
        let order: BTreeMap<Child, usize> = children.iter().enumerate().map(|(at, child)| (*child, at)).collect();
        let ends: Vec<(usize, Option<Child>, Option<Child>)> = self
            .picture
            .arrows
            .iter()
            .map(|a| (a.from, self.within(a.from, group), self.within(a.to, group)))
            .filter(|(_, from, to)| from != to)
            .collect();
        // Children stand in the order of the workflow: one walk finds the lowest layer that each must be below.
        let mut layer: BTreeMap<Child, usize> = children.iter().map(|child| (*child, 0)).collect();
        for child in &children {
            let before = ends.iter().filter(|(_, _, to)| to.as_ref() == Some(child)).filter_map(|(_, from, _)| *from);
            let lowest = before.filter(|from| order[from] < order[child]).map(|from| layer[&from] + 1).max();
            layer.insert(*child, lowest.unwrap_or(0));
        }
        let count = layer.values().max().map_or(0, |most| most + 1);
        let mut links: BTreeSet<(Child, Child)> = BTreeSet::new();
        for (of, from, to) in &ends {
            let (first, last) = match (from, to) {
                (Some(from), Some(to)) => (layer[from] + 1, layer[to]),
                (Some(from), None) => (layer[from] + 1, count),
                (None, Some(to)) => (0, layer[to]),
                (None, None) => continue,
            };
            let passes = (first..last).map(|layer| Child::Pass { of: *of, layer });
            let chain: Vec<Child> = from.iter().copied().chain(passes).chain(to.iter().copied()).collect();
            for pair in chain.windows(2) {
                links.insert((pair[0], pair[1]));
            }
            for child in chain {
                if let Child::Pass { layer: at, .. } = child {
                    layer.insert(child, at);
                }
            }
        }
        let mut rows: Vec<Vec<Child>> = vec![Vec::new(); count];
        let passes = layer.keys().filter(|child| !order.contains_key(child));
        for child in children.iter().chain(passes) {
            rows[layer[child]].push(*child);
        }
        let links: Vec<(Child, Child)> = links.into_iter().filter(|(a, b)| layer[a] + 1 == layer[b]).collect();
        let rows = ordered(rows, &links);
        let size = |child: &Child| match child {
            Child::Box(at) => sizes[*at],
            Child::Group(at) => self.levels.get(&Some(*at)).map_or((0.0, 0.0), |level| (level.w, level.h)),
            Child::Pass { .. } => (0.0, 0.0),
        };
        let middles = placed(&rows, &links, &|child| size(child).0);
        let left = middles.iter().map(|(child, x)| x - size(child).0 / 2.0).fold(f64::INFINITY, f64::min);
        let right = middles.iter().map(|(child, x)| x + size(child).0 / 2.0).fold(f64::NEG_INFINITY, f64::max);
        let (mut places, mut layers, mut y) = (BTreeMap::new(), Vec::new(), 0.0);
        for row in &rows {
            let height = row.iter().map(|child| size(child).1).fold(0.0, f64::max);
            for child in row {
                let (w, h) = size(child);
                let x = middles[child] - w / 2.0 - left;
                places.insert(*child, Rect { x: x.round(), y: (y + (height - h) / 2.0).round(), w, h });
            }
            layers.push((y, y + height));
            y += height + BELOW;
        }
        let w = if places.is_empty() { 0.0 } else { (right - left).ceil() };
        Level { w, h: (y - BELOW).max(0.0), places, layer, layers }
    }

    /// Places relative to levels → places in the picture.
    fn settle(&self, level: Option<usize>, (x, y): (f64, f64), places: &mut Places) {
        let Some(inner) = self.levels.get(&level) else { return };
        for (child, place) in &inner.places {
            let place = Rect { x: place.x + x, y: place.y + y, ..*place };
            match child {
                Child::Box(at) => places.boxes[*at] = place,
                Child::Group(at) => {
                    places.groups[*at] = place;
                    self.settle(Some(*at), (place.x, place.y), places);
                }
                Child::Pass { .. } => {}
            }
        }
    }

    /// The points of an arrow: down through the groups that it leaves, across the one that both ends are in, into those that it enters.
    fn route(&self, from: usize, to: usize, places: &Places) -> Vec<(f64, f64)> {
        let start = places.boxes[from];
        let mut points = vec![(start.x + start.w / 2.0, start.y + start.h)];
        let mut group = self.picture.boxes[from].group;
        while self.within(to, group).is_none() {
            self.leave(from, group, None, places, &mut points);
            let Some(inner) = group else { break };
            group = self.picture.groups[inner].parent;
        }
        let end = places.boxes[to];
        let mut upwards = vec![(end.x + end.w / 2.0, end.y)];
        let mut inner = self.picture.boxes[to].group;
        while inner != group {
            self.enter(from, to, inner, places, &mut upwards);
            let Some(this) = inner else { break };
            inner = self.picture.groups[this].parent;
        }
        self.leave(from, group, self.within(to, group), places, &mut points);
        let target = self.within(to, group).and_then(|child| Some((self.levels.get(&group)?, child)));
        if let Some((level, child)) = target {
            let (top, _) = level.layers[level.layer[&child]];
            let above = upwards[upwards.len() - 1].0;
            upwards.push((above, top + self.corner(group, places).1));
        }
        points.extend(upwards.into_iter().rev());
        points.dedup();
        points
    }

    fn corner(&self, group: Option<usize>, places: &Places) -> (f64, f64) {
        group.map_or((0.0, 0.0), |at| (places.groups[at].x, places.groups[at].y))
    }

    /// Down from a box's layer in a group, to the layer above `to` or to the end.
    fn leave(
        &self,
        from: usize,
        group: Option<usize>,
        to: Option<Child>,
        places: &Places,
        points: &mut Vec<(f64, f64)>,
    ) {
        let (Some(level), Some(child)) = (self.levels.get(&group), self.within(from, group)) else { return };
        let (x, y) = self.corner(group, places);
        let here = level.layer[&child];
        points.push((points[points.len() - 1].0, level.layers[here].1 + y));
        let end = to.map_or(level.layers.len(), |to| level.layer[&to]);
        for layer in here + 1..end {
            if let Some(place) = level.places.get(&Child::Pass { of: from, layer }) {
                points.extend([(place.x + x, level.layers[layer].0 + y), (place.x + x, level.layers[layer].1 + y)]);
            }
        }
    }

    /// Up from where an arrow ends in a group, to the group's top.
    fn enter(&self, from: usize, to: usize, group: Option<usize>, places: &Places, upwards: &mut Vec<(f64, f64)>) {
        let (Some(level), Some(child)) = (self.levels.get(&group), self.within(to, group)) else { return };
        let (x, y) = self.corner(group, places);
        let here = level.layer[&child];
        upwards.push((upwards[upwards.len() - 1].0, level.layers[here].0 + y));
        for layer in (0..here).rev() {
            if let Some(place) = level.places.get(&Child::Pass { of: from, layer }) {
                upwards.extend([(place.x + x, level.layers[layer].1 + y), (place.x + x, level.layers[layer].0 + y)]);
            }
        }
    }
}

/// Neighbours of each child in the layer above (or below).
fn neighbours(links: &[(Child, Child)], above: bool) -> BTreeMap<Child, Vec<Child>> {
    let mut found: BTreeMap<Child, Vec<Child>> = BTreeMap::new();
    for (a, b) in links {
        let (of, other) = if above { (b, a) } else { (a, b) };
        found.entry(*of).or_default().push(*other);
    }
    found
}

/// Layers in an order with few crossings: each by the mean place of its neighbours, down and up in turn.
fn ordered(mut rows: Vec<Vec<Child>>, links: &[(Child, Child)]) -> Vec<Vec<Child>> {
    let (above, below) = (neighbours(links, true), neighbours(links, false));
    let mut best = (crossings(&rows, links), rows.clone());
    for round in 0..2 * ROUNDS {
        let downwards = round % 2 == 0;
        let near = if downwards { &above } else { &below };
        let order: Vec<usize> =
            if downwards { (1..rows.len()).collect() } else { (0..rows.len()).rev().skip(1).collect() };
        for row in order {
            let fixed = if downwards { row - 1 } else { row + 1 };
            let place: BTreeMap<Child, usize> = rows[fixed].iter().enumerate().map(|(at, c)| (*c, at)).collect();
            let mean = |at: usize, child: &Child| {
                let places: Vec<f64> =
                    near.get(child).into_iter().flatten().filter_map(|n| Some(*place.get(n)? as f64)).collect();
                if places.is_empty() { at as f64 } else { places.iter().sum::<f64>() / places.len() as f64 }
            };
            let mut keyed: Vec<(f64, Child)> = rows[row].iter().enumerate().map(|(at, c)| (mean(at, c), *c)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[row] = keyed.into_iter().map(|(_, child)| child).collect();
        }
        let now = crossings(&rows, links);
        if now < best.0 {
            best = (now, rows.clone());
        }
    }
    best.1
}

/// How many pairs of links cross.
fn crossings(rows: &[Vec<Child>], links: &[(Child, Child)]) -> usize {
    let place: BTreeMap<Child, (usize, usize)> =
        rows.iter().enumerate().flat_map(|(r, row)| row.iter().enumerate().map(move |(at, c)| (*c, (r, at)))).collect();
    let mut between: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (a, b) in links {
        between.entry(place[a].0).or_default().push((place[a].1, place[b].1));
    }
    let crossed = |pairs: &Vec<(usize, usize)>| {
        let inner = |(i, a): (usize, &(usize, usize))| {
            pairs[i + 1..].iter().filter(|b| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1)).count()
        };
        if pairs.len() > COUNTED { 0 } else { pairs.iter().enumerate().map(inner).sum() }
    };
    between.values().map(crossed).sum()
}

/// The middle of each child: as near as its layer allows to the mean of its neighbours above, below, and at last both.
fn placed(rows: &[Vec<Child>], links: &[(Child, Child)], width: &dyn Fn(&Child) -> f64) -> BTreeMap<Child, f64> {
    let (above, below) = (neighbours(links, true), neighbours(links, false));
    let mut middles: BTreeMap<Child, f64> = BTreeMap::new();
    for row in rows {
        let wanted = vec![0.0; row.len()];
        middles.extend(row.iter().copied().zip(spread(row, &wanted, width)));
    }
    for round in 0..2 * ROUNDS + 1 {
        let all: Vec<usize> = if round % 2 == 0 { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        let last = round == 2 * ROUNDS;
        for row in all {
            let near = |child: &Child| {
                let up = above.get(child).into_iter().flatten().filter(|_| last || round % 2 == 0);
                let down = below.get(child).into_iter().flatten().filter(|_| last || round % 2 == 1);
                let found: Vec<f64> = up.chain(down).map(|n| middles[n]).collect();
                if found.is_empty() { middles[child] } else { found.iter().sum::<f64>() / found.len() as f64 }
            };
            let wanted: Vec<f64> = rows[row].iter().map(near).collect();
            middles.extend(rows[row].iter().copied().zip(spread(&rows[row], &wanted, width)));
        }
    }
    middles
}

/// The places nearest to the wanted ones (by squares) that keep order and distance: pool adjacent violators.
fn spread(row: &[Child], wanted: &[f64], width: &dyn Fn(&Child) -> f64) -> Vec<f64> {
    let mut offsets = vec![0.0; row.len()];
    for at in 1..row.len() {
        offsets[at] = offsets[at - 1] + (width(&row[at - 1]) + width(&row[at])) / 2.0 + BESIDE;
    }
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (want, offset) in wanted.iter().zip(&offsets) {
        pools.push((want - offset, 1));
        while let [.., (a, n), (b, m)] = pools[..]
            && a / n as f64 > b / m as f64
        {
            pools.truncate(pools.len() - 2);
            pools.push((a + b, n + m));
        }
    }
    let means = pools.into_iter().flat_map(|(sum, n)| std::iter::repeat_n(sum / n as f64, n));
    means.zip(&offsets).map(|(mean, offset)| mean + offset).collect()
}

#[cfg(test)]
mod tests;
