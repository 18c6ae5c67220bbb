//! `mkbc-candle`: serves a model to mkbc, or checks that one can be served.

use candle_core::Device;
use mkbc_candle::device;
use mkbc_candle::failure::Failure;
use mkbc_candle::frame::Pipe;
use mkbc_candle::model::{Model, load};
use mkbc_candle::serve::serve;
use mkbc_candle::weights::{Places, Weights};
use std::process::ExitCode;

const USAGE: &str = "\
usage: mkbc-candle check MODEL [OPTIONS]               load a model, and say what it is
       mkbc-candle serve READ WRITE MODEL LIMIT [OPTIONS]  answer mkbc's calls over two inherited descriptors
MODEL is a folder, a .gguf file, or a name below MKBC_WEIGHTS or in the Hugging Face cache.
options: --device NAME    cpu (the default), or anything else for the first visible GPU
         --bits 32        what Whisper, Llama and Qwen2 compute in on a GPU (16)
         --sha256 HEX     refuse weights of another digest
         --download       fetch a model that is not in the Hugging Face cache (check alone)
";

/// What the command line asks for.
struct Asked {
    model: String,
    device: String,
    exact: bool,
    sha256: Option<String>,
    download: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--version"] => {
            println!(
                "mkbc-candle {}{}",
                env!("CARGO_PKG_VERSION"),
                if cfg!(feature = "cuda") { " (cuda)" } else { "" }
            );
            Ok(())
        }
        ["check", model, options @ ..] => asked(model, options).and_then(|asked| check(&asked)),
        ["serve", read, write, model, limit, options @ ..] => {
            let number = |text: &str| text.parse::<u32>().map_err(|_| USAGE.to_owned());
            number(read).and_then(|read| Ok((read, number(write)?, number(limit)?))).and_then(|(read, write, limit)| {
                let asked = asked(model, options).map(|asked| Asked { download: false, ..asked })?;
                let mut pipe = Pipe::inherited(read, write, limit as usize).map_err(|e| e.to_string())?;
                serve(&mut pipe, || ready(&asked)).map_err(|e| e.to_string())
            })
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn asked(model: &str, options: &[&str]) -> Result<Asked, String> {
    let mut asked =
        Asked { model: model.to_owned(), device: "cpu".to_owned(), exact: false, sha256: None, download: false };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut value = || options.next().map(|v| (*v).to_owned()).ok_or_else(|| USAGE.to_owned());
        match *option {
            "--device" => asked.device = value()?,
            "--bits" => {
                let bits = value()?;
                let known = ["16", "32"].contains(&bits.as_str());
                asked.exact = known.then_some(bits == "32").ok_or_else(|| USAGE.to_owned())?;
            }
            "--sha256" => asked.sha256 = Some(value()?),
            "--download" => asked.download = true,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(asked)
}

fn ready(asked: &Asked) -> Result<(Box<dyn Model>, Device), Failure> {
    let device = device::open(&asked.device)?;
    if asked.download {
        Weights::download(&asked.model)?;
    }
    let weights = Weights { exact: asked.exact, ..Weights::find(&asked.model, &Places::from_env())? };
    if let Some(sha256) = &asked.sha256 {
        weights.verify(sha256)?;
    }
    Ok((load(&weights, &device)?, device))
}

fn check(asked: &Asked) -> Result<(), String> {
    let (model, device) = ready(asked).map_err(|failure| failure.message)?;
    let weights = Weights::find(&asked.model, &Places::from_env()).map_err(|failure| failure.message)?;
    println!("functions: {}", model.functions().join(", "));
    println!("device: {}", device::name(&device));
    if let Some(gpu) = device::gpu_of(&device) {
        println!("gpu: {gpu}");
    }
    println!("sha256: {}", weights.digest().map_err(|failure| failure.message)?);
    weights.files.iter().for_each(|file| println!("file: {}", file.display()));
    Ok(())
}
