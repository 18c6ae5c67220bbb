//! Every family against what transformers computes with the same weights: tiny models with random numbers, made by `make_fixtures.py`.
//! All differences are relative to the largest number that is expected.

use candle_core::{DType, Device, Tensor};
use mkbc_candle::call::Call;
use mkbc_candle::clip::Clip;
use mkbc_candle::embedder::Embedder;
use mkbc_candle::llm::network::Past;
use mkbc_candle::llm::source::Source;
use mkbc_candle::llm::{Llm, Manner};
use mkbc_candle::model::{Model, load};
use mkbc_candle::picture::Picture;
use mkbc_candle::weights::{Places, Weights};
use mkbc_candle::whisper::decode::Decoder;
use mkbc_candle::whisper::mel::Mel;
use mkbc_candle::whisper::{Whisper, audio};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;

/// What may differ.
const MOST: f32 = 1e-4;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn weights(name: &str) -> Weights {
    Weights::find(&fixture(name).display().to_string(), &Places::from_env()).expect("the fixture")
}

fn expected(name: &str) -> Value {
    let text = std::fs::read_to_string(fixture(name).join("expected.json")).expect("the fixture");
    serde_json::from_str(&text).expect("JSON")
}

fn tensors(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture(name).join("expected.safetensors"), &Device::Cpu).expect("the fixture")
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|t| t.as_str().expect("a text").to_owned()).collect()
}

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().expect("a number") as f32],
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|t| t.to_dtype(DType::F32)).and_then(|t| t.to_vec1()).expect("numbers")
}

/// Holds numbers against others, and says how far they are apart.
fn alike(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let apart = found.iter().zip(expected).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / largest;
    println!("{what}: {apart:.1e}");
    assert!(apart <= MOST, "{what}: {apart:e} apart");
    assert!(largest > 0.0 && found.iter().all(|v| v.is_finite()), "{what}");
}

fn call(function: &str, arguments: Value, options: Value) -> Call {
    Call::of(&json!({"function": function, "arguments": arguments, "options": options})).expect("a call")
}

#[test]
fn embeddings() {
    let expected = expected("bert");
    let embedder = Embedder::load(&weights("bert"), &Device::Cpu).expect("a model");
    let texts = texts(&expected["texts"]);
    let all = embedder.embed(&texts).expect("vectors");
    alike("embeddings", &all.concat(), &numbers(&expected["embeddings"]));
    // What else is in a batch does not matter.
    for (text, vector) in texts.iter().zip(&all) {
        alike("alone", &embedder.embed(std::slice::from_ref(text)).expect("a vector")[0], vector);
    }
}

#[test]
fn pictures_are_resized_as_pillow_does() {
    for (name, width, height) in [("wide", 34, 24), ("tall", 24, 32)] {
        let read = |file: String| Picture::read(&fixture("clip").join(file)).expect("a picture");
        let resized = read(format!("{name}.png")).resized(width, height);
        assert!(resized == read(format!("{name}_resized.png")), "{name}");
    }
}

#[test]
fn pictures_and_texts() {
    let expected = expected("clip");
    let mut clip = Clip::load(&weights("clip"), &Device::Cpu).expect("a model");
    let files: Vec<Value> =
        texts(&expected["pictures"]).iter().map(|f| json!({"file": fixture("clip").join(f)})).collect();
    let given = json!({"images": files, "texts": expected["texts"]});
    let cosines = clip.call(&call("similarity", given, json!({}))).expect("cosines");
    alike("cosines", &numbers(&cosines), &numbers(&expected["cosines"]));
    let frames: Vec<Value> = files.iter().enumerate().map(|(i, f)| json!({"file": f["file"], "time": i})).collect();
    let given = json!({"frames": {"frames": frames, "count": 2}, "looking_for": "a boat, house"});
    let seen = clip.call(&call("label", given, json!({"least": "0"}))).expect("labels");
    let seen = seen.as_array().expect("a list");
    assert_eq!(seen.len(), 4);
    let scores: Vec<f64> = seen.iter().map(|s| s["score"].as_f64().expect("a score")).collect();
    assert!((scores[0] + scores[1] - 1.0).abs() < 1e-6 && scores[0] >= scores[1], "{scores:?}");
    assert!(
        clip.call(&call("label", json!({"frames": {"frames": frames}}), json!({}))).is_err(),
        "nothing is looked for"
    );
}

#[test]
fn spectrograms() {
    let expected = tensors("whisper");
    let samples = audio::read(&fixture("whisper/sound.wav")).expect("sound");
    for (bands, name) in [(80, "mel"), (128, "mel_128")] {
        let wanted = &expected[name];
        let frames = wanted.dims()[1];
        let mel = Mel::new(bands).and_then(|m| m.of(&samples, 165)).expect("a spectrogram");
        let found = mel.window(0, frames, DType::F32, &Device::Cpu).expect("a window");
        alike(name, &flat(&found), &flat(wanted));
    }
}

