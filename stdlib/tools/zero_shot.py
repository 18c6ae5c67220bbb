"""Finds things in frames by words: CLIP scores whole frames, OmDet-Turbo and Grounding DINO find boxes (transformers, PyTorch).

usage: zero_shot.py FAMILY/VARIANT FRAMES.json LOOKING_FOR.txt DEVICE THREADS
Writes a JSON list of {time, text, score}, best first in each frame. DEVICE is `cpu`, or anything else for the first GPU that is visible.
Weights are read from MKBC_WEIGHTS/NAME, else from the Hugging Face cache; nothing is fetched.
"""
import json
import os
import re
import sys

NAMES = {
    "clip/vit_b_32": "openai/clip-vit-base-patch32",
    "clip/vit_b_16": "openai/clip-vit-base-patch16",
    "clip/vit_l_14": "openai/clip-vit-large-patch14",
    "clip/vit_l_14_336": "openai/clip-vit-large-patch14-336",
    "omdet/omdet_turbo_tiny": "omlab/omdet-turbo-swin-tiny-hf",
    "omdet/omdet_turbo_base": "omlab/omdet-turbo-swin-base-hf",
    "grounding_dino/grounding_dino_tiny": "IDEA-Research/grounding-dino-tiny",
}
# What is looked for beside what is asked: the objects of everyday scenes, and people by what they wear.
THINGS = (
    "person, bicycle, car, motorcycle, bus, train, truck, boat, traffic light, bench, bird, cat, dog, horse, sheep, cow, backpack, umbrella, "
    "handbag, suitcase, ball, bottle, glass, cup, knife, bowl, fruit, bread, cake, chair, sofa, plant, bed, table, television, laptop, phone, "
    "oven, sink, book, clock, house, street, tree, mountain, lake, sign"
).split(", ")
COLOURS = "red, orange, yellow, green, blue, purple, black, white".split(", ")
GARMENTS = "dress, shirt, coat".split(", ")
BATCH = 8
# Probability of a label among all for CLIP; confidence of a box for the detectors (their authors' defaults).
LEAST = {"clip": 0.1, "omdet": 0.3, "grounding_dino": 0.3}
MOST = 8


def weights(name):
    own = os.environ.get("MKBC_WEIGHTS")
    if own:
        folder = os.path.join(own, *name.split("/"))
        if os.path.isdir(folder):
            return folder
    return name


def labels(asked, family):
    phrases = [p.strip().lower() for p in re.split(r"[,;\n]+", asked) if p.strip()] if asked.strip() != "null" else []
    wearing = ["%s in a %s %s" % (who, colour, garment) for who in ("man", "woman") for colour in COLOURS for garment in GARMENTS]
    # A detector's prompt is bounded (256 word pieces), and it finds a person whatever they wear; CLIP compares as many as there are.
    more = THINGS + wearing if family == "clip" else THINGS
    return list(dict.fromkeys([p[:80] for p in phrases[:16]] + more))


def chunks(items, size):
    return [items[i:i + size] for i in range(0, len(items), size)]


class Clip:
    def __init__(self, source, device):
        from transformers import CLIPModel, CLIPProcessor
        self.model = CLIPModel.from_pretrained(source, local_files_only=True).to(device).eval()
        self.processor = CLIPProcessor.from_pretrained(source, local_files_only=True)
        self.device, self.text = device, None

    def found(self, pictures, words):
        import torch
        if self.text is None:
            prompts = ["a photo of %s" % w if w.startswith(("a ", "the ")) else "a photo of a %s" % w for w in words]
            given = self.processor(text=prompts, return_tensors="pt", padding=True, truncation=True).to(self.device)
            self.text = torch.nn.functional.normalize(self.model.get_text_features(**given), dim=-1)
        given = self.processor(images=pictures, return_tensors="pt").to(self.device)
        image = torch.nn.functional.normalize(self.model.get_image_features(**given), dim=-1)
        shares = (self.model.logit_scale.exp() * image @ self.text.T).softmax(dim=-1)
        return [list(zip(words, row)) for row in shares.tolist()]


class OmDet:
    def __init__(self, source, device):
        from transformers import AutoProcessor, OmDetTurboForObjectDetection
        self.model = OmDetTurboForObjectDetection.from_pretrained(source, local_files_only=True).to(device).eval()
        self.processor = AutoProcessor.from_pretrained(source, local_files_only=True)
        self.device = device

    def found(self, pictures, words):
        task = "Detect %s." % ", ".join(words)
        given = self.processor(pictures, text=[words] * len(pictures), task=[task[:300]] * len(pictures), return_tensors="pt").to(self.device)
        out = self.model(**given)
        sizes = [p.size[::-1] for p in pictures]
        boxes = self.processor.post_process_grounded_object_detection(
            out, classes=[words] * len(pictures), target_sizes=sizes, score_threshold=LEAST["omdet"], nms_threshold=0.3)
        return [list(zip(b["classes"], b["scores"].tolist())) for b in boxes]


class GroundingDino:
    def __init__(self, source, device):
        from transformers import AutoProcessor, GroundingDinoForObjectDetection
        self.model = GroundingDinoForObjectDetection.from_pretrained(source, local_files_only=True).to(device).eval()
        self.processor = AutoProcessor.from_pretrained(source, local_files_only=True)
        self.device = device

    def found(self, pictures, words):
        prompt = ". ".join(words) + "."
        given = self.processor(images=pictures, text=[prompt] * len(pictures), return_tensors="pt", truncation=True, max_length=256).to(self.device)
        out = self.model(**given)
        sizes = [p.size[::-1] for p in pictures]
        boxes = self.processor.post_process_grounded_object_detection(
            out, given.input_ids, box_threshold=LEAST["grounding_dino"], text_threshold=0.25, target_sizes=sizes)
        return [list(zip(b["labels"], b["scores"].tolist())) for b in boxes]


def main():
    entry, frames, asked, device, threads = sys.argv[1:]
    family = entry.split("/")[0]
    name = NAMES[entry]
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    import transformers
    from PIL import Image
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    if device != "cpu" and not torch.cuda.is_available():
        sys.exit("the plan is for a GPU, and PyTorch sees none")
    place = "cpu" if device == "cpu" else "cuda"
    with open(frames, encoding="utf-8") as f:
        frames = json.load(f)["frames"]
    with open(asked, encoding="utf-8") as f:
        words = labels(f.read(), family)
    source = weights(name)
    try:
        model = {"clip": Clip, "omdet": OmDet, "grounding_dino": GroundingDino}[family](source, place)
    except OSError:
        sys.exit("the weights of %s are not here: `huggingface-cli download %s` puts them into the Hugging Face cache, or name a folder "
                 "that holds %s in MKBC_WEIGHTS" % (name, name, name))
    observations = []
    with torch.no_grad():
        for some in chunks(frames, BATCH):
            pictures = [Image.open(frame["file"]).convert("RGB") for frame in some]
            for frame, found in zip(some, model.found(pictures, words)):
                best = {}
                for text, score in found:
                    if text and score >= LEAST[family]:
                        best[text] = max(score, best.get(text, 0.0))
                ranked = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]
                observations += [{"time": frame["time"], "text": text[:80], "score": round(score, 4)} for text, score in ranked]
    json.dump(observations, sys.stdout)


if __name__ == "__main__":
    main()
