#!/usr/bin/env python3
"""llama.cpp's own HTTP server (as `xllamacpp`, PyPI, brings it along) behind the flags of its program `llama-server`.

The server is the real one; only this front is ours. It knows the flags that mkbc writes, and one of stdlib/measured/measure.sh, and no others, so
that a flag that it does not know fails a test.
"""

import argparse
import os
import signal

import xllamacpp

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--model", required=True)
parser.add_argument("--alias", required=True)
parser.add_argument("--host", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--parallel", type=int, required=True)
parser.add_argument("--ctx-size", type=int, default=0)
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--n-gpu-layers", type=int, required=True)
parser.add_argument("--embeddings", action="store_true")
parser.add_argument("--reverse-prompt", action="append", default=[])
given = parser.parse_args()

params = xllamacpp.CommonParams()
params.model.path = given.model
params.model_alias = {given.alias}
params.hostnames = [given.host]
params.port = given.port
params.n_parallel = given.parallel
params.n_ctx = given.ctx_size
params.cpuparams.n_threads = given.threads
params.n_gpu_layers = given.n_gpu_layers
params.embedding = given.embeddings
params.api_keys = [os.environ["LLAMA_API_KEY"]]
params.cache_prompt = os.environ.get("LLAMA_ARG_CACHE_PROMPT") != "0"
params.antiprompt = given.reverse_prompt
params.warmup = False
params.use_jinja = True
params.fit_params = False
# Before it starts threads, any of which could else be ended by it.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM})
os._exit(0)
