//! An embedding model's vectors of goals and of what could be called → how near each is to each goal in meaning, whatever words either has.

use super::offer::offers;
use crate::check::program::Program;
use crate::library::Library;
use ecow::{EcoString, eco_format};
use std::collections::BTreeMap;

/// How near what could be called is to a hole's goal, 0 to 1, by name.
pub type Near = BTreeMap<EcoString, f32>;

/// Vectors of texts, one each; `None` where there are none to be had.
pub type Embed<'a> = &'a mut dyn FnMut(&[String]) -> Option<Vec<Vec<f32>>>;

/// What each hole's goal is near to, by hole (`JOB.HOLE`); all texts are embedded at once. Holes without words are left out.
pub fn meanings(program: &Program, library: &Library, embed: Embed<'_>) -> Option<BTreeMap<EcoString, Near>> {
    let mut goals: Vec<(EcoString, String)> = Vec::new();
    let mut said: BTreeMap<EcoString, String> = BTreeMap::new();
    for job in program.jobs.iter().filter(|job| !job.holes.is_empty()) {
        for offer in offers(job, program, library) {
            said.entry(offer.name.clone()).or_insert_with(|| offer.spoken());
        }
        let whole = job.goal.as_ref().map_or("", |(goal, _)| goal.as_str());
        for hole in &job.holes {
            let goal = if hole.goal.is_empty() { whole } else { hole.goal.as_str() };
            if !goal.is_empty() {
                goals.push((eco_format!("{}.{}", job.name, hole.name), goal.to_string()));
            }
        }
    }
    let texts: Vec<String> = goals.iter().map(|(_, goal)| goal.clone()).chain(said.values().cloned()).collect();
    let vectors = embed(&texts).filter(|vectors| vectors.len() == texts.len())?;
    let (of_goals, of_said) = vectors.split_at(goals.len());
    let near = |goal: &[f32]| {
        let like: Vec<f32> = of_said.iter().map(|other| likeness(goal, other)).collect();
        let mean = like.iter().sum::<f32>() / like.len().max(1) as f32;
        let most = like.iter().copied().fold(mean, f32::max);
        // What is no nearer than most of the library is not near.
        let share = |like: f32| if most > mean { ((like - mean) / (most - mean)).max(0.0) } else { 0.0 };
        said.keys().cloned().zip(like.into_iter().map(share)).collect()
    };
    Some(goals.into_iter().zip(of_goals).map(|((hole, _), goal)| (hole, near(goal))).collect())
}

/// The cosine of two vectors; 0 where one has no direction.
fn likeness(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 && lengths.is_finite() { dot(a, b) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Texts, check_file};
    use crate::diag::Diagnostics;
    use crate::expand::search::search_near;

    #[test]
    fn what_is_near_counts_and_what_is_not_does_not() {
        let mut texts = Texts::with_stdlib();
        let job = "job j(text: Text) -> Text {\n  goal \"crunch the numbers\"\n}\n";
        let file = texts.sources.add("job.mkb", job);
        let checked = check_file(&texts, file, &mut Diagnostics::default());
        let mut vectors = |texts: &[String]| {
            let of = |t: &String| {
                if t.contains("crunch") || t.starts_with("calculate") { vec![1.0, 0.0] } else { vec![0.0, 1.0] }
            };
            Some(texts.iter().map(of).collect())
        };
        let near = meanings(&checked.program, &checked.library, &mut vectors).expect("vectors");
        let near = &near["j.result"];
        assert_eq!((near["calculate"], near["summarise"]), (1.0, 0.0));
        let (job, library) = (&checked.program.jobs[0], &checked.library);
        let first = |near| search_near(&job.holes[0], job, &checked.program, library, near)[0].text.clone();
        assert_eq!(first(Some(near)), "calculate(text)\n");
        // No word of the goal says so.
        assert_ne!(first(None), "calculate(text)\n");
        assert_eq!(meanings(&checked.program, &checked.library, &mut |_| Some(vec![vec![1.0]])), None);
    }
}
