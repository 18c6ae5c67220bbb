#!/usr/bin/env python3
"""The paper's published figures (murakkab_profiles.json) -> a library that mkbc plans with.

    python3 bench/paper/library.py PROFILES.json bench/paper

writes `p90/` and `p50/`: paper.mkb and profiles/*.csv, with the tokens that 90 % and 50 % of the requests do not exceed. The
figures are those of Chaudhry et al., OSDI'26, as the JSON has them; the 50 % are read here from the same plots (see TOKENS_P50).
"""

import csv
import json
import math
import pathlib
import sys

# A level of load is named by how many requests are then under way (throughput x time per token, Little's law). That is no whole number:
# the one below keeps the time per token and carries a little less than was published, the one above carries as much and is a little slower.
FIG3 = "OSDI'26 Fig. 3 (vector layer)"
TAB5 = "OSDI'26 Table 5"
NOWHERE = "assumed: no time to first token of this model is printed"

# Llava-OneVision-7B has no curve in Fig. 3; Table 5 prints operating points: (tokens/s, seconds a token).
LLAVA = {
    ("A100", 4): [(926, 0.0085), (2244, 0.0224)],
    ("H100", 4): [(479, 0.0044), (2836, 0.0070), (3271, 0.0079)],
}
LLAVA_TTFT = 0.05
# No efficiency of it is printed either: as much as Gemma-3-27B at its throughput in Table 6.
LLAVA_WATTS = {"A100": 1434, "H100": 1649}

# Fig. 2b and 2d at 50 %: the middle of the line, or its half width (9 and 190 tokens) from the edge of a merged cluster, as the JSON
# has them at 90 %. Clusters: Murrakub_Mock@6c6a02bb optimization/profiles/sources/figures_digitized.py.
TOKENS_P50 = {
    "video": {
        "NVLM-D-72B": {"1": 122, "5": 115, "10": 137.5},
        "Llava-OneVision-7B": {"1N": 97, "1Y": 91, "5N": 393, "5Y": 293, "10N": 713.5, "10Y": 585.5},
        "Gemma-3-27B": {"1N": 330, "1Y": 345, "5N": 512, "5Y": 526, "10N": 600.5, "10Y": 678.5},
    },
    "code": {
        "DeepSeek-Qwen-32B": {"2x2": 7520, "2x4": 10664, "4x2": 16746, "4x4": 20853.5},
        "Phi-4": {"2x2": 1438, "2x4": 2069, "4x2": 3696.5, "4x4": 6493},
        "Gemma-3-27B": {"2x2": 1248, "2x4": 1248, "4x2": 2544, "4x4": 2543},
    },
}

# "TPS per Wh" has no stated window. Forty seconds put four A100 with Gemma at 700 tokens/s at 1.43 kW; only ratios count.
WINDOW_S = 40

MEMORY_GB = {"Gemma-3-27B": 55, "NVLM-D-72B": 145, "Llava-OneVision-7B": 16, "Phi-4": 29, "DeepSeek-Qwen-32B": 66}

WEIGHTS = {
    "Gemma-3-27B": "google/gemma-3-27b-it",
    "NVLM-D-72B": "nvidia/NVLM-D-72B",
    "Llava-OneVision-7B": "llava-hf/llava-onevision-qwen2-7b-ov-hf",
    "Phi-4": "microsoft/phi-4",
    "DeepSeek-Qwen-32B": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
}

HEADER = "task,tokens,slots,device,units,figure,value,unit,low,high,evidence,source".split(",")
TASKS = {"video": "answer_about_video", "code": "write_by_debate"}


def name(model):
    return model.lower().replace("-", "_").replace(".", "_")


def between(curve, at):
    """The curve at a throughput, and whether it is printed there; None beyond its last point."""
    for x, y in curve:
        if abs(x - at) < 0.1:
            return y, True
    for (x0, y0), (x1, y1) in zip(curve, curve[1:]):
        if x0 < at < x1:
            return y0 + (y1 - y0) * (at - x0) / (x1 - x0), False
    return (curve[0][1], False) if at < curve[0][0] else None


def levels(published):
    """By (model, gpu, gpus): tokens/s, seconds a token, time to first token, watts, whether the last two are printed."""
    out = {}
    for key, curves in published["fig3_curves_offered_tps_vs_value"].items():
        model, gpu, tp = key.split("/")
        for tps, tpot in curves["tpot_s"]:
            ttft, efficiency = between(curves["ttft_s"], tps), between(curves["tps_per_wh"], tps)
            if ttft is None or efficiency is None:
                continue  # saturated: the first token is off the plot
            watts = tps / efficiency[0] * 3600 / WINDOW_S
            out.setdefault((model, gpu, int(tp[2:])), []).append((tps, tpot, ttft, watts))
    for (gpu, tp), points in LLAVA.items():
        out[("Llava-OneVision-7B", gpu, tp)] = [(tps, tpot, None, None) for tps, tpot in points]
    return out


def quality(published):
    """By workflow and model: {configuration: accuracy}."""
    code = {k: v for k, v in published["fig2c_code_accuracy_pct(DxR)"].items()}
    return {"video": published["fig2a_video_accuracy_pct"], "code": code}


def tokens(published, percentile):
    if percentile == 50:
        return TOKENS_P50
    return {"video": published["fig2b_video_tokens_p90"], "code": published["fig2d_code_tokens_p90(DxR)"]}


