"""The worker on a GPU against itself on a processor, and against what transformers made of the same tiny weights.

    agree.py PROGRAM DEVICE [JSON]      (DEVICE: `gpu`, or `cpu`, which tries this script)

In 32 bits on both. Numbers may differ by 1e-4 of the largest; greedy answers may not differ.
"""
import json
import os
import sys

from worker import Failed, Worker

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "../../workers/candle/tests/fixtures")
MOST = 1e-4


def flat(value):
    return [n for item in value for n in flat(item)] if isinstance(value, list) else [value]


def apart(found, wanted):
    found, wanted = flat(found), flat(wanted)
    if len(found) != len(wanted):
        return float("inf")
    return max(abs(a - b) for a, b in zip(found, wanted)) / max(abs(b) for b in wanted)


def fixture(*names):
    return os.path.join(FIXTURES, *names)


def expected(family):
    with open(fixture(family, "expected.json")) as f:
        return json.load(f)


def calls(family):
    """Function, arguments, options, what transformers says (None where its file has it in another form)."""
    given = expected(family)
    if family == "bert":
        return "embed", {"texts": given["texts"]}, {}, given["embeddings"]
    if family == "clip":
        return "similarity", {"images": [{"file": fixture("clip", p)} for p in given["pictures"]], "texts": given["texts"]}, {}, given["cosines"]
    if family == "whisper":
        return "transcribe", {"audio": {"file": fixture("whisper", "sound.wav")}}, {"language": "de", "fallback": "off"}, None
    return "generate", {"prompts": given["prompts"]}, {"max_tokens": 12}, given["answers"]


def main():
    program, device = sys.argv[1], sys.argv[2]
    rows = []
    for family, weights in (("bert", "bert"), ("clip", "clip"), ("whisper", "whisper"), ("llama", "llama"), ("qwen2", "qwen2"),
                            ("llama", "llama/llama.gguf")):
        function, arguments, options, wanted = calls(family)
        row = {"model": weights}
        try:
            with Worker(program, fixture(weights), "cpu") as there:
                on_cpu = there.ask(function, arguments, **options)
            with Worker(program, fixture(weights), device, "32") as there:
                row["ran_on"] = there.ready.get("gpu", there.ready["device"])
                found = there.ask(function, arguments, **options)
            numbers = function in ("embed", "similarity")
            held = [on_cpu] + ([] if wanted is None else [wanted])
            row["apart"] = max(apart(found, w) for w in held) if numbers else None
            row["good"] = row["apart"] <= MOST if numbers else all(found == w for w in held)
        except Failed as failed:
            row.update(good=False, said=str(failed))
        rows.append(row)
        print("%-18s %-7s %s" % (weights, "agrees" if row["good"] else "DIFFERS", row.get("said") or row.get("apart") or ""))
    if len(sys.argv) > 3:
        with open(sys.argv[3], "w") as out:
            json.dump(rows, out)
    sys.exit(not all(row["good"] for row in rows))


if __name__ == "__main__":
    main()
