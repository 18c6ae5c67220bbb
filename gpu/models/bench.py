"""Speed of the worker beside transformers', with the same weights on the same device: `bench.py --weights FOLDER --worker PROGRAM`.

    --device gpu|cpu    --tokens 32,160    --repeats 3    --seconds 30    --json FILE    --only worker|transformers

Llama: decoded tokens a second, batch 1, as (many - few) tokens over the difference of the times, so that reading the prompt is left out.
Whisper: seconds of work for a second of sound, of windows of 30 s with as many tokens as fit, greedily and without second attempts.
On a processor both compute in 32 bits, on a GPU in bf16. Medians. Weights: make.py.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import wave

from worker import Failed, Worker


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--weights", required=True)
    p.add_argument("--worker", default="mkbc-candle")
    p.add_argument("--device", default="gpu")
    p.add_argument("--tokens", default="32,160")
    p.add_argument("--prompt", type=int, default=128)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--only", choices=["worker", "transformers"])
    p.add_argument("--json")
    return p.parse_args()


def median(work, repeats):
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def size(weights):
    return sum(os.path.getsize(os.path.join(weights, f)) for f in os.listdir(weights) if f.endswith(".safetensors"))


def decoding(o, generate):
    few, many = map(int, o.tokens.split(","))
    short, long = median(lambda: generate(few), o.repeats), median(lambda: generate(many), o.repeats)
    return {"tokens_per_s": (many - few) / (long - short), "first_s": short, "tokens": [few, many]}


def prompt(o):
    return [17 * i % 500 for i in range(o.prompt)]


def llama_worker(o):
    with Worker(o.worker, o.weights, o.device) as there:
        text = " ".join("w%d" % i for i in prompt(o))
        row = decoding(o, lambda n: there.ask("generate", {"prompt": text}, max_tokens=n))
        row["device"] = there.ready.get("gpu", there.ready["device"])
        row["said"] = [int(w[1:]) for w in there.ask("generate", {"prompt": text}, max_tokens=16).split()]
        return row


def torch_for(o):
    import torch
    import transformers
    on = "cuda" if o.device != "cpu" else "cpu"
    if on == "cuda" and not torch.cuda.is_available():
        raise Failed("PyTorch sees no GPU")
    numbers = torch.bfloat16 if on == "cuda" else torch.float32
    name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    versions = "transformers %s, torch %s" % (transformers.__version__, torch.__version__)
    return torch, transformers, on, {name: numbers}, versions


def llama_transformers(o):
    torch, transformers, on, numbers, versions = torch_for(o)
    model = transformers.AutoModelForCausalLM.from_pretrained(o.weights, **numbers).to(on).eval()
    ids = torch.tensor([prompt(o)], device=on)
    kept = dict(synced_gpus=False, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=0)

    def generate(n):
        with torch.no_grad():
            return model.generate(ids, max_new_tokens=n, min_new_tokens=n, **kept)[0, ids.shape[1]:].tolist()

    row = decoding(o, generate)
    row.update(device=torch.cuda.get_device_name() if on == "cuda" else on, said=generate(16), version=versions)
    return row


def sound(seconds):
    import numpy as np
    t = np.arange(seconds * 16000) / 16000
    samples = (8000 * np.sin(2 * np.pi * (200 + 100 * np.sin(t)) * t) + np.random.default_rng(1).normal(0, 500, t.size)).astype("<i2")
    return samples


def whisper_worker(o):
    with tempfile.NamedTemporaryFile(suffix=".wav") as file, Worker(o.worker, o.weights, o.device) as there:
        with wave.open(file, "wb") as out:
            out.setnchannels(1), out.setsampwidth(2), out.setframerate(16000), out.writeframes(sound(o.seconds).tobytes())
        file.flush()
        seconds = median(lambda: there.ask("transcribe", {"audio": {"file": file.name}}, language="en", fallback="off"), o.repeats)
        return {"s_per_s": seconds / o.seconds, "device": there.ready.get("gpu", there.ready["device"])}


def whisper_transformers(o):
    torch, transformers, on, numbers, versions = torch_for(o)
    import numpy as np
    model = transformers.WhisperForConditionalGeneration.from_pretrained(o.weights, **numbers).to(on).eval()
    extractor = transformers.WhisperFeatureExtractor(feature_size=model.config.num_mel_bins)
    samples, window = sound(o.seconds).astype(np.float32) / 32768, 30 * 16000
    start = torch.tensor([[model.config.decoder_start_token_id]], device=on)
    # As many as the worker says in a window: half of the positions, of which one ends it.
    many = model.config.max_target_positions // 2 - 1

    def transcribe():
        with torch.no_grad():
            for at in range(0, samples.size, window):
                part = extractor(samples[at:at + window], sampling_rate=16000, return_tensors="pt").input_features
                # The plain loop of tokens, without Whisper's own rules on top.
                transformers.GenerationMixin.generate(
                    model, part.to(on, list(numbers.values())[0]), decoder_input_ids=start, do_sample=False, synced_gpus=False,
                    max_new_tokens=many, min_new_tokens=many)

    seconds = median(transcribe, o.repeats)
    return {"s_per_s": seconds / o.seconds, "device": torch.cuda.get_device_name() if on == "cuda" else on, "version": versions}


def main():
    o = options()
    with open(os.path.join(o.weights, "config.json")) as f:
        config = json.load(f)
    family = config["model_type"]
    sides = {"worker": globals()[family + "_worker"], "transformers": globals()[family + "_transformers"]}
    result = {"family": family, "weights_gb": size(o.weights) / 1e9}
    good = True
    for side, work in sides.items():
        if o.only in (None, side):
            try:
                result[side] = work(o)
            except (Failed, ImportError) as failed:
                result[side], good = {"failed": str(failed)}, False
    rate, better = ("tokens_per_s", 1) if family == "llama" else ("s_per_s", -1)
    for side in sides:
        row = result.get(side, {})
        if rate in row and family == "llama":
            # What a token reads: all matrices, but of the tokens' vectors one.
            read = result["weights_gb"] - config["vocab_size"] * config["hidden_size"] * 2 / 1e9
            row["read_gb_per_s"] = row[rate] * read * (2 if o.device == "cpu" else 1)
        if not row:
            continue
        shown = {k: v for k, v in row.items() if k != "said"}
        print("%-13s %s" % (side, " ".join("%s=%s" % (k, "%.4g" % v if isinstance(v, float) else v) for k, v in shown.items())))
    if all(rate in result.get(side, {}) for side in sides):
        result["ratio"] = (result["worker"][rate] / result["transformers"][rate]) ** better
        print("the worker is %.2f times as fast as transformers" % result["ratio"])
        if family == "llama":
            pairs = list(zip(result["worker"]["said"], result["transformers"]["said"]))
            same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
            result["same_tokens"] = same
            print("their first %d of %d tokens are the same" % (same, len(pairs)))
    if o.json:
        with open(o.json, "w") as out:
            json.dump(result, out)
    sys.exit(not good)


if __name__ == "__main__":
    main()
