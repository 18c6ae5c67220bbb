#!/bin/bash
# What the library calls the first GPU of this machine that it knows: the device whose name stands in the driver's.   usage: gpu/device.sh MKBC
set -euo pipefail
device=$("$1" devices --json | python3 -c '
import json, re, sys
names = re.findall(r"^device (\w+)", open("stdlib/devices.mkb").read(), re.M)
gpus = json.load(sys.stdin)["gpus"]
there = [g["name"].lower() for g in gpus["devices"] if not g.get("part")] if "devices" in gpus else []
print(next((n for n in names if n != "cpu" and any(n in g for g in there)), ""))')
[ -n "$device" ] || { echo "the library knows no device of this GPU's name: nothing can be planned for it" >&2; exit 1; }
echo "$device"
