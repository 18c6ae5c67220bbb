#!/usr/bin/env python3
"""Makes spoken sentences and what they say: a dataset for `mkbc eval`.

usage: speech.py OUT_DIR [--items N] [--seed S]

Each item is two sentences by one of flite's voices, slower or faster, with pink noise behind most of them. Everything
follows from the seed. Needs ffmpeg (with flite).
"""
import argparse, json, os, random, subprocess, sys

VOICES = ["awb", "kal16", "rms", "slt"]
WHO = """the teacher|the old doctor|my brother|her sister|the young farmer|our neighbor|the captain|a student|the manager|
the children|his mother|the driver|two friends|the police|the new president|the company""".replace("\n", "").split("|")
DID = """bought some bread and cheese|found the lost letter|opened the heavy door|waited for the train|talked about the weather|
walked along the river|wrote a short story|sold the house last year|made dinner for the family|forgot the keys again|
read the morning paper|asked a simple question|paid the bill in cash|called the office twice|lost the game by one point|
took a picture of the bridge|cleaned the kitchen floor|changed the plan at the last minute""".replace("\n", "").split("|")
WHEN = """yesterday morning|in the afternoon|before the meeting|after the storm|on the way home|at the end of the week|
last summer|because it was late|when the music stopped|in front of the school|without any help|for the first time|
near the small village|while the others were sleeping""".replace("\n", "").split("|")


def sentence(rng):
    parts = [rng.choice(WHO), rng.choice(DID)]
    if rng.random() < 0.8:
        parts.insert(rng.choice([0, 2]), rng.choice(WHEN))
    return " ".join(parts)


def item(out, number, rng):
    said = [sentence(rng), sentence(rng)]
    stem = os.path.join(out, f"speech{number:02}")
    with open(stem + ".txt", "w") as f:
        f.write(". ".join(s.capitalize() for s in said) + ".\n")
    tempo = rng.choice([0.9, 1.0, 1.0, 1.1, 1.2])
    noise = rng.choice([0, 0.005, 0.01, 0.02])
    graph = f"[0:a]aresample=16000,atempo={tempo},adelay=300,apad=pad_dur=0.5[s]"
    graph += f";[1:a]volume={'1' if noise else '0'}[n];[s][n]amix=inputs=2:duration=first:normalize=0"
    subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y",
         "-f", "lavfi", "-i", f"flite=textfile={stem}.txt:voice={rng.choice(VOICES)}",
         "-f", "lavfi", "-i", f"anoisesrc=colour=pink:sample_rate=16000:amplitude={noise or 0.01}:seed={rng.randint(1, 9999)}",
         "-filter_complex", graph, "-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", stem + ".wav"], check=True)
    os.remove(stem + ".txt")
    return {"id": f"speech{number:02}", "audio": f"speech{number:02}.wav", "expected": " ".join(said)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--seed", type=int, default=20261201)
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    rng = random.Random(options.seed)
    rows = [item(options.out, n, rng) for n in range(1, options.items + 1)]
    with open(os.path.join(options.out, "speech.jsonl"), "w") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