#[test]
fn speech() {
    let (expected, numbers) = (expected("whisper"), tensors("whisper"));
    let ids = |name: &str| -> Vec<u32> { serde_json::from_value(expected[name].clone()).expect("ids") };
    let mut whisper = Whisper::load(&weights("whisper"), &Device::Cpu).expect("a model");
    let samples = audio::read(&fixture("whisper/sound.wav")).expect("sound");
    let (mel, network, vocabulary, tokenizer) = whisper.parts();
    assert_eq!(network.frames(), 200);
    let window = mel.of(&samples, 200).and_then(|m| m.window(0, 200, DType::F32, &Device::Cpu)).expect("a window");
    let encoded = network.encoded(&window).and_then(|e| Ok(e.narrow(1, 0, 12)?)).expect("an encoding");
    alike("encoder", &flat(&encoded), &flat(&numbers["encoded"]));
    let heard = network.hear(&window).expect("sound");
    let tokens = [ids("prompt"), ids("after")].concat();
    let whole = network.say(&tokens, &mut Default::default(), &heard).expect("logits");
    alike("decoder", &flat(&whole), &flat(&numbers["logits"]));
    // Token by token, from what is kept, it is the same.
    let mut past = Default::default();
    let steps: Vec<f32> =
        tokens.iter().flat_map(|t| flat(&network.say(&[*t], &mut past, &heard).expect("logits"))).collect();
    alike("decoder, token by token", &steps, &flat(&whole));
    let prompt = vocabulary.prompt(Some("de"), false).expect("a language");
    assert_eq!(prompt, ids("prompt"));
    let mut decoder = Decoder { network, vocabulary, tokenizer };
    let decoded = decoder.once(&heard, &prompt, 0.0, 0).expect("tokens");
    assert_eq!(decoded.tokens, ids("greedy"));
    assert!(decoder.language(&heard).is_ok_and(|l| ["de", "en"].contains(&l.as_str())));
}

#[test]
fn recordings_longer_than_a_window_are_transcribed_to_their_end() {
    let mut whisper = Whisper::load(&weights("whisper"), &Device::Cpu).expect("a model");
    let once = audio::read(&fixture("whisper/sound.wav")).expect("sound");
    let long: Vec<f32> = once.iter().copied().cycle().take(16_000 * 7).collect();
    let call = call("transcribe", json!({}), json!({"language": "en", "seed": "3"}));
    let (segments, language) = whisper.transcribe(&long, &call).expect("a transcript");
    assert_eq!(language.as_deref(), Some("en"));
    let again = whisper.transcribe(&long, &call).expect("a transcript").0;
    assert_eq!(segments, again, "a seed repeats");
    let manner = |fallback: &str| self::call("transcribe", json!({}), json!({"language": "en", "fallback": fallback}));
    assert!(whisper.transcribe(&long, &manner("off")).is_ok());
    assert!(whisper.transcribe(&long, &manner("maybe")).is_err_and(|f| f.message.contains("`fallback`")));
    let wrong = Call { options: json!({"language": "xx"}).as_object().expect("options").clone(), ..call };
    assert!(whisper.transcribe(&long, &wrong).is_err_and(|f| f.message.contains("`xx`")));
    let silent = whisper.call(&self::call("transcribe", json!({"audio": {"file": null}}), json!({})));
    assert_eq!(silent, Ok(json!({"segments": []})));
}

fn manner(max_tokens: usize) -> Manner {
    Manner { max_tokens, temperature: 0.0, top_p: 1.0, seed: 0, stop: Vec::new() }
}

/// Logits, rows of different lengths at once, kept keys, and greedy answers.
fn decoder(name: &str, expected_in: &str) {
    let (wanted, logits) = (expected(expected_in), tensors(expected_in));
    let llm = Llm::load(&weights(name), &Device::Cpu).expect("a model");
    let prompts = texts(&wanted["prompts"]);
    for (i, prompt) in prompts.iter().enumerate() {
        // A byte is a token: its id is the letter's place in the tokenizer.
        let tokenizer = mkbc_candle::tokens::of(&weights(expected_in)).expect("a tokenizer");
        let ids = mkbc_candle::tokens::ids(&tokenizer, prompt).expect("ids");
        let ids = Tensor::new(ids.as_slice(), &Device::Cpu).and_then(|t| t.unsqueeze(0)).expect("a tensor");
        let found = llm.network().last(&ids, &mut Past::new(llm.network(), &[0])).expect("logits");
        alike(&format!("{name}, prompt {i}"), &flat(&found), &flat(&logits[&format!("logits_{i}")]));
        // Id by id, from what is kept, it is the same.
        let mut past = Past::new(llm.network(), &[0]);
        let steps = (0..ids.dims()[1]).map(|at| ids.narrow(1, at, 1).expect("an id"));
        let last = steps.map(|id| llm.network().last(&id, &mut past).expect("logits")).last().expect("some ids");
        alike("id by id", &flat(&last), &flat(&found));
    }
    assert_eq!(llm.generate(&prompts, &manner(12)).expect("answers"), texts(&wanted["answers"]), "all at once");
    for (prompt, answer) in prompts.iter().zip(texts(&wanted["answers"])) {
        assert_eq!(llm.generate(std::slice::from_ref(prompt), &manner(12)).expect("an answer"), [answer], "{prompt}");
    }
}

