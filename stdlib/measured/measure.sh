#!/bin/bash
# Measures every tool of the standard library that runs on a CPU, on this machine, into stdlib/measured.
#   stdlib/measured/measure.sh [NAME…]     all, or only these; what is recorded already is not measured again
#   OUT=DIR stdlib/measured/measure.sh …   into DIR/measured: a library of this machine alone (`--library DIR`)
#   UNITS=1 …                              on so many cores only
#   MOST=3 LONGEST=10 …                    at most so many runs and seconds of each setting and sample; else 8 and 30
# Needs what `.ci/setup all` installs and a release build. Let the machine do nothing else meanwhile: the load is in every row.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkbc=${MKBC:-target/release/mkbc}
work=target/measure
out=${OUT:-stdlib} most=${MOST:-8} longest=${LONGEST:-30}
mkdir -p "$work"
only=("$@")

# The samples: two sizes of everything, all made here.
media=examples/media
[ -f "$work/.made" ] || {
  bash examples/media/make.sh "$media" --quiet
  for video in kitchen road_trip; do
    ffmpeg -nostdin -loglevel error -y -i "$media/$video.mp4" -vn -ac 1 -ar 16000 "$work/$video.wav"
  done
  # Whisper hears windows of 30 s: one, two that are not full, and two.
  ffmpeg -nostdin -loglevel error -y -i "$work/road_trip.wav" -t 30 "$work/half.wav"
  pdfunite "$media"/letter.pdf{,,,} "$work/letters.pdf"
  for video in kitchen road_trip; do
    for frames in 5 30; do
      cat >"$work/frames.mkb" <<JOB
use std.video

/// The pieces of a video.
job pieces(video: Video) -> (frames: Frames, audio: Audio) {
  scene_detection(video) using ffmpeg_scenes(frames: $frames)
}
JOB
      rm -rf "$work/$video.$frames"
      "$mkbc" run "$work/frames.mkb" --video "$media/$video.mp4" --folder "$work/$video.$frames" --quiet >/dev/null
    done
  done
  python3 - "$work" <<'PYTHON'
import json, random, sys
work = sys.argv[1]
random.seed(7)
words = "the river runs past an old mill where people of the valley bring their grain each autumn and talk about prices".split()
def sentence(): return " ".join(random.choices(words, k=12)).capitalize() + "."
def text(n): return " ".join(sentence() for _ in range(n))
def passages(n): return [{"text": text(4), "source": "made %d" % i, "score": 0.0} for i in range(n)]
def transcript(n): return {"segments": [{"start": 5.0 * i, "end": 5.0 * i + 5, "text": sentence()} for i in range(n)]}
def save(name, rows):
    with open("%s/%s.jsonl" % (work, name), "w") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)
