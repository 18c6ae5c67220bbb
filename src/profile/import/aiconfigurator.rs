//! What `aiconfigurator cli estimate` prints → rows of a served language model.
//!
//! The tool (PyPI `aiconfigurator`, Apache-2.0) looks serving times up in tables that were measured on silicon and adds them up. Its
//! figures are estimates, and said to be.

use super::Row;

/// What the tool is asked for: one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its name of the device: `h100_sxm`.
    pub system: String,
    /// Its name of the serving engine: `vllm`, `sglang`, `trtllm`.
    pub backend: String,
    /// A model's name on Hugging Face, or a folder with its `config.json`.
    pub model: String,
    /// Devices that the model is spread over.
    pub tp: u32,
    /// Requests at once.
    pub batch: u32,
    /// Tokens of the prompt.
    pub input: u32,
    /// Tokens of the answer.
    pub output: u32,
    /// How the experts of a mixture are spread over the devices; nothing where it is none.
    pub experts: Option<Experts>,
}

/// How the experts of a mixture are spread over devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Experts {
    /// A part of each on every device, as tensor parallelism has it.
    Parted,
    /// Each whole on one of them.
    Whole,
}

/// Whether a model's `config.json` is that of a mixture of experts.
pub fn is_mixture(config: &str) -> bool {
    const NAMES: [&str; 4] = ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"];
    let read: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
    let many = |of: &serde_json::Value| NAMES.iter().any(|name| of[*name].as_u64().is_some_and(|n| n > 1));
    many(&read) || many(&read["text_config"])
}

impl Question {
    /// The arguments of the tool.
    pub fn arguments(&self) -> Vec<String> {
        let numbers =
            [("--tp-size", self.tp), ("--batch-size", self.batch), ("--isl", self.input), ("--osl", self.output)];
        let words = [("--model-path", &self.model), ("--system", &self.system), ("--backend", &self.backend)];
        let fixed = ["cli", "estimate", "--estimate-mode", "static", "--no-color"].map(str::to_string);
        let words = words.into_iter().flat_map(|(name, value)| [name.to_string(), value.clone()]);
        let numbers = numbers.into_iter().flat_map(|(name, value)| [name.to_string(), value.to_string()]);
        let experts = self.experts.map(|experts| match experts {
            Experts::Parted => ["--moe-tp-size".to_string(), self.tp.to_string()],
            Experts::Whole => ["--moe-ep-size".to_string(), self.tp.to_string()],
        });
        fixed.into_iter().chain(words).chain(numbers).chain(experts.into_iter().flatten()).collect()
    }
}

/// Reads an answer. `base` holds the cells that it does not tell: knobs, device, the tool's version in `source`.
pub fn read(text: &str, question: &Question, base: &Row) -> Result<Vec<Row>, String> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim())
        })
    };
    let number = |key: &str, unit: &str| -> Result<f64, String> {
        let text = value(key).ok_or_else(|| format!("the answer has no `{key}`"))?;
        let number = text.strip_suffix(unit).map(|t| t.trim().replace(',', ""));
        let number = number.and_then(|t| t.parse::<f64>().ok()).filter(|n| n.is_finite() && *n > 0.0);
        number.ok_or_else(|| format!("`{key}` is `{text}`, and no time or size above zero in {unit}"))
    };
    let (ttft, tpot) = (number("TTFT", "ms")?, number("TPOT", "ms")?);
    let memory = number("Memory (GPU)", "GB")?;
    let engine = value("Backend").unwrap_or(&question.backend).replace(['(', ')'], "");
    let at = base
        .clone()
        .with("units", question.tp.to_string())
        .with("engine", engine.clone())
        .with("evidence", "estimated");
    // mkbc starts servers that part every expert.
    let at = match question.experts {
        Some(Experts::Whole) if question.tp > 1 => at.with("otherwise", "experts in parallel"),
        _ => at,
    };
    let row = |figure: &str, value: f64, unit: &str| {
        at.clone().with("figure", figure).with("value", super::plain(value)).with("unit", unit)
    };
    Ok(vec![
        row("ttft", ttft, "ms").with("input", question.input.to_string()),
        row("tpot", tpot, "ms/tok")
            .with("input", question.input.to_string())
            .with("output", question.output.to_string()),
        // The tool tells it for one GPU; a profile's memory is that of all.
        row("memory", memory * f64::from(question.tp), "GB").with("input", question.input.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 0.12.0 printed for a model of the shape of Llama 3.1 8B on one H100.
    const ANSWER: &str = include_str!("../../../tests/data/aiconfigurator_0_12.txt");

    #[test]
    fn an_answer_of_the_real_tool_is_read() {
        let question = Question {
            system: "h100_sxm".into(),
            backend: "vllm".into(),
            model: "/tmp/l8".into(),
            tp: 1,
            batch: 8,
            input: 512,
            output: 128,
            experts: None,
        };
        let rows = read(ANSWER, &question, &Row::default().with("device", "h100")).expect("an answer");
        let cells: Vec<(&str, &str, &str)> =
            rows.iter().map(|r| (r.cell("figure"), r.cell("value"), r.cell("unit"))).collect();
        assert_eq!(cells, [("ttft", "84.7", "ms"), ("tpot", "6.491", "ms/tok"), ("memory", "19.43", "GB")]);
        assert!(rows.iter().all(|r| r.cell("evidence") == "estimated" && r.cell("engine") == "vllm 0.24.0"));
        let arguments = |experts| Question { tp: 2, experts, ..question.clone() }.arguments().join(" ");
        assert!(!arguments(None).contains("--moe"));
        assert!(arguments(Some(Experts::Parted)).ends_with("--moe-tp-size 2"));
        assert!(arguments(Some(Experts::Whole)).ends_with("--moe-ep-size 2"));
        assert!(is_mixture(r#"{"num_experts": 128}"#) && is_mixture(r#"{"text_config": {"n_routed_experts": 8}}"#));
        assert!(!is_mixture(r#"{"num_experts": null}"#) && !is_mixture("no JSON"));
        assert!(read("TTFT: nan ms\nTPOT: 1 ms", &question, &Row::default()).is_err());
    }
}
