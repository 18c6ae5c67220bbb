"""The real `mkbc` of these tests: the one that MKBC names, or the debug build."""

import os
import pathlib
import sys
import unittest

BUILT = pathlib.Path(__file__).resolve().parents[2] / "target" / "debug" / "mkbc"
PROGRAM = os.environ.get("MKBC") or (str(BUILT) if BUILT.exists() else None)


def needed() -> None:
    """Skips a class of tests, loudly, where there is no mkbc; fails where MKBC_REQUIRE_TOOLS=1."""
    if PROGRAM is not None:
        return
    why = "there is no mkbc: name it in MKBC, or `cargo build`"
    if os.environ.get("MKBC_REQUIRE_TOOLS") == "1":
        raise AssertionError(f"{why}, and MKBC_REQUIRE_TOOLS=1")
    print(f"SKIPPED: {why}", file=sys.stderr)
    raise unittest.SkipTest(why)