frames = lambda v: "@%s.5/steps/00-scene_detection/0000/output.json#frames" % v
question = "Where do people bring their grain?"
save("question_answer", [{"question": question, "transcript": transcript(n), "frames": frames("kitchen")} for n in (20, 400)])
save("combine_answers", [{"question": question, "answers": [sentence() for _ in range(n)]} for n in (2, 40)])
save("summarise", [{"text": text(n)} for n in (20, 400)])
save("answer_from_document", [{"question": question, "pages": [text(30) for _ in range(n)]} for n in (2, 40)])
save("split_passages", [{"texts": [text(40) for _ in range(n)]} for n in (2, 40)])
save("embed", [{"texts": [text(4) for _ in range(n)]} for n in (4, 64)])
save("search", [{"question": question, "passages": passages(n)} for n in (8, 128)])
save("answer_from_passages", [{"question": question, "passages": passages(n)} for n in (3, 40)])
vector = lambda: [random.uniform(-1, 1) for _ in range(384)]
save("index_passages", [{"passages": passages(n), "embeddings": [vector() for _ in range(n)]} for n in (50, 1000)])
save("search_index", [{"query": [vector()], "index": {"passages": passages(n), "embeddings": [vector() for _ in range(n)]}} for n in (50, 1000)])
save("classify", [{"text": text(n), "labels": ["mills", "prices", "rivers"]} for n in (4, 40)])
schema = {"type": "object", "properties": {"date": {"type": "string"}, "total": {"type": "number"}}}
save("extract", [{"text": text(n) + " Date: 2026-11-24. Total: 12.50 EUR.", "schema": schema} for n in (4, 400)])
save("translate", [{"text": text(n), "source": "eng", "target": "spa"} for n in (4, 100)])
save("calculate", [{"expression": " + ".join(["17 * 3"] * n)} for n in (2, 200)])
def pdf(name, pages):
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, " ".join("%d 0 R" % (4 + 2 * i) for i in range(pages))),
               "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    for _ in range(pages):
        lines = " ".join("(%s) Tj 0 -14 Td" % sentence() for _ in range(40))
        stream = "BT /F1 10 Tf 40 780 Td %s ET" % lines
        objects.append("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>" % (len(objects) + 2))
        objects.append("<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    out, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += "%d 0 obj\n%s\nendobj\n" % (number, body)
    table = "".join("%010d 00000 n \n" % offset for offset in offsets)
    out += "xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table, len(objects) + 1, len(out))
    open("%s/%s.pdf" % (work, name), "w", encoding="latin-1").write(out)
pdf("text2", 2), pdf("text40", 40)
# Models that take seconds a frame see one, and six.
for n in (1, 6):
    frames_of = json.load(open("%s/road_trip.5/steps/00-scene_detection/0000/output.json" % work))["frames"]
    json.dump({**frames_of, "frames": frames_of["frames"][:n], "count": n, "scenes": 1}, open("%s/frames%d.json" % (work, n), "w"))
code = "def add(a, b):\n    return a + b\n"
tests = "import unittest\nfrom candidate import add\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(add(1, 2), 3)\n"
save("run_tests", [{"code": code, "tests": tests}])
save("majority_answer", [{"answers": [text(3) + " The answer is %d." % (i % 3) for i in range(n)]} for n in (3, 9)])
report = lambda passed: {"passed": passed, "report": sentence()}
save("first_passing", [{"candidates": [code] * n, "reports": [report(i == n - 1) for i in range(n)]} for n in (2, 8)])
save("join_texts", [{"texts": [text(10) for _ in range(n)]} for n in (2, 20)])
save("transcript_text", [{"transcript": transcript(n)} for n in (200, 400)])
save("merging", [{"question": question, "answers": [sentence() for _ in range(n)]} for n in (2, 16)])
import os
site = "file://" + os.path.abspath("examples/media/site/")
page = lambda name, clicks: {"start_url": site + "/index.html", "clicks": clicks, "url": site + "/" + name, "title": "", "text": "", "links": []}
save("open_page", [{"url": site + "/index.html"}, {"url": site + "/hours.html"}])
save("click", [{"page": page("index.html", []), "target": "Opening hours"}, {"page": page("hours.html", []), "target": "Back"}])
save("screenshot", [{"page": page("index.html", [])}, {"page": page("hours.html", [])}])
PYTHON
  touch "$work/.made"
}

