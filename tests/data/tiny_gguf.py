"""A tiny Llama with random weights, as a GGUF file: it answers nonsense, by a server that is not ours.

    tiny_gguf.py MODEL.gguf [SEED]

Needs `gguf` (PyPI). The same seed gives the same file.
"""

import sys

import numpy as np
from gguf import GGUFWriter, TokenType

EMBED, HEADS, FEED, LAYERS, CONTEXT = 32, 2, 64, 1, 65536

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def main() -> None:
    path = sys.argv[1]
    random = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 7)
    # Every byte is a token of its own, so that any text can be read and written; printable characters are tokens too, which
    # grammars need.
    plain = [chr(c).encode() for c in range(0x21, 0x7F)] + ["\u2581".encode()]
    tokens = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{b:02X}>".encode() for b in range(256)] + plain
    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    types += [TokenType.BYTE] * 256 + [TokenType.NORMAL] * len(plain)

    out = GGUFWriter(path, "llama")
    out.add_name("tiny random llama")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(EMBED)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FEED)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(EMBED // HEADS)
    out.add_vocab_size(len(tokens))
    out.add_tokenizer_model("llama")
    out.add_token_list(tokens)
    out.add_token_scores([0.0] * len(tokens))
    out.add_token_types(types)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    out.add_chat_template(TEMPLATE)

    def weights(name: str, *shape: int) -> None:
        out.add_tensor(name, (random.standard_normal(shape) * 0.2).astype(np.float32))

    weights("token_embd.weight", len(tokens), EMBED)
    weights("output.weight", len(tokens), EMBED)
    out.add_tensor("output_norm.weight", np.ones(EMBED, dtype=np.float32))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for norm in ("attn_norm", "ffn_norm"):
            out.add_tensor(f"{block}.{norm}.weight", np.ones(EMBED, dtype=np.float32))
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights(f"{block}.{part}.weight", EMBED, EMBED)
        weights(f"{block}.ffn_gate.weight", FEED, EMBED)
        weights(f"{block}.ffn_up.weight", FEED, EMBED)
        weights(f"{block}.ffn_down.weight", EMBED, FEED)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


main()