#[test]
fn llama() {
    decoder("llama", "llama");
}

#[test]
fn llama_of_gguf() {
    decoder("llama/llama.gguf", "llama");
}

#[test]
fn qwen2() {
    decoder("qwen2", "qwen2");
}

#[test]
fn answers_are_bounded_seeded_and_stopped() {
    let llm = Llm::load(&weights("qwen2"), &Device::Cpu).expect("a model");
    let prompts = vec!["The harbour".to_owned(), "a".to_owned()];
    let by_chance =
        |seed: u64| llm.generate(&prompts, &Manner { temperature: 1.5, seed, ..manner(20) }).expect("answers");
    assert_eq!(by_chance(1), by_chance(1));
    assert_ne!(by_chance(1), by_chance(2));
    let whole = &llm.generate(&prompts, &manner(12)).expect("answers")[0];
    let stop: String = whole.chars().nth(3).expect("some letters").to_string();
    let cut = &llm.generate(&prompts, &Manner { stop: vec![stop.clone()], ..manner(12) }).expect("answers")[0];
    assert_eq!(Some(cut.as_str()), whole.split(stop.as_str()).next());
    // More than the model has positions for is not made up.
    let longest = llm.generate(&["x".repeat(90)], &manner(500)).expect("an answer");
    assert!(longest[0].chars().count() <= 7, "{longest:?}");
    assert!(llm.generate(&["x".repeat(200)], &manner(1)).is_err_and(|f| f.message.contains("200 tokens")));
}

#[test]
fn quantised_matrices_are_near_the_plain_ones() {
    use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
    use mkbc_candle::llm::source::Matrix;
    let numbers = |rows: usize, step: f32| {
        let values: Vec<f32> = (0..rows * 256).map(|i| ((i as f32 * step).sin() * 437.585).fract()).collect();
        Tensor::from_vec(values, (rows, 256), &Device::Cpu).expect("a matrix")
    };
    let (plain, x) = (numbers(64, 12.9898), numbers(3, 78.233));
    let wanted = Matrix::Plain(candle_nn::Linear::new(plain.clone(), None)).forward(&x).expect("a product");
    for (kind, most) in [(GgmlDType::Q8_0, 0.02), (GgmlDType::Q4K, 0.2)] {
        let matrix = QTensor::quantize(&plain, kind).and_then(QMatMul::from_qtensor).expect("a matrix");
        let found = Matrix::Quantised(matrix, None).forward(&x).expect("a product");
        let (found, wanted) = (flat(&found), flat(&wanted));
        let largest = wanted.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let apart = found.iter().zip(&wanted).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / largest;
        println!("{kind:?}: {apart:.1e}");
        assert!(apart < most, "{kind:?}: {apart}");
    }
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let other = tempfile::tempdir().expect("a folder");
    std::fs::write(other.path().join("config.json"), r#"{"model_type": "gpt2"}"#).expect("a file");
    std::fs::write(other.path().join("model.safetensors"), "").expect("a file");
    let found = Weights::find(&other.path().display().to_string(), &Places::from_env()).expect("a folder");
    assert!(load(&found, &Device::Cpu).err().is_some_and(|f| f.message.contains("`gpt2`")));
    // A GGUF file whose vocabulary would be read wrongly wants a tokenizer beside it.
    let lonely = other.path().join("llama.gguf");
    std::fs::copy(fixture("llama/llama.gguf"), &lonely).expect("a copy");
    let found = Weights::find(&lonely.display().to_string(), &Places::from_env()).expect("a file");
    let source = Source::open(&found, &Device::Cpu).expect("a file");
    assert!(source.tokenizer(&found).is_err_and(|f| f.message.contains("tokenizer.json")));
    std::fs::write(&lonely, "GGUF, but no more than that").expect("a file");
    assert!(Source::open(&found, &Device::Cpu).is_err_and(|f| f.message.contains("llama.gguf")));
}
