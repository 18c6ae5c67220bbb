//! Logits -> the next token: the likeliest, or one by chance from a seed, so that a run can be repeated.

/// Numbers by chance: SplitMix64.
pub struct Chance(u64);

impl Chance {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// From 0 to 1, 1 excluded.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A token: the likeliest at temperature 0 (of equals the first), else one of the fewest tokens that hold `top_p` of the
    /// probability.
    pub fn pick(&mut self, logits: &[f32], temperature: f32, top_p: f32) -> u32 {
        let mut likeliest = 0;
        for (i, logit) in logits.iter().enumerate() {
            if *logit > logits[likeliest] || logits[likeliest].is_nan() {
                likeliest = i;
            }
        }
        if temperature <= 0.0 {
            return likeliest as u32;
        }
        let most = logits[likeliest];
        let share = |logit: f32| f64::from((logit - most) / temperature).exp();
        let mut ranked: Vec<(u32, f64)> = logits.iter().enumerate().map(|(i, l)| (i as u32, share(*l))).collect();
        let total: f64 = ranked.iter().map(|(_, share)| share).sum();
        if top_p < 1.0 {
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let mut held = 0.0;
            let enough = ranked.iter().position(|(_, share)| {
                held += share / total;
                held >= f64::from(top_p)
            });
            ranked.truncate(enough.map_or(ranked.len(), |last| last + 1));
        }
        let kept: f64 = ranked.iter().map(|(_, share)| share).sum();
        let mut left = self.next() * kept;
        for (token, share) in ranked.iter().filter(|(_, share)| *share > 0.0) {
            left -= share;
            if left < 0.0 {
                return *token;
            }
        }
        likeliest as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 4] = [0.0, 2.0, f32::NEG_INFINITY, 2.0];

    #[test]
    fn without_chance_the_first_of_the_likeliest_is_taken() {
        assert_eq!(Chance::new(1).pick(&LOGITS, 0.0, 1.0), 1);
    }

    #[test]
    fn a_seed_repeats_and_shares_are_kept() {
        let picked = |seed: u64, top_p: f32| {
            let mut chance = Chance::new(seed);
            (0..4000).map(|_| chance.pick(&LOGITS, 1.0, top_p)).collect::<Vec<u32>>()
        };
        assert_eq!(picked(7, 1.0), picked(7, 1.0));
        assert_ne!(picked(7, 1.0), picked(8, 1.0));
        let share = |token: u32, of: &[u32]| of.iter().filter(|t| **t == token).count() as f64 / of.len() as f64;
        let all = picked(7, 1.0);
        // exp(0) : exp(2) : 0 : exp(2), within four deviations of 4000 draws.
        assert!((share(0, &all) - 0.0634).abs() < 0.016 && (share(3, &all) - 0.468).abs() < 0.032);
        assert_eq!(share(2, &all), 0.0);
        let few = picked(7, 0.9);
        assert_eq!(share(0, &few), 0.0);
    }
}
