#!/bin/bash
# A plan whose step is answered by a model server that mkbc starts on the GPU, with a tiny model of random weights. Which server: vLLM where it
# is installed, else transformers. Part of gpu/check.sh.   usage: gpu/server.sh MKBC FOLDER
set -euo pipefail
mkbc=$1
out=$2
work=$out/run-server
serve=
if [ -n "${MKBC_VLLM:-}" ] || command -v vllm >/dev/null; then
  serve=vllm
elif { [ -n "${MKBC_TRANSFORMERS:-}" ] || command -v transformers >/dev/null; } && python3 -c 'import fastapi, uvicorn, openai' 2>/dev/null; then
  serve=transformers
fi
[ -n "$serve" ] || { echo "there is no model server here: neither vllm nor transformers[serving]"; exit "${LACKS:-77}"; }
device=$(gpu/device.sh "$mkbc")
mkdir -p "$work/lib/profiles"
python3 gpu/models/make.py llama_tiny "$work/llama_tiny"
cat >"$work/lib/served.mkb" <<MKB
/// Goes on with a text.
task go_on(about: Text) -> Text {
  work about.tokens
  prompt "{about}"
  max_tokens 16
}

/// A tiny model with random weights.
model served implements go_on {
  license "Apache-2.0"
  runs on gpu * 1
  engine server {
    serve $serve
    model "tiny"
    weights "$work/llama_tiny"
    url "http://127.0.0.1:8000/v1"
    url_env SERVED_BASE_URL
  }
  profile "served.csv"
}
MKB
cat >"$work/lib/profiles/served.csv" <<CSV
device,units,figure,value,unit,low,high,evidence,source
,,quality,50,%,,,estimated,random weights say nothing
$device,,latency,1,s,,,estimated,a guess
$device,,power,100,W,,,estimated,a guess
$device,,memory,4,GB,,,estimated,a guess
CSV
cat >"$work/job.mkb" <<MKB
use served

/// Two calls to one server.
job twice(about: Text) -> Text {
  expect about of 20 tok
  let first = go_on(about)
  go_on(first)
}
MKB
"$mkbc" run "$work/job.mkb" --cluster here --library "$work/lib" --about "w1 w2 w3" --folder "$work/run" --json >"$work/report.json" || {
  tail -n 5 "$work"/run/servers/*/server.log 2>/dev/null
  exit 1
}
python3 - "$work/report.json" "$out/server.json" <<'PYTHON'
import json, sys
servers = json.load(open(sys.argv[1]))["servers"]
for s in servers:
    print("%(server)s on %(devices)s (as planned: %(as_planned)s), ready after %(load_s).1f s, %(peak_gb)s GB held of %(reserved_gb).1f set aside" % s)
json.dump(servers, open(sys.argv[2], "w"))
sys.exit(not (len(servers) == 1 and servers[0]["as_planned"] and servers[0]["starts"] == 1))
PYTHON
