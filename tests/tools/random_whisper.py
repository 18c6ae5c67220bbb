"""openai/whisper with random weights of the published shapes, behind OpenAI's transcription endpoint: it hears nonsense, and takes as long.

    random_whisper.py PORT THREADS MODEL     MODEL: openai/whisper-tiny, …, distil-whisper/distil-small.en

Needs `openai-whisper`, `more-itertools`, PyTorch, numba and tiktoken (PyPI), and ffmpeg. How long it takes depends on the shapes, on how long the sound is and on how many tokens
are written, and on nothing else; each window of 30 s gets as many as people speak (200 tokens a minute, as `speech_to_text` counts), by
greedy decoding.
"""

import http.server
import json
import math
import sys
import tempfile

import torch
import whisper
from whisper.audio import N_SAMPLES, SAMPLE_RATE
from whisper.decoding import DecodingOptions
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer

TOKENS_A_MINUTE = 200
# Mel bands, width, heads, layers of the encoder and of the decoder, words: the `dims` of the published checkpoints.
SHAPES = {
    "openai/whisper-tiny": (80, 384, 6, 4, 4, 51865),
    "openai/whisper-base": (80, 512, 8, 6, 6, 51865),
    "openai/whisper-small": (80, 768, 12, 12, 12, 51865),
    "openai/whisper-medium": (80, 1024, 16, 24, 24, 51865),
    "openai/whisper-large-v2": (80, 1280, 20, 32, 32, 51865),
    "openai/whisper-large-v3": (128, 1280, 20, 32, 32, 51866),
    "openai/whisper-large-v3-turbo": (128, 1280, 20, 32, 4, 51866),
    "distil-whisper/distil-small.en": (80, 768, 12, 12, 4, 51864),
    "distil-whisper/distil-medium.en": (80, 1024, 16, 24, 2, 51864),
    "distil-whisper/distil-large-v2": (80, 1280, 20, 32, 2, 51865),
    "distil-whisper/distil-large-v3": (128, 1280, 20, 32, 2, 51866),
}

port, threads, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(threads)
torch.manual_seed(7)
mels, width, heads, encoder, decoder, words = SHAPES[name]
model = Whisper(ModelDimensions(mels, 1500, width, heads, encoder, words, 448, width, heads, decoder)).eval()
for weights in model.parameters():
    torch.nn.init.normal_(weights, std=0.02)
end = get_tokenizer(model.is_multilingual, num_languages=model.num_languages, language="en", task="transcribe").eot


def transcribe(path):
    sound = torch.from_numpy(whisper.load_audio(path))
    said, duration = [], len(sound) / SAMPLE_RATE
    for start in range(0, max(len(sound), 1), N_SAMPLES):
        window = sound[start : start + N_SAMPLES]
        tokens = max(1, math.ceil(len(window) / SAMPLE_RATE / 60 * TOKENS_A_MINUTE))
        options = DecodingOptions(
            language="en", without_timestamps=True, fp16=False, sample_len=tokens, suppress_tokens=[end], suppress_blank=False
        )
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(window), n_mels=mels)
        result = whisper.decode(model, mel, options)
        assert len(result.tokens) == tokens, (len(result.tokens), tokens)
        at = start / SAMPLE_RATE
        said.append({"start": at, "end": min(at + 30, duration), "text": result.text})
    return {"text": "".join(part["text"] for part in said), "duration": duration, "segments": said}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        boundary = self.headers["content-type"].split("boundary=")[1].strip('"').encode()
        part = next(p for p in body.split(b"--" + boundary) if b'name="file"' in p.split(b"\r\n\r\n")[0])
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            file.write(part.split(b"\r\n\r\n", 1)[1][:-2])
            file.flush()
            with torch.no_grad():
                answer = json.dumps(transcribe(file.name)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


print("listening on", port, flush=True)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
