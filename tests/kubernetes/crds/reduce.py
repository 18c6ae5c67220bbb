#!/usr/bin/env python3
"""Schemas of custom resources, as their projects publish them → the files beside this one.

    git clone https://github.com/kubernetes-sigs/lws && git clone https://github.com/ray-project/kuberay
    tests/kubernetes/crds/reduce.py lws:config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml \\
        kuberay:ray-operator/config/crd/bases/ray.io_rayservices.yaml

Of each, the version that is stored, without descriptions and status: nothing that decides what is allowed is left out. Needs PyYAML.
"""

import json
import pathlib
import subprocess
import sys

import yaml


def bare(schema, names=False):
    """A schema without texts for people; `names` where its keys are names of fields."""
    if isinstance(schema, list):
        return [bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if names or not (key == "description" and isinstance(value, str))}
    return {key: bare(value, key == "properties" and not names) for key, value in kept.items()}


def main():
    for word in sys.argv[1:]:
        folder, path = word.split(":", 1)
        git = lambda *words: subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, text=True).stdout
        crd = yaml.safe_load(git("show", f"HEAD:{path}"))
        kind = crd["spec"]["names"]["kind"]
        version = next(version for version in crd["spec"]["versions"] if version["storage"])
        schema = bare(version["schema"]["openAPIV3Schema"])
        schema["properties"].pop("status", None)
        made = {
            "kind": kind,
            "apiVersion": f"{crd['spec']['group']}/{version['name']}",
            "from": {"project": pathlib.Path(folder).name, "commit": git("rev-parse", "HEAD").strip(), "path": path},
            "schema": schema,
        }
        into = pathlib.Path(__file__).with_name(f"{kind.lower()}.json")
        into.write_text(json.dumps(made, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
