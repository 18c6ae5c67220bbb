#!/usr/bin/env python3
"""A FAKE worker for local models: it takes the command line of `mkbc-candle serve`, and there is no model behind it.

What answers is the actor of the engines' suite, over the pipe that the Python workers have.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "python"))

from murakkab.worker import Pipe, serve

assert sys.argv[1] == "serve" and sys.argv[6:8] == ["--device", "cpu"], sys.argv
serve(Pipe(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[5])), os.path.join(ROOT, "tests/engines/actor.py"))
