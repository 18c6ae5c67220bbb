"""Weights of a true shape with random numbers, made here and fetched from nowhere: `make.py SHAPE FOLDER`.

Needs NumPy alone. The files are what a model of the family has: config.json, tokenizer.json and safetensors in bf16, in parts of 4 GB. One
block of normal numbers is written again and again from other beginnings, so that 16 GB take as long as the disk does: nothing that such a
model says means anything, and its speed is that of trained weights.
"""
import json
import os
import sys

import numpy as np

SHAPES = {
    # meta-llama/Llama-3.1-8B
    "llama_3_1_8b": dict(family="llama", hidden=4096, inner=14336, layers=32, heads=32, kv_heads=8, vocabulary=128256, positions=131072),
    "llama_tiny": dict(family="llama", hidden=64, inner=128, layers=2, heads=4, kv_heads=2, vocabulary=512, positions=16384),
    # sentence-transformers/all-MiniLM-L6-v2
    "minilm": dict(family="bert", hidden=384, inner=1536, layers=6, heads=12, vocabulary=30522),
    # openai/whisper-large-v3
    "whisper_large_v3": dict(family="whisper", width=1280, inner=5120, layers=32, heads=20, bands=128, words=50257),
    "whisper_tiny": dict(family="whisper", width=64, inner=128, layers=2, heads=4, bands=80, words=300),
}
# Bytes of a file, most.
PART = 4 << 30
# A prime, so that the rows of a matrix are not alike.
BLOCK = 16777213


def bf16(numbers):
    """float32 -> the bits of bf16, rounded to the nearest."""
    bits = numbers.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


class Noise:
    def __init__(self, spread):
        self.block = bf16(np.random.default_rng(7).standard_normal(BLOCK, dtype=np.float32) * np.float32(spread))
        self.at = 0

    def write(self, file, count):
        while count:
            part = self.block[self.at:self.at + count]
            part.tofile(file)
            count -= part.size
            self.at = (self.at + part.size) % BLOCK


def llama(s):
    head = s["hidden"] // s["heads"]
    yield "model.embed_tokens.weight", (s["vocabulary"], s["hidden"]), None
    for i in range(s["layers"]):
        at = "model.layers.%d." % i
        yield at + "input_layernorm.weight", (s["hidden"],), 1
        yield at + "post_attention_layernorm.weight", (s["hidden"],), 1
        for name, heads in (("q", s["heads"]), ("k", s["kv_heads"]), ("v", s["kv_heads"])):
            yield at + "self_attn.%s_proj.weight" % name, (heads * head, s["hidden"]), None
        yield at + "self_attn.o_proj.weight", (s["hidden"], s["hidden"]), None
        yield at + "mlp.gate_proj.weight", (s["inner"], s["hidden"]), None
        yield at + "mlp.up_proj.weight", (s["inner"], s["hidden"]), None
        yield at + "mlp.down_proj.weight", (s["hidden"], s["inner"]), None
    yield "model.norm.weight", (s["hidden"],), 1
    yield "lm_head.weight", (s["vocabulary"], s["hidden"]), None


def bert(s):
    hidden, inner = s["hidden"], s["inner"]

    def linear(name, to, source):
        yield name + ".weight", (to, source), None
        yield name + ".bias", (to,), 0

    def norm(name):
        yield name + ".weight", (hidden,), 1
        yield name + ".bias", (hidden,), 0

    for name, rows in (("word", s["vocabulary"]), ("position", 512), ("token_type", 2)):
        yield "embeddings.%s_embeddings.weight" % name, (rows, hidden), None
    yield from norm("embeddings.LayerNorm")
    for i in range(s["layers"]):
        at = "encoder.layer.%d." % i
        for name in ("query", "key", "value"):
            yield from linear(at + "attention.self." + name, hidden, hidden)
        yield from linear(at + "attention.output.dense", hidden, hidden)
        yield from norm(at + "attention.output.LayerNorm")
        yield from linear(at + "intermediate.dense", inner, hidden)
        yield from linear(at + "output.dense", hidden, inner)
        yield from norm(at + "output.LayerNorm")


def whisper(s):
    width, inner = s["width"], s["inner"]

    def linear(name, to, source, bias=True):
        yield name + ".weight", (to, source), None
        if bias:
            yield name + ".bias", (to,), 0

    def norm(name):
        yield name + ".weight", (width,), 1
        yield name + ".bias", (width,), 0

    def attention(name):
        for part in ("q", "k", "v", "out"):
            yield from linear("%s.%s_proj" % (name, part), width, width, part != "k")

    def layer(at, crossing):
        yield from attention(at + "self_attn")
        yield from norm(at + "self_attn_layer_norm")
        if crossing:
            yield from attention(at + "encoder_attn")
            yield from norm(at + "encoder_attn_layer_norm")
        yield from linear(at + "fc1", inner, width)
        yield from linear(at + "fc2", width, inner)
        yield from norm(at + "final_layer_norm")

    for name, source in (("conv1", s["bands"]), ("conv2", width)):
        yield "model.encoder.%s.weight" % name, (width, source, 3), None
        yield "model.encoder.%s.bias" % name, (width,), 0
    yield "model.encoder.embed_positions.weight", (1500, width), None
    yield "model.decoder.embed_tokens.weight", (s["vocabulary"], width), None
    yield "model.decoder.embed_positions.weight", (448, width), None
    for half in ("encoder", "decoder"):
        for i in range(s["layers"]):
            yield from layer("model.%s.layers.%d." % (half, i), half == "decoder")
        yield from norm("model.%s.layer_norm" % half)


