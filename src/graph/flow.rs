//! Data flow → boxes, groups around them, and arrows. Operations on data are no boxes: what uses their result waits for the boxes
//! that their operands come from.

use super::{Arrow, Group, Shape, ShapeKind};
use crate::diag::source::Span;
use crate::ir::workflow::{Node, Op, Operand, Region, StepId, ValueId};
use crate::types::Type;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a text that stands for a value.
const MOST: usize = 60;

/// What is known of a step before its box is drawn.
pub struct Made {
    /// Its display name.
    pub name: String,
    /// What is written below it.
    pub lines: Vec<String>,
    /// Its line in the source; 0 for none.
    pub line: u32,
    /// Its call, where its place is known.
    pub call: Option<Span>,
    /// Whether it lies on the longest path.
    pub critical: bool,
    /// Its place in the legend.
    pub colour: Option<usize>,
    /// The composition that it is a part of.
    pub composition: Option<usize>,
}

/// Walks a body once.
pub struct Flow<'a> {
    steps: &'a [Made],
    /// Titles.
    compositions: Vec<String>,
    /// The box of each step that is drawn.
    placed: BTreeMap<usize, usize>,
    /// The group of each composition, once a box of it is drawn.
    drawn: BTreeMap<usize, usize>,
    boxes: Vec<Shape>,
    groups: Vec<Group>,
    arrows: BTreeSet<Arrow>,
    /// The boxes that each value comes from.
    makers: BTreeMap<ValueId, BTreeSet<usize>>,
    /// What each value is called in titles.
    texts: BTreeMap<ValueId, String>,
}