frames="steps/00-scene_detection/0000/output.json#frames"
measure() { # NAME [OPTIONS…]
  local name=$1
  shift
  if [ ${#only[@]} -gt 0 ] && [[ ! " ${only[*]} " == *" $name "* ]]; then return; fi
  "$mkbc" profile "$name" "$@" --units "${units:-${UNITS:-1,2}}" --most "$most" --seconds "$longest" -o "$out"
}
text() { measure "$1" --samples "$work/$2.jsonl" "${@:3}"; } # NAME SAMPLES [OPTIONS…]

for tool in ffmpeg_scenes even_frames opencv_scenes; do
  measure $tool --video "$media/kitchen.mp4" "$media/road_trip.mp4"
done
measure pocketsphinx --audio "$work/kitchen.wav" "$work/road_trip.wav"
wanted() { [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $1 "* ]]; } # NAME
# Whisper's own program with random weights of the published shapes, which writes as many tokens as people speak (tests/tools/random_whisper.py):
# how long it takes depends on nothing else. It wants `pip install --no-deps --target ~/.cache/mkbc/whisper openai-whisper more-itertools` beside what
# tests/servers/get_vllm.sh installs. Its server is one of ours, on as many threads as there are to be cores.
whisper() { # NAME VARIANT MODEL
  wanted "$1" || return 0
  local packages=${MKBC_WHISPER:-${XDG_CACHE_HOME:-$HOME/.cache}/mkbc/whisper} python=${MKBC_VLLM_PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/mkbc/vllm/bin/python}
  for units in $(tr , " " <<<"${UNITS:-1,2}"); do
    : >"$work/whisper.log"
    PYTHONPATH=$packages "$python" tests/tools/random_whisper.py 18123 "$units" "$3" >"$work/whisper.log" 2>&1 &
    local server=$!
    until grep -q listening "$work/whisper.log"; do
      kill -0 "$server" || { cat "$work/whisper.log" >&2; exit 1; }
      sleep 1
    done
    WHISPER_BASE_URL=http://127.0.0.1:18123/v1 measure "$1" --knob "variant=$2" --knob batch=1 --audio "$work/half.wav" "$work/kitchen.wav" "$work/road_trip.wav" --least 2 ||
      { kill "$server"; exit 1; }
    kill "$server" && wait "$server" || true
  done
  unset units
}
# The larger ones take minutes a run: VARIANTS="medium large_v3 large_v3_turbo" and DISTILLED="medium_en large_v2 large_v3" name them.
for variant in ${VARIANTS:-tiny base small}; do whisper whisper $variant openai/whisper-${variant//_/-}; done
for variant in ${DISTILLED:-small_en}; do
  model=${variant//_/-}
  whisper distil_whisper distil_$variant distil-whisper/distil-${model/-en/.en}
done
# llama.cpp's own server with random weights of 4.5 bits in the shape of Qwen3-4B (tests/tools/random_gguf.py). What it has read it must read
# again, so that its runs are alike. Such a model does not end by itself: it ends at words that one in some ten of its words is.
if wanted llama_cpp_chat; then
  llama=${XDG_CACHE_HOME:-$HOME/.cache}/mkbc/llama/bin/python
  [ -f "$work/gguf/Qwen/Qwen3-4B/random.gguf" ] || "$llama" tests/tools/random_gguf.py "$work/gguf"
  printf '#!/bin/sh\nLLAMA_ARG_CACHE_PROMPT=0 exec "%s" "%s/tests/servers/llama_server.py" "$@" --reverse-prompt "37 " --reverse-prompt "55 " --reverse-prompt "73 "\n' "$llama" "$PWD" >"$work/llama-server"
  chmod +x "$work/llama-server"
  MKBC_LLAMA_CPP=$PWD/$work/llama-server MKBC_WEIGHTS=$PWD/$work/gguf \
    measure llama_cpp_chat --task combine_answers --knob variant=qwen3_4b --samples "$work/merging.jsonl" --least 2
fi
# Ollama with weights of the same shape, which it is given by its own service; how many cores it takes is written in them. It keeps what it has
# read, so that no two prompts may begin alike (tests/tools/unlike_prompts.py). Only where it is named: `MKBC_OLLAMA` says where it is. Not the
# one of tests/servers/get_ollama.sh: Intel's build computes heads of 64 and 128 by an operation that only its backend for GPUs knows.
if [[ " ${only[*]-} " == *" ollama_chat "* ]]; then
  ollama=${MKBC_OLLAMA:-ollama} llama=${XDG_CACHE_HOME:-$HOME/.cache}/mkbc/llama/bin/python
  [ -f "$work/gguf_bytes/Qwen/Qwen3-4B/random.gguf" ] || "$llama" tests/tools/random_gguf.py "$work/gguf_bytes" bytes
  for units in $(tr , " " <<<"${UNITS:-1,2}"); do
    {
      echo "FROM $PWD/$work/gguf_bytes/Qwen/Qwen3-4B/random.gguf"
      echo 'TEMPLATE """{{ range .Messages }}<{{ .Role }}>{{ .Content }}'
      echo '{{ end }}<assistant>"""'
      printf 'PARAMETER stop "%s "\n' 28 56 84
      echo "PARAMETER num_thread $units"
    } >"$work/Modelfile"
    export OLLAMA_HOST=127.0.0.1:18124 OLLAMA_MODELS=$PWD/$work/ollama OLLAMA_KEEP_ALIVE=-1
    "$ollama" serve >"$work/ollama.log" 2>&1 &
    server=$!
    python3 tests/tools/unlike_prompts.py 18125 "http://$OLLAMA_HOST" >"$work/unlike.log" 2>&1 &
    before=$!
    trap 'kill "$server" "$before" 2>/dev/null' EXIT
    until "$ollama" list >/dev/null 2>&1 && grep -q listening "$work/unlike.log"; do
      kill -0 "$server" && kill -0 "$before" || { cat "$work/ollama.log" "$work/unlike.log" >&2; exit 1; }
      sleep 1
    done
    "$ollama" create qwen3:4b -f "$work/Modelfile" >/dev/null 2>&1
    OLLAMA_BASE_URL=http://127.0.0.1:18125/v1 measure ollama_chat --task combine_answers --knob variant=qwen3_4b --samples "$work/merging.jsonl" --least 2
    kill "$server" "$before" && wait "$server" "$before" || true
    trap - EXIT
  done
  unset units OLLAMA_HOST OLLAMA_MODELS OLLAMA_KEEP_ALIVE
fi
# The zero-shot models run with random weights of the published shapes: how long they take does not depend on what they find.
if [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " =~ \ (clip|omdet|grounding_dino)\  ]]; then
  export MKBC_PYTHON=${MKBC_VISION_PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/mkbc/vision/bin/python} MKBC_WEIGHTS=$PWD/$work/weights
  [ -d "$work/weights" ] || "$MKBC_PYTHON" tests/tools/random_weights.py "$work/weights" true
  for model in clip omdet grounding_dino; do
    measure $model --frames "@$work/frames1.json" "@$work/frames6.json" --looking_for "people and what they wear"
  done
  unset MKBC_PYTHON MKBC_WEIGHTS
fi
for tool in tesseract_frames colour_regions; do
  measure $tool --frames "@$work/kitchen.5/$frames" "@$work/road_trip.5/$frames" "@$work/road_trip.30/$frames"
done
measure pdftotext --document "$work/text2.pdf" "$work/text40.pdf"
for tool in tesseract_pages rapidocr_pages; do
  measure $tool --document "$media/letter.pdf" "$work/letters.pdf"
done
text bm25_answer question_answer
text best_answer combine_answers
text extractive_summary summarise
text bm25_pages answer_from_document
text sentence_passages split_passages
text minilm embed
text minilm_search search
text bm25_search search
text minilm_rerank search
text bm25_rerank search
text vector_index index_passages
text nearest_vectors search_index
text bm25_passages answer_from_passages
text minilm_labels classify
text labelled_fields extract
text apertium translate
text calculator calculate
text python_tests run_tests
text vote majority_answer
text count_votes majority_answer
text pick_passing first_passing
text number_texts join_texts
text transcript_lines transcript_text
export MKBC_WEB_ALLOW=$PWD/examples/media/site
text browser_open open_page
text browser_click click
text browser_screenshot screenshot
