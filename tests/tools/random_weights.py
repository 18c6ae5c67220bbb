"""Makes folders with random weights for stdlib/tools/zero_shot.py: the architectures are real, what they find is nonsense.

usage: random_weights.py FOLDER tiny|true
`tiny` has a few thousand parameters (for tests), `true` the published shapes (for measuring times: those do not depend on values).
"""
import os
import sys

import torch
from transformers import (BertTokenizerFast, CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizerFast, DetrImageProcessor,
                          GroundingDinoConfig, GroundingDinoForObjectDetection, GroundingDinoImageProcessor, GroundingDinoProcessor,
                          OmDetTurboConfig, OmDetTurboForObjectDetection, OmDetTurboProcessor)
from transformers.models.clip.tokenization_clip import bytes_to_unicode

folder, shape = sys.argv[1:]
tiny = shape == "tiny"
torch.manual_seed(7)


def place(name):
    path = os.path.join(folder, *name.split("/"))
    os.makedirs(path, exist_ok=True)
    return path


def clip_tokenizer(path):
    letters = list(bytes_to_unicode().values())
    words = letters + [l + "</w>" for l in letters] + ["<|startoftext|>", "<|endoftext|>"]
    import json
    with open(os.path.join(path, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump({w: i for i, w in enumerate(words)}, f)
    with open(os.path.join(path, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n")
    return CLIPTokenizerFast(os.path.join(path, "vocab.json"), os.path.join(path, "merges.txt"), model_max_length=77), len(words)


def bert_tokenizer(path):
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = ["[PAD]"] + ["[unused%d]" % i for i in range(99)] + ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # Grounding DINO parts phrases at the ids that `.` and `?` have in BERT's vocabulary.
    words += ["[more%d]" % i for i in range(1012 - len(words))] + ["."] + ["[else%d]" % i for i in range(1029 - 1013)] + ["?"]
    words += [",", "-"] + list(letters) + ["##" + l for l in letters]
    with open(os.path.join(path, "vocab.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(words) + "\n")
    return BertTokenizerFast(os.path.join(path, "vocab.txt"))


def clip(name, size, patch, hidden, layers, heads, text_hidden, text_layers, text_heads, projection):
    path = place(name)
    tokenizer, words = clip_tokenizer(path)
    # Attention shuts after the end of a text, which is found by its id.
    text = dict(hidden_size=text_hidden, intermediate_size=4 * text_hidden, num_hidden_layers=text_layers, num_attention_heads=text_heads,
                vocab_size=words if tiny else 49408, eos_token_id=words - 1, bos_token_id=words - 2, pad_token_id=words - 1)
    vision = dict(hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers, num_attention_heads=heads, image_size=size, patch_size=patch)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection))
    model.save_pretrained(path)
    images = CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    CLIPProcessor(images, tokenizer).save_pretrained(path)


def omdet(name, backbone, channels=(192, 384, 768)):
    path = place(name)
    tokenizer, words = clip_tokenizer(path)
    text = dict(model_type="clip_text_model", eos_token_id=words - 1, bos_token_id=words - 2, pad_token_id=words - 1, projection_dim=512)
    config = dict(text_config=text, use_timm_backbone=True, backbone=backbone, use_pretrained_backbone=False,
                  encoder_in_channels=list(channels),
                  backbone_kwargs={"img_size": 640, "out_indices": [1, 2, 3], "always_partition": True}, apply_layernorm_after_vision_backbone=True)
    if tiny:
        text.update(hidden_size=512, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, vocab_size=words)
        config.update(decoder_num_layers=1, num_queries=20, disable_custom_kernels=True)
    model = OmDetTurboForObjectDetection(OmDetTurboConfig(**config))
    model.save_pretrained(path)
    images = DetrImageProcessor(size={"height": 640, "width": 640}, do_rescale=False, do_pad=False,
                                image_mean=[123.675, 116.28, 103.53], image_std=[58.395, 57.12, 57.375])
    OmDetTurboProcessor(images, tokenizer).save_pretrained(path)


def grounding_dino(name):
    path = place(name)
    tokenizer = bert_tokenizer(path)
    from transformers import SwinConfig
    swin = dict(out_indices=[2, 3, 4])
    text = {}
    more = {}
    if tiny:
        swin.update(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, image_size=64)
        text = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
        more = dict(d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=64, decoder_ffn_dim=64, encoder_attention_heads=2,
                    decoder_attention_heads=2, num_queries=20)
    else:
        swin.update(embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7, image_size=224)
    config = GroundingDinoConfig(backbone_config=SwinConfig(**swin), use_timm_backbone=False, text_config=text, disable_custom_kernels=True, **more)
    GroundingDinoForObjectDetection(config).save_pretrained(path)
    edges = {"shortest_edge": 64, "longest_edge": 128} if tiny else {"shortest_edge": 800, "longest_edge": 1333}
    GroundingDinoProcessor(GroundingDinoImageProcessor(size=edges), tokenizer).save_pretrained(path)


if tiny:
    clip("openai/clip-vit-base-patch32", 32, 8, 32, 1, 2, 32, 1, 2, 16)
    omdet("omlab/omdet-turbo-swin-tiny-hf", "swin_tiny_patch4_window7_224")
else:
    clip("openai/clip-vit-base-patch32", 224, 32, 768, 12, 12, 512, 12, 8, 512)
    clip("openai/clip-vit-base-patch16", 224, 16, 768, 12, 12, 512, 12, 8, 512)
    clip("openai/clip-vit-large-patch14", 224, 14, 1024, 24, 16, 768, 12, 12, 768)
    clip("openai/clip-vit-large-patch14-336", 336, 14, 1024, 24, 16, 768, 12, 12, 768)
    omdet("omlab/omdet-turbo-swin-tiny-hf", "swin_tiny_patch4_window7_224")
    omdet("omlab/omdet-turbo-swin-base-hf", "swin_base_patch4_window7_224", (256, 512, 1024))
grounding_dino("IDEA-Research/grounding-dino-tiny")