impl<'a> Flow<'a> {
    /// For these steps, by their number.
    pub fn new(steps: &'a [Made], compositions: Vec<String>) -> Flow<'a> {
        Flow {
            steps,
            compositions,
            placed: BTreeMap::new(),
            drawn: BTreeMap::new(),
            boxes: Vec::new(),
            groups: Vec::new(),
            arrows: BTreeSet::new(),
            makers: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }

    /// Draws an input.
    pub fn input(&mut self, name: &str, ty: &Type, value: ValueId) {
        let lines = vec![name.to_string(), ty.to_string()];
        let at = self.end(ShapeKind::Input, lines);
        self.makers.insert(value, BTreeSet::from([at]));
        self.texts.insert(value, name.to_string());
    }

    /// Draws a body and its result; `longest` are the steps of the longest path, in order.
    pub fn finish(mut self, body: &Region, result: &Type, longest: &[usize]) -> (Vec<Shape>, Vec<Group>, Vec<Arrow>) {
        let made = self.region(body, None, None);
        let lines = vec!["result".to_string(), result.to_string()];
        let to = self.end(ShapeKind::Result, lines);
        made.into_iter().for_each(|from| self.arrow(from, to, false));
        let path: Vec<usize> = longest.iter().filter_map(|step| self.placed.get(step).copied()).chain([to]).collect();
        let critical = |arrow: &Arrow| path.windows(2).any(|pair| pair == [arrow.from, arrow.to]);
        let arrows = self.arrows.into_iter().map(|arrow| Arrow { critical: critical(&arrow), ..arrow });
        (self.boxes, self.groups, arrows.collect())
    }

    /// Draws an input or the result.
    fn end(&mut self, kind: ShapeKind, lines: Vec<String>) -> usize {
        self.shape(Shape { kind, lines, line: 0, call: None, critical: false, group: None, colour: None })
    }

    fn arrow(&mut self, from: usize, to: usize, control: bool) {
        self.arrows.insert(Arrow { from, to, control, critical: false });
    }

    fn shape(&mut self, shape: Shape) -> usize {
        self.boxes.push(shape);
        self.boxes.len() - 1
    }

    fn group(&mut self, title: String, parent: Option<usize>) -> usize {
        self.groups.push(Group { title, parent });
        self.groups.len() - 1
    }

    fn of(&self, operand: &Operand) -> BTreeSet<usize> {
        match operand {
            Operand::Value(id) => self.makers.get(id).cloned().unwrap_or_default(),
            Operand::Literal(_) => BTreeSet::new(),
        }
    }

    /// Draws a region; the boxes that its result comes from.
    fn region(&mut self, region: &Region, group: Option<usize>, inside: Option<usize>) -> BTreeSet<usize> {
        for node in &region.nodes {
            let composition = self.composition(node).filter(|c| inside != Some(*c));
            let around = match composition {
                None => group,
                Some(number) => Some(match self.drawn.get(&number) {
                    Some(there) => *there,
                    None => {
                        let title = self.compositions.get(number).cloned().unwrap_or_default();
                        let new = self.group(title, group);
                        self.drawn.insert(number, new);
                        new
                    }
                }),
            };
            let (made, text) = self.node(node, around, composition.or(inside));
            self.makers.insert(node.output(), made);
            self.texts.insert(node.output(), shortened(&text));
        }
        self.of(&region.result)
    }

    /// The composition that all steps of a node are parts of.
    fn composition(&self, node: &Node) -> Option<usize> {
        let mut all = Vec::new();
        steps(node, &mut all);
        let mut all = all.iter().map(|step| self.steps.get(step.0 as usize).and_then(|made| made.composition));
        let first = all.next()??;
        all.all(|other| other == Some(first)).then_some(first)
    }

    fn node(&mut self, node: &Node, group: Option<usize>, inside: Option<usize>) -> (BTreeSet<usize>, String) {
        match node {
            Node::Call { step, args, .. } | Node::Choose { step, args, .. } => {
                let number = step.0 as usize;
                let step = &self.steps[number];
                let name = step.name.clone();
                let lines = std::iter::once(name.clone()).chain(step.lines.iter().cloned()).collect();
                let (line, call, critical, colour) = (step.line, step.call, step.critical, step.colour);
                let to = self.shape(Shape { kind: ShapeKind::Step, lines, line, call, critical, group, colour });
                self.placed.insert(number, to);
                for from in args.iter().flat_map(|(_, a)| self.of(a)).collect::<BTreeSet<_>>() {
                    self.arrow(from, to, false);
                }
                (BTreeSet::from([to]), name)
            }
            Node::Compute { op, args, .. } => {
                let made = args.iter().flat_map(|a| self.of(a)).collect();
                let args: Vec<String> = args.iter().map(|a| self.text(a)).collect();
                (made, written(op, &args))
            }
            Node::Map { over, item, body, .. } => {
                let gate = self.of(over);
                let list = self.text(over);
                self.makers.insert(*item, gate.clone());
                self.texts.insert(*item, "the item".to_string());
                let (mut made, result) = self.part(format!("for each of {list}"), body, (group, inside), &gate);
                // What the body waits for is not drawn again behind it.
                if made.is_empty() {
                    made = gate;
                }
                (made, format!("all {result}"))
            }
            Node::Branch { when, share, then, otherwise, .. } => {
                let gate = self.of(when);
                let condition = self.text(when);
                let often = |share: Decimal| format!(" ({} % of runs)", (share * Decimal::ONE_HUNDRED).normalize());
                let (yes, no) = (share.map(often), share.map(|share| often(Decimal::ONE - share)));
                let title = format!("if {condition}{}", yes.unwrap_or_default());
                let (mut made, result) = self.part(title, then, (group, inside), &gate);
                let title = format!("else{}", no.unwrap_or_default());
                made.extend(self.part(title, otherwise, (group, inside), &gate).0);
                if made.is_empty() {
                    made = gate;
                }
                (made, result)
            }
            Node::Repeat { limit, carry, body, until, .. } => {
                let first = carry.as_ref().map(|(_, first)| self.of(first)).unwrap_or_default();
                if let Some((item, start)) = carry {
                    let start = self.text(start);
                    self.makers.insert(*item, first.clone());
                    self.texts.insert(*item, start);
                }
                let at = self.groups.len();
                let title = format!("up to {limit} times");
                let (mut made, result) = self.part(title, body, (group, inside), &BTreeSet::new());
                // The condition speaks of values of the body, which have names only now.
                let until_text = self.text(until);
                if let Some(group) = self.groups.get_mut(at) {
                    group.title.push_str(&format!(" until {until_text}"));
                }
                made.extend(self.of(until));
                if made.is_empty() {
                    made = first;
                }
                (made, result)
            }
        }
    }

    /// Draws a region in a group of its own. What waits for nothing inside it waits for `gate`; a region without steps has no group.
    fn part(
        &mut self,
        title: String,
        body: &Region,
        (group, inside): (Option<usize>, Option<usize>),
        gate: &BTreeSet<usize>,
    ) -> (BTreeSet<usize>, String) {
        let has_steps = body.nodes.iter().any(|node| {
            let mut all = Vec::new();
            steps(node, &mut all);
            !all.is_empty()
        });
        let around = if has_steps { Some(self.group(title, group)) } else { group };
        let start = self.boxes.len();
        let made = self.region(body, around, inside);
        for to in start..self.boxes.len() {
            if self.arrows.iter().any(|a| a.to == to && a.from >= start) {
                continue;
            }
            let waits = |from: &usize| self.arrows.iter().any(|a| a.to == to && a.from == *from);
            let new: Vec<usize> = gate.iter().copied().filter(|from| !waits(from)).collect();
            new.into_iter().for_each(|from| self.arrow(from, to, true));
        }
        (made, self.text(&body.result))
    }

    fn text(&self, operand: &Operand) -> String {
        match operand {
            Operand::Value(id) => self.texts.get(id).cloned().unwrap_or_else(|| "…".to_string()),
            Operand::Literal(value) => shortened(&value.to_string()),
        }
    }
}

fn steps(node: &Node, all: &mut Vec<StepId>) {
    let mut inside = |region: &Region| region.nodes.iter().for_each(|node| steps(node, all));
    match node {
        // The ways of a choice are not drawn.
        Node::Call { step, .. } | Node::Choose { step, .. } => all.push(*step),
        Node::Map { body, .. } | Node::Repeat { body, .. } => inside(body),
        Node::Branch { then, otherwise, .. } => {
            inside(then);
            inside(otherwise);
        }
        Node::Compute { .. } => {}
    }
}

/// An operation as the language writes it.
fn written(op: &Op, args: &[String]) -> String {
    let infix = |word: &str| {
        let part = |text: &String| if text.contains(' ') { format!("({text})") } else { text.clone() };
        args.iter().map(part).collect::<Vec<_>>().join(&format!(" {word} "))
    };
    let first = args.first().map_or("…", String::as_str);
    match op {
        Op::Field(name) => format!("{first}.{name}"),
        Op::List => format!("[{}]", args.join(", ")),
        Op::Record(names) => {
            let fields: Vec<String> = names.iter().zip(args).map(|(name, value)| format!("{name}: {value}")).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Op::Neg => format!("-{first}"),
        Op::Not => format!("not {first}"),
        Op::Add => infix("+"),
        Op::Sub => infix("-"),
        Op::Mul => infix("*"),
        Op::Div => infix("/"),
        Op::Eq => infix("=="),
        Op::Ne => infix("!="),
        Op::Lt => infix("<"),
        Op::Le => infix("<="),
        Op::Gt => infix(">"),
        Op::Ge => infix(">="),
        Op::And => infix("and"),
        Op::Or | Op::Otherwise => infix("or"),
        Op::Note { .. } => format!("the agent's account of {}", args.join(", ")),
        Op::Said(name) => format!("what the agent said of {name}"),
    }
}

/// A text of at most [`MOST`] characters on one line.
fn shortened(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let short: String = chars.by_ref().take(MOST).collect();
    if chars.next().is_some() { format!("{short}…") } else { short }
}