def tensors_of(shape):
    return list({"llama": llama, "bert": bert, "whisper": whisper}[shape["family"]](shape))


def save(folder, tensors, spread):
    parts, size = [[]], 0
    for name, shape, value in tensors:
        bytes = int(np.prod(shape)) * 2
        if size and size + bytes > PART:
            parts.append([])
            size = 0
        parts[-1].append((name, shape, value))
        size += bytes
    noise, total, where = Noise(spread), 0, {}
    for number, part in enumerate(parts, 1):
        file = "model.safetensors" if len(parts) == 1 else "model-%05d-of-%05d.safetensors" % (number, len(parts))
        head, at = {"__metadata__": {"format": "pt"}}, 0
        for name, shape, _ in part:
            bytes = int(np.prod(shape)) * 2
            head[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + bytes]}
            at += bytes
            where[name] = file
        text = json.dumps(head, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(folder, file), "wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            for _, shape, value in part:
                count = int(np.prod(shape))
                if value is None:
                    noise.write(out, count)
                else:
                    bf16(np.full(count, value)).tofile(out)
        total += at
    if len(parts) > 1:
        write(folder, "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})
    return total


def write(folder, name, value):
    with open(os.path.join(folder, name), "w") as out:
        json.dump(value, out, separators=(",", ":"))


def words_tokenizer(folder, words):
    """A word is a token: `w17` is 17."""
    model = {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": words[0]}
    write(folder, "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None, "model": model})


def make_llama(folder, s):
    words_tokenizer(folder, ["w%d" % i for i in range(s["vocabulary"])])
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "w0", "model_max_length": s["positions"],
        "chat_template": "{% for message in messages %}{{ message['content'] }} {% endfor %}"})
    # No token ends an answer: it has as many as were asked for.
    write(folder, "generation_config.json", {"eos_token_id": None, "do_sample": False})
    write(folder, "config.json", {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16", "hidden_size": s["hidden"],
        "intermediate_size": s["inner"], "num_hidden_layers": s["layers"], "num_attention_heads": s["heads"],
        "num_key_value_heads": s["kv_heads"], "vocab_size": s["vocabulary"], "max_position_embeddings": s["positions"], "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
        "bos_token_id": None, "eos_token_id": None, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})


def make_bert(folder, s):
    words_tokenizer(folder, ["w%d" % i for i in range(s["vocabulary"])])
    write(folder, "config.json", {
        "model_type": "bert", "vocab_size": s["vocabulary"], "hidden_size": s["hidden"], "num_hidden_layers": s["layers"],
        "num_attention_heads": s["heads"], "intermediate_size": s["inner"], "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "max_position_embeddings": 512, "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0})
    os.makedirs(os.path.join(folder, "1_Pooling"), exist_ok=True)
    write(folder, "1_Pooling/config.json", {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True})
    write(folder, "sentence_bert_config.json", {"max_seq_length": 256, "do_lower_case": False})


def make_whisper(folder, s):
    words = ["w%d" % i for i in range(s["words"])] + ["<|endoftext|>", "<|startoftranscript|>", "<|en|>"]
    words += ["<|l%02d|>" % i for i in range(99)] + ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    words += ["<|notimestamps|>"] + ["<|%.2f|>" % (i / 50) for i in range(1501)]
    s["vocabulary"] = len(words)
    words_tokenizer(folder, words)
    end, start, first_time = s["words"], s["words"] + 1, len(words) - 1501
    # The end is never said, nor any time but the first: every window has as many tokens as fit, and is done with as a whole.
    never = [end] + list(range(start, first_time)) + list(range(first_time + 1, len(words)))
    write(folder, "generation_config.json", {
        "is_multilingual": True, "suppress_tokens": never, "begin_suppress_tokens": None, "eos_token_id": end, "pad_token_id": end,
        "bos_token_id": end, "decoder_start_token_id": start, "max_initial_timestamp_index": 50})
    write(folder, "config.json", {
        "model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"], "torch_dtype": "bfloat16", "d_model": s["width"],
        "encoder_layers": s["layers"], "decoder_layers": s["layers"], "encoder_attention_heads": s["heads"],
        "decoder_attention_heads": s["heads"], "encoder_ffn_dim": s["inner"], "decoder_ffn_dim": s["inner"], "num_mel_bins": s["bands"],
        "vocab_size": len(words), "max_source_positions": 1500, "max_target_positions": 448, "activation_function": "gelu",
        "eos_token_id": end, "pad_token_id": end, "bos_token_id": end, "decoder_start_token_id": start, "suppress_tokens": never,
        "begin_suppress_tokens": None})


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in SHAPES:
        sys.exit("usage: make.py %s FOLDER" % "|".join(SHAPES))
    shape, folder = SHAPES[sys.argv[1]], sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    {"llama": make_llama, "bert": make_bert, "whisper": make_whisper}[shape["family"]](folder, shape)
    total = save(folder, tensors_of(shape), 0.02 if shape.get("hidden", shape.get("width")) > 1000 else 0.2)
    print("%s: %.2f GB" % (sys.argv[1], total / 1e9))


if __name__ == "__main__":
    main()
