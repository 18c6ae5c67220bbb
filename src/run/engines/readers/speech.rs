//! PocketSphinx's words with times -> a transcript.

use super::Reading;
use crate::run::fault::Fault;
use serde_json::{Value, json};

/// A transcript, one segment for each utterance; `score` is the mean confidence of its words.
pub fn pocketsphinx(reading: &Reading<'_>) -> Result<Value, Fault> {
    let text = reading.stdout()?;
    let segments = segments(&text);
    if segments.is_empty() && !text.trim().is_empty() && !text.contains("<s>") {
        return Err(reading.unread("pocketsphinx wrote no words with times"));
    }
    let sound = reading.args.values().find_map(|v| v.get("duration").filter(|d| d.is_number()));
    let mut transcript = json!({"segments": segments});
    if let Some(duration) = sound {
        transcript["duration"] = duration.clone();
    }
    Ok(transcript)
}

/// `word start end confidence`, one a line; a line of another form (the utterance as a whole) parts utterances.
pub fn segments(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut words: Vec<(&str, f64, f64, f64)> = Vec::new();
    for line in text.lines() {
        match word(line) {
            Some(word) => words.push(word),
            None => close(&mut words, &mut found),
        }
    }
    close(&mut words, &mut found);
    found
}

fn word(line: &str) -> Option<(&str, f64, f64, f64)> {
    let parts: Vec<&str> = line.split_whitespace().collect();
    let [word, start, end, confidence] = parts[..] else {
        return None;
    };
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
    Some((word, number(start)?, number(end)?, number(confidence)?))
}

fn close(words: &mut Vec<(&str, f64, f64, f64)>, found: &mut Vec<Value>) {
    // `<sil>`, `[NOISE]` and `++UH++` are no words.
    words.retain(|(word, ..)| !word.starts_with(['<', '[', '+']));
    if let (Some(first), Some(last)) = (words.first(), words.last()) {
        // `to(3)` is the third way to say `to`.
        let plain = |word: &str| word.split('(').next().unwrap_or_default().to_owned();
        let text: Vec<String> = words.iter().map(|w| plain(w.0)).collect();
        let score = words.iter().map(|w| w.3).sum::<f64>() / words.len() as f64;
        let score = (score.clamp(0.0, 1.0) * 1000.0).round() / 1000.0;
        found.push(json!({"start": first.1, "end": last.2, "text": text.join(" "), "score": score}));
    }
    words.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_utterances() {
        let text = "to begin the trip\n<s> 0.440 0.550 0.999600\nto(3) 1.220 1.280 0.168166\nbegin 1.290 1.670 0.672572\n\
                    [SPEECH] 2.710 2.860 0.385810\n</s> 2.870 3.160 1.000000\nhelen\nhelen 3.870 4.290 1.486712\nnonsense 1 2\n";
        let expected = [
            json!({"start": 1.22, "end": 1.67, "text": "to begin", "score": 0.42}),
            json!({"start": 3.87, "end": 4.29, "text": "helen", "score": 1.0}),
        ];
        assert_eq!(segments(text), expected);
        assert!(segments("").is_empty());
        assert!(segments("<s> 0 1 1\n</s> 1 2 1").is_empty());
    }
}
