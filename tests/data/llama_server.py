"""The server of llama.cpp over a GGUF file, until standard input ends.

    llama_server.py MODEL.gguf [PORT]

Needs `xllamacpp` (PyPI), which brings llama.cpp's own HTTP server along. Prints its address, `http://127.0.0.1:PORT`, once it listens.
"""

import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"tiny"}
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
params.n_ctx = 65536
params.n_parallel = 1
params.cpuparams.n_threads = 1
params.n_threads_http = 2
params.warmup = False
params.use_jinja = True
params.fit_params = False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