def settings(published, percentile):
    """By model and workflow: {tokens: (accuracy, configuration)}; of configurations with equal tokens the better one."""
    out = {}
    for workflow, models in quality(published).items():
        for model, configurations in models.items():
            counts = tokens(published, percentile)[workflow].get(model)
            for configuration, accuracy in configurations.items():
                if counts is None:
                    continue  # no tokens are printed for it
                count = counts.get(configuration, counts.get(configuration[:-1]))
                own = out.setdefault(model, {}).setdefault(workflow, {})
                count = math.ceil(count)
                if accuracy > own.get(count, (0, ""))[0]:
                    own[count] = (accuracy, configuration)
    return out


def figure(value):
    return f"{value:.6f}".rstrip("0").rstrip(".")


def rows(model, own, points):
    """The rows of one model's profile, and the slots of its levels."""
    out, slots = [], set()

    def row(task="", count="", slot="", device="", units="", figure_="", value=0.0, unit="", evidence="published", source=""):
        out.append([task, count, slot, device, units, figure_, figure(value), unit, "", "", evidence, source])

    for workflow, configurations in own.items():
        for count, (accuracy, configuration) in sorted(configurations.items()):
            shown = configuration.replace("Y", " frames with speech").replace("N", " frames without speech")
            source = f"OSDI'26 Fig. 2{'a' if workflow == 'video' else 'c'}, {shown.replace('1 frames', '1 frame')}"
            row(TASKS[workflow], count, figure_="quality", value=accuracy, unit="%", source=source)
    row(figure_="memory", value=MEMORY_GB[model], unit="GB", evidence="estimated", source="parameters x 2 bytes")
    for (of, gpu, tp), curve in sorted(points.items()):
        if of != model:
            continue
        taken = {}
        for tps, tpot, ttft, watts in curve:
            # Of levels with equally many requests under way the last one, which carries more.
            taken[max(1, math.floor(tps * tpot))] = (tps, tpot, ttft, watts)
        for tps, tpot, ttft, watts in curve:
            taken.setdefault(math.ceil(tps * tpot), (tps, math.ceil(tps * tpot) / tps, ttft, watts))
        for slot, (tps, tpot, ttft, watts) in sorted(taken.items()):
            slots.add(slot)
            where = {"slot": slot, "device": gpu.lower(), "units": tp}
            at = f"{model} {gpu} TP{tp} at {figure(tps)} tokens/s"
            print_ = TAB5 if ttft is None else FIG3
            exact = any(tpot == printed for _, printed, _, _ in curve)
            evidence, note = ("published", "") if exact else ("estimated", ", slower for as many slots")
            row(**where, figure_="tpot", value=tpot * 1000, unit="ms/tok", evidence=evidence, source=f"{print_}: {at}{note}")
            if ttft is None:
                row(**where, figure_="ttft", value=LLAVA_TTFT, unit="s", evidence="estimated", source=NOWHERE)
                source = "assumed: as much as Gemma-3-27B on the same GPUs; no power of this model is printed"
                row(**where, figure_="power", value=LLAVA_WATTS[gpu], unit="W", evidence="estimated", source=source)
                continue
            evidence = "published" if ttft[1] else "estimated"
            note = "" if ttft[1] else ", on the line between the points beside it"
            row(**where, figure_="ttft", value=ttft[0], unit="s", evidence=evidence, source=f"{print_}: {at}{note}")
            note = f", of which a window of {WINDOW_S} s is assumed"
            row(**where, figure_="power", value=watts, unit="W", evidence="estimated", source=f"{print_}: {at}{note}")
    return out, slots


def entry(model, own, slots, points):
    counts = sorted({count for configurations in own.values() for count in configurations})
    units = {}
    for of, gpu, tp in points:
        if of == model:
            units.setdefault(gpu.lower(), []).append(tp)
    tasks = ", ".join(TASKS[workflow] for workflow in own)
    runs = "".join(f"  runs on {device} * {sorted(tps)}\n" for device, tps in sorted(units.items()))
    return (
        f"/// {model}. `tokens` says how a request is carried out (its row of quality has the setting), `slots` how loaded an instance is.\n"
        f"model {name(model)} implements {tasks} {{\n"
        f"  knob tokens in {counts}\n"
        f"  knob slots  in {sorted(slots)}\n"
        f"  concurrency slots\n"
        f"  work output = tokens * 1 tok\n"
        f"{runs}"
        f'  engine server {{ serve vllm, model "{WEIGHTS[model]}" }}\n'
        f'  profile "{name(model)}.csv"\n'
        f"}}\n"
    )


HEAD = """// Written by bench/paper/library.py from the figures of Chaudhry et al., OSDI'26: models that answer questions about videos and write code by
// debate, each at the loads that were measured. Tokens of an answer: what {percentile} % of the requests do not exceed.

/// A question about a video; the model sees some frames and, in most settings, what is said.
task answer_about_video(question: Text) -> Text {{
  size tokens = 100 tok
}}

/// Code that several voices agree on in several rounds.
task write_by_debate(request: Text) -> Text {{
  size tokens = 400 tok
}}
"""


def main():
    published = json.loads(pathlib.Path(sys.argv[1]).read_text())
    points = levels(published)
    for percentile in (90, 50):
        folder = pathlib.Path(sys.argv[2]) / f"p{percentile}"
        (folder / "profiles").mkdir(parents=True, exist_ok=True)
        text = HEAD.format(percentile=percentile)
        for model, own in settings(published, percentile).items():
            lines, slots = rows(model, own, points)
            if not slots:
                continue
            text += "\n" + entry(model, own, slots, points)
            with open(folder / "profiles" / f"{name(model)}.csv", "w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(HEADER)
                writer.writerows(lines)
        (folder / "paper.mkb").write_text(text)


if __name__ == "__main__":
    main()
