"""Tiny models with random weights, and what transformers makes of them: `make_fixtures.py FOLDER`.

Run by the Python of the vision tests (`.ci/setup all`), with `gguf` from that of the model servers' tests:

    ~/.cache/mkbc/vision/bin/python workers/candle/tests/make_fixtures.py workers/candle/tests/fixtures

The numbers are rounded to 16 bits before anything is computed with them in 32, so that the files hold exactly what was computed with.
"""
import glob
import json
import os
import sys
import wave

sys.path += glob.glob(os.path.expanduser("~/.cache/mkbc/llama/lib/python3*/site-packages"))

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.models.clip.tokenization_clip import bytes_to_unicode

OUT = sys.argv[1]
torch.manual_seed(11)
LETTERS = list(bytes_to_unicode().values())


def place(name):
    path = os.path.join(OUT, name)
    os.makedirs(path, exist_ok=True)
    return path


def write(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


def randomised(model, spread=0.3):
    """Weights that matter: those of transformers are so small that every attention is even."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            norm = ("norm" in name.lower() or "layrnorm" in name) and weight.dim() == 1
            centre = 1.0 if norm and name.endswith("weight") else 0.0
            if name == "logit_scale":
                weight.fill_(2.6592).copy_(weight.half().float())
                continue
            # Rounded one by one: `half()` would round the frequencies of positions as well, which no file holds.
            weight.copy_((torch.randn_like(weight) * spread + centre).half().float())
    return model.eval()


def save(model, path, drop=()):
    state = {k: v.half().contiguous().clone() for k, v in model.state_dict().items() if k not in drop and v.is_floating_point()}
    save_file(state, os.path.join(path, "model.safetensors"), metadata={"format": "pt"})
    config = model.config.to_diff_dict()
    config.pop("transformers_version", None)
    write(os.path.join(path, "config.json"), config)


def bert():
    path = place("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", ","] + [c for c in "abcdefghijklmnopqrstuvwxyz"]
    words += ["##" + c for c in "abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(os.path.join(path, "tokenizer.json"), pretty=False)
    config = transformers.BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
                                     max_position_embeddings=24)
    model = randomised(transformers.BertModel(config, add_pooling_layer=False))
    save(model, path)
    full = model.config.to_dict()
    write(os.path.join(path, "config.json"), {k: full[k] for k in (
        "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
        "hidden_dropout_prob", "max_position_embeddings", "type_vocab_size", "initializer_range", "layer_norm_eps", "pad_token_id")})
    write(os.path.join(path, "sentence_bert_config.json"), {"max_seq_length": 20, "do_lower_case": False})
    write(os.path.join(place("bert/1_Pooling"), "config.json"), {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True})
    texts = ["The harbour is deep.", "a", "Bread, and more bread than anybody could eat in a week.", "Zürich, 1234", ""]
    tokenizer.enable_truncation(20)
    coded = [tokenizer.encode(t or " ").ids for t in texts]
    longest = max(map(len, coded))
    ids = torch.tensor([c + [0] * (longest - len(c)) for c in coded])
    mask = torch.tensor([[1] * len(c) + [0] * (longest - len(c)) for c in coded])
    with torch.no_grad():
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    write(os.path.join(path, "expected.json"), {"texts": texts, "embeddings": torch.nn.functional.normalize(mean, dim=-1).tolist()})


def clip():
    path = place("clip")
    words = LETTERS + [c + "</w>" for c in LETTERS] + ["<|startoftext|>", "<|endoftext|>"]
    with open(os.path.join(path, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump({w: i for i, w in enumerate(words)}, f)
    with open(os.path.join(path, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n")
    names = os.path.join(path, "vocab.json"), os.path.join(path, "merges.txt")
    tokenizer = transformers.CLIPTokenizerFast(*names, model_max_length=24)
    tokenizer.backend_tokenizer.save(os.path.join(path, "tokenizer.json"), pretty=False)
    [os.remove(n) for n in names]
    text = dict(hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, vocab_size=len(words), max_position_embeddings=24,
                eos_token_id=len(words) - 1, bos_token_id=len(words) - 2, pad_token_id=len(words) - 1)
    vision = dict(hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=24, patch_size=8)
    model = randomised(transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)))
    save(model, path)
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})
    prepared = images.to_dict()
    write(os.path.join(path, "preprocessor_config.json"),
          {k: prepared[k] for k in ("size", "crop_size", "image_mean", "image_std", "resample")})
    random = np.random.default_rng(3)
    pictures = []
    for name, shape in (("wide.png", (33, 47)), ("tall.png", (23, 17))):
        y, x = np.mgrid[:shape[0], :shape[1]]
        waves = [127 + 90 * np.sin(x / (3 + c) + y / (5 - c)) + random.normal(0, 30, shape) for c in range(3)]
        picture = Image.fromarray(np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8))
        picture.save(os.path.join(path, name), optimize=True)
        pictures.append(picture)
    pictures[0].resize((34, 24), Image.BICUBIC).save(os.path.join(path, "wide_resized.png"), optimize=True)
    pictures[1].resize((24, 32), Image.BICUBIC).save(os.path.join(path, "tall_resized.png"), optimize=True)
    texts = ["a photo of a boat", "a", "two words, and a sentence that is too long for it by far"]
    given = tokenizer(texts, return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        out = model(**given, pixel_values=images(pictures, return_tensors="pt").pixel_values)
    write(os.path.join(path, "expected.json"), {
        "texts": texts, "pictures": ["wide.png", "tall.png"], "cosines": (out.logits_per_image / model.logit_scale.exp()).tolist(),
        "shares": out.logits_per_image.softmax(-1).tolist()})


def byte_tokenizer(special):
    tokenizer = Tokenizer(models.BPE({w: i for i, w in enumerate(LETTERS)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return tokenizer


def whisper():
    path = place("whisper")
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>",
               "<|nospeech|>", "<|notimestamps|>"]
    tokenizer = byte_tokenizer(special)
    tokenizer.save(os.path.join(path, "tokenizer.json"), pretty=False)
    first_time = len(LETTERS) + len(special)
    id = tokenizer.token_to_id
    # A window of two seconds, and a time for every 0.02 of them.
    config = transformers.WhisperConfig(
        vocab_size=first_time + 101, d_model=8, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, num_mel_bins=80, max_source_positions=100, max_target_positions=64, pad_token_id=id("<|endoftext|>"),
        bos_token_id=id("<|endoftext|>"), eos_token_id=id("<|endoftext|>"), decoder_start_token_id=id("<|startoftranscript|>"),
        suppress_tokens=[1, 2], begin_suppress_tokens=[3, id("<|endoftext|>")])
    model = randomised(transformers.WhisperForConditionalGeneration(config))
    save(model, path, drop=("proj_out.weight",))
    full = model.config.to_dict()
    write(os.path.join(path, "config.json"), {k: full[k] for k in (
        "model_type", "vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads",
        "encoder_ffn_dim", "decoder_ffn_dim", "num_mel_bins", "max_source_positions", "max_target_positions", "activation_function",
        "suppress_tokens", "begin_suppress_tokens")})
    write(os.path.join(path, "generation_config.json"), {"is_multilingual": True, "max_initial_timestamp_index": 20, "suppress_tokens": [1, 2],
                                                         "begin_suppress_tokens": [3, id("<|endoftext|>")]})
    t = np.arange(3200) / 16000
    sound = 0.4 * np.sin(2 * np.pi * 440 * t) * (t < 0.2) + 0.05 * np.random.default_rng(5).normal(size=t.size) + 0.2 * np.sin(2 * np.pi * 3000 * t * t)
    sound = np.clip(np.round(sound * 32768), -32768, 32767).astype("<i2")
    with wave.open(os.path.join(path, "sound.wav"), "wb") as f:
        f.setnchannels(1), f.setsampwidth(2), f.setframerate(16000), f.writeframes(sound.tobytes())
    samples = (sound / 32768).astype(np.float32)
    extractor = transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=2)
    padded = np.pad(samples, (0, 32000 - samples.size))
    # The path by NumPy, in 64 bits: that by PyTorch is in 32.
    mel = extractor._np_extract_fbank_features(padded[None], "cpu")
    mel = torch.tensor(np.array(mel), dtype=torch.float32).reshape(1, 80, -1)
    assert mel.shape == (1, 80, 200), mel.shape
    wide = transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=2)._np_extract_fbank_features(padded[None], "cpu")
    wide = torch.tensor(np.array(wide), dtype=torch.float32).reshape(128, -1)
    prompt = [id("<|startoftranscript|>"), id("<|de|>"), id("<|transcribe|>")]
    from transformers.generation.logits_process import (SuppressTokensAtBeginLogitsProcessor, SuppressTokensLogitsProcessor,
                                                        WhisperTimeStampLogitsProcessor)
    settings = transformers.GenerationConfig(no_timestamps_token_id=id("<|notimestamps|>"), eos_token_id=id("<|endoftext|>"),
                                             bos_token_id=id("<|endoftext|>"), max_initial_timestamp_index=20)
    rules = [SuppressTokensLogitsProcessor([1, 2]), SuppressTokensAtBeginLogitsProcessor([3, id("<|endoftext|>")], 3),
             WhisperTimeStampLogitsProcessor(settings, begin_index=3)]
    with torch.no_grad():
        encoded = model.model.encoder(mel).last_hidden_state
        logits = model(encoder_outputs=(encoded,), decoder_input_ids=torch.tensor([prompt + [first_time, 40]])).logits
        tokens = list(prompt)
        while len(tokens) < 3 + 31:
            scores = model(encoder_outputs=(encoded,), decoder_input_ids=torch.tensor([tokens])).logits[:, -1]
            for rule in rules:
                scores = rule(torch.tensor([tokens]), scores)
            token = int(scores.argmax())
            if token == id("<|endoftext|>"):
                break
            tokens.append(token)
    save_file({"mel": mel[0, :, :16].contiguous(), "mel_128": wide[:, :4].contiguous(), "encoded": encoded[0, :12].contiguous(),
               "logits": logits[0].contiguous()}, os.path.join(path, "expected.safetensors"))
    write(os.path.join(path, "expected.json"), {"prompt": prompt, "after": [first_time, 40], "greedy": tokens[3:]})


def decoder(name, config, kind):
    path = place(name)
    tokenizer = byte_tokenizer(["<|endoftext|>", "<|user|>"])
    tokenizer.save(os.path.join(path, "tokenizer.json"), pretty=False)
    model = randomised(kind(config))
    save(model, path, drop=("lm_head.weight",) if config.tie_word_embeddings else ())
    full = model.config.to_dict()
    write(os.path.join(path, "config.json"), {k: full[k] for k in (
        "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling", "tie_word_embeddings", "eos_token_id",
        "use_sliding_window", "attention_bias") if k in full})
    prompts = ["The harbour", "a", "Bread, and more bread: 12 loaves."]
    answers, logits = [], {}
    for i, prompt in enumerate(prompts):
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        with torch.no_grad():
            logits["logits_%d" % i] = model(ids).logits[0, -1:].contiguous()
            said = []
            while len(said) < 12:
                token = int(model(torch.cat([ids, torch.tensor([said], dtype=torch.long)], -1)).logits[0, -1].argmax())
                if token == 256:
                    break
                said.append(token)
        answers.append(said)
    save_file(logits, os.path.join(path, "expected.safetensors"))
    write(os.path.join(path, "expected.json"), {"prompts": prompts, "ids": answers,
                                                "answers": [tokenizer.decode(a, skip_special_tokens=True) for a in answers]})
    return model, path


def llama():
    scaling = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
    config = transformers.LlamaConfig(vocab_size=258, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
                                      num_key_value_heads=2, max_position_embeddings=96, rope_theta=500.0, rope_scaling=scaling, rms_norm_eps=1e-5,
                                      eos_token_id=256, bos_token_id=None, tie_word_embeddings=False)
    model, path = decoder("llama", config, transformers.LlamaForCausalLM)
    gguf_file(model, os.path.join(path, "llama.gguf"))


def gguf_file(model, path):
    """As llama.cpp's converter writes it: queries and keys turned around, and the scaling of positions as factors."""
    from gguf import GGUFWriter
    config, state = model.config, model.state_dict()
    head = config.hidden_size // config.num_attention_heads
    out = GGUFWriter(path, "llama")
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_block_count(config.num_hidden_layers)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    out.add_head_count_kv(config.num_key_value_heads)
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_rope_dimension_count(head)
    out.add_rope_freq_base(config.rope_theta)
    out.add_vocab_size(config.vocab_size)
    out.add_eos_token_id(config.eos_token_id)
    plain = 1.0 / (config.rope_theta ** (torch.arange(0, head, 2).float() / head))
    out.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq).numpy().astype(np.float32))

    def turned(weight, heads):
        return weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)

    def add(name, weight):
        weight = weight.numpy()
        out.add_tensor(name, weight.astype(np.float32 if weight.ndim == 1 else np.float16))

    add("token_embd.weight", state["model.embed_tokens.weight"])
    add("output.weight", state["lm_head.weight"])
    add("output_norm.weight", state["model.norm.weight"])
    for i in range(config.num_hidden_layers):
        at, block = "model.layers.%d." % i, "blk.%d." % i
        add(block + "attn_q.weight", turned(state[at + "self_attn.q_proj.weight"], config.num_attention_heads))
        add(block + "attn_k.weight", turned(state[at + "self_attn.k_proj.weight"], config.num_key_value_heads))
        for ours, theirs in (("attn_v", "self_attn.v_proj"), ("attn_output", "self_attn.o_proj"), ("ffn_gate", "mlp.gate_proj"),
                             ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj"), ("attn_norm", "input_layernorm"),
                             ("ffn_norm", "post_attention_layernorm")):
            add(block + ours + ".weight", state[at + theirs + ".weight"])
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def qwen2():
    config = transformers.Qwen2Config(vocab_size=258, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                                      num_key_value_heads=1, max_position_embeddings=96, rope_theta=1000.0, eos_token_id=256, bos_token_id=None,
                                      tie_word_embeddings=True)
    decoder("qwen2", config, transformers.Qwen2ForCausalLM)


for family in (bert, clip, whisper, llama, qwen2):
    family()
    print("made", family.__name__)
