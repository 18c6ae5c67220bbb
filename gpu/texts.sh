#!/bin/bash
# A plan whose embeddings are made by a local model and whose vectors are searched, on the GPU: measured there (mkbc profile), planned with
# that, run; what it took is held against what was predicted. Part of gpu/check.sh.
#   gpu/texts.sh MKBC FOLDER       MKBC_CANDLE names the worker; DEVICE=cpu tries it on a core
set -euo pipefail
mkbc=$1
out=$2
work=$out/run-texts
mkdir -p "$work/lib/profiles"
device=${DEVICE:-$(gpu/device.sh "$mkbc")}
kind=gpu search=nearest_vectors_gpu
[ "$device" != cpu ] || kind=cpu search=nearest_vectors
python3 gpu/models/make.py minilm "$work/minilm"
cat >"$work/lib/vectors.mkb" <<MKB
use std.retrieval

/// Vectors by a model of MiniLM's shape.
model vectors implements embed {
  license "Apache-2.0"
  runs on $kind * 1
  engine worker {
    serve candle
    model "$work/minilm"
    function embed
  }
  profile "vectors.csv"
}
MKB
cat >"$work/lib/profiles/vectors.csv" <<CSV
device,units,figure,value,unit,low,high,evidence,source
,,quality,50,%,,,estimated,random weights say nothing
$device,,latency,1,s,,,estimated,a guess until it is measured
$device,,power,100,W,,,estimated,a guess until it is measured
$device,,memory,1,GB,,,estimated,a guess until it is measured
CSV
cat >"$work/job.mkb" <<MKB
use std.retrieval
use kernels
use vectors

/// The passages whose vectors are nearest to the question's.
job nearest(question: Text, pages: List[Text]) -> List[Passage] {
  expect pages * ${PAGES:-512}
  let passages = split_passages(pages)
  let texts = for p in passages { p.text }
  let index = index_passages(passages, embed(texts) using vectors on $device * 1)
  search_index(embed([question]) using vectors on $device * 1, index) using $search on $device * 1
}
MKB
# Two sizes, so that what a call takes by itself and what its texts take are told apart.
python3 - "$work" "${PAGES:-512}" <<'PYTHON'
import json, sys
work, count = sys.argv[1], int(sys.argv[2])
page = lambda i: " ".join("w%d" % (100 + (i * 7919 + k * 104729) % 30000) for k in range(60)) + "."
with open(work + "/samples.jsonl", "w") as out:
    for n in (max(1, count // 4), count):
        out.write(json.dumps({"texts": [page(i) for i in range(n)]}) + "\n")
with open(work + "/pages", "w") as out:
    out.writelines(page(i) + "\n" for i in range(count))
PYTHON
"$mkbc" profile vectors --library "$work/lib" --samples "$work/samples.jsonl" --least 3 --most 4 --seconds 20 --out "$work/measured"
mapfile -t pages <"$work/pages"
"$mkbc" run "$work/job.mkb" --cluster here --library "$work/lib" --library gpu/library --library "$work/measured" --question "w101 w202" \
  --pages "${pages[@]}" --folder "$work/run" --json >"$work/report.json"
python3 - "$work/report.json" "$out/texts.json" "$device" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
rows = []
for step in report["steps"]:
    planned = step["planned"]
    rows.append({"step": step["name"], "by": step["implementation"], "devices": step.get("devices", []), "as_planned": step.get("as_planned"),
                 "seconds": step["busy_s"], "seconds_planned": planned["latency_s"], "wh": step["energy_wh"], "wh_planned": planned["energy_wh"],
                 "energy": step["energy_basis"]})
    print("%-18s %-20s %8.3f s, %8.3f planned; %s Wh, %s planned (%s) %s" % (
        step["name"], step["implementation"], step["busy_s"], planned["latency_s"], step["energy_wh"], planned["energy_wh"], step["energy_basis"],
        " ".join(step.get("devices", []))))
vectors = [r for r in rows if r["by"] == "vectors"]
ratio = lambda a, b: sum(r[a] for r in vectors) / sum(r[b] for r in vectors) if all(r[a] and r[b] for r in vectors) else None
result = {"device": sys.argv[3], "steps": rows, "energy": report.get("energy"), "measured_by_planned_s": ratio("seconds", "seconds_planned"),
          "measured_by_planned_wh": ratio("wh", "wh_planned")}
print("measured / planned, of the embeddings: time %s, energy %s" % (result["measured_by_planned_s"], result["measured_by_planned_wh"]))
json.dump(result, open(sys.argv[2], "w"))
# Which device it was is the plan's word; how near the prediction came is for people to judge.
sys.exit(not all(r["as_planned"] in (None, True) for r in rows))
PYTHON
