"""Qwen3-4B's shape with random weights of 4.5 bits, as a GGUF file: it answers nonsense, and takes as long as the model does.

    random_gguf.py FOLDER [bytes]      writes FOLDER/Qwen/Qwen3-4B/random.gguf (2.3 GB)

Needs `gguf` (PyPI). How long a token takes depends on the shapes and the bits of the weights and not on what stands in them. The vocabulary has
as many tokens as Qwen's; its words are the beginnings of words, so that English has some four characters a token, as `mkbc` counts. With `bytes`
they are written as Qwen's own are, by the bytes of GPT-2 with merges: Ollama's engine reads no others.
"""

import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD, FEED, VOCABULARY, CONTEXT = 36, 2560, 32, 8, 128, 9728, 151936, 8192
# Bytes of a block of 32 weights: a scale of 16 bits and 32 times 4 bits.
BLOCK = 18

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)

# What measure.sh makes its texts of, and words around it.
WORDS = (
    "the river runs past an old mill where people of the valley bring their grain each autumn and talk about prices question answers "
    "give one answer to from all them in sentence you merge without adding anything do"
).split()
# The longest token: words of English, with the space before them, have four to five characters a token.
LONGEST = 4


def vocabulary():
    space = "\u2581"
    words = {space + form for word in WORDS for form in (word, word.capitalize())} | set(WORDS)
    parts = {word[from_:from_ + n] for word in words for from_ in range(0, len(word), LONGEST) for n in range(2, LONGEST + 1)}
    parts = sorted(part for part in parts if len(part) > 1)
    plain = [chr(c) for c in range(0x21, 0x7F)] + [space]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + plain + parts
    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL] + [TokenType.BYTE] * 256
    scores = [0.0] * (3 + 256 + len(plain)) + [float(len(part)) for part in parts]
    rest = VOCABULARY - len(tokens)
    tokens += [f"w{n} " for n in range(rest)]
    types += [TokenType.NORMAL] * (len(tokens) - len(types))
    scores += [-1000.0] * rest
    return [token.encode() for token in tokens], types, scores


def byte_letters():
    """The letter that GPT-2's vocabulary has for each byte."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = iter(range(0x100, 0x200))
    return [chr(b if b in shown else next(hidden)) for b in range(256)]


def byte_vocabulary():
    letters = byte_letters()
    space = letters[0x20]
    tokens, merges = list(letters), []
    words = sorted({before + form for word in WORDS for form in (word, word.capitalize()) for before in ("", space)})
    for word in words:
        for part in (word[from_:from_ + LONGEST] for from_ in range(0, len(word), LONGEST)):
            for n in range(2, len(part) + 1):
                if part[:n] not in tokens:
                    tokens.append(part[:n])
                    merges.append(f"{part[:n - 1]} {part[n - 1]}")
    control = ["<s>", "</s>"]
    rest = VOCABULARY - len(tokens) - len(control)
    types = [TokenType.NORMAL] * (len(tokens) + rest) + [TokenType.CONTROL] * len(control)
    tokens += [f"w{n}{space}" for n in range(rest)] + control
    return [token.encode() for token in tokens], types, merges


def add_vocabulary(out, by_bytes):
    if by_bytes:
        tokens, types, merges = byte_vocabulary()
        out.add_tokenizer_model("gpt2")
        out.add_tokenizer_pre("qwen2")
        out.add_token_merges(merges)
        out.add_bos_token_id(VOCABULARY - 2)
        out.add_eos_token_id(VOCABULARY - 1)
        out.add_add_bos_token(False)
    else:
        tokens, types, scores = vocabulary()
        out.add_tokenizer_model("llama")
        out.add_token_scores(scores)
        out.add_bos_token_id(1)
        out.add_eos_token_id(2)
        out.add_unk_token_id(0)
    out.add_token_list(tokens)
    out.add_token_types(types)


def main() -> None:
    path = pathlib.Path(sys.argv[1]) / "Qwen/Qwen3-4B/random.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    out = GGUFWriter(path, "qwen3")
    out.add_name("random weights in the shape of Qwen3-4B")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(HIDDEN)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FEED)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KV_HEADS)
    out.add_key_length(HEAD)
    out.add_value_length(HEAD)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_rope_freq_base(1e6)
    out.add_vocab_size(VOCABULARY)
    add_vocabulary(out, sys.argv[2:] == ["bytes"])
    out.add_chat_template(TEMPLATE)

    def quantised(name: str, rows: int, columns: int) -> None:
        blocks = random.integers(0, 256, (1024, BLOCK), dtype=np.uint8)
        blocks[:, :2] = np.frombuffer(np.float16(0.004).tobytes(), dtype=np.uint8)
        wide = np.resize(blocks, (rows, columns // 32 * BLOCK))
        out.add_tensor(name, wide, raw_dtype=GGMLQuantizationType.Q4_0)

    def ones(name: str, size: int) -> None:
        out.add_tensor(name, np.ones(size, dtype=np.float32))

    quantised("token_embd.weight", VOCABULARY, HIDDEN)
    ones("output_norm.weight", HIDDEN)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm.weight", HIDDEN)
        ones(f"{block}.ffn_norm.weight", HIDDEN)
        ones(f"{block}.attn_q_norm.weight", HEAD)
        ones(f"{block}.attn_k_norm.weight", HEAD)
        quantised(f"{block}.attn_q.weight", HEADS * HEAD, HIDDEN)
        quantised(f"{block}.attn_k.weight", KV_HEADS * HEAD, HIDDEN)
        quantised(f"{block}.attn_v.weight", KV_HEADS * HEAD, HIDDEN)
        quantised(f"{block}.attn_output.weight", HIDDEN, HEADS * HEAD)
        quantised(f"{block}.ffn_gate.weight", FEED, HIDDEN)
        quantised(f"{block}.ffn_up.weight", FEED, HIDDEN)
        quantised(f"{block}.ffn_down.weight", HIDDEN, FEED)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


main()
