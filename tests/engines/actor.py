"""An ACTOR for the conformance suite of the engines: as a program, a Python module and an MCP server, it does what its argument says.

    actor.py DO         a program
    act(DO)             a function, for the `python` engine
    actor.py --mcp      a server of the Model Context Protocol, of the era of `initialize`
"""

import json
import os
import sys
import time


def environment():
    return "env " + " ".join(f"{k}={v}" for k, v in sorted(os.environ.items()))


try:
    from murakkab import tool
except ImportError:  # as a program, it is nobody's tool

    def tool(function):
        return function


@tool
def act(x: str) -> str:
    if x == "fail":
        raise RuntimeError("the actor failed as told")
    if x == "hang":
        time.sleep(61.337)
    if x == "drip":
        for _ in range(600):
            sys.stderr.write(".")
            sys.stderr.flush()
            time.sleep(0.1)
    if x == "big":
        return "x" * (80 << 20)
    if x == "garbage":
        return 7
    if x == "secret":
        return environment()
    return "did " + x


def program(do):
    if do == "garbage":
        sys.stdout.buffer.write(b"\xff\xfe{not json")
    else:
        print(json.dumps(act(do)))


def send(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def mcp():
    tool = {"name": "act", "inputSchema": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}}
    for line in sys.stdin:
        request = json.loads(line)
        method, at = request.get("method"), request.get("id")
        if at is None:
            continue
        result = None
        if method == "initialize":
            result = {"protocolVersion": request["params"]["protocolVersion"], "capabilities": {"tools": {}},
                      "serverInfo": {"name": "actor", "version": "1"}}
        elif method == "tools/list":
            result = {"tools": [tool]}
        elif method == "tools/call":
            do = request["params"]["arguments"]["x"]
            if do == "garbage":
                sys.stdout.write('{"jsonrpc": "2.0", "id": %d, "result": 7}\n' % at)
                sys.stdout.flush()
                continue
            try:
                result = {"content": [{"type": "text", "text": act(do)}]}
            except RuntimeError as error:
                result = {"content": [{"type": "text", "text": str(error)}], "isError": True}
        if result is None:
            send({"jsonrpc": "2.0", "id": at, "error": {"code": -32601, "message": "method not found"}})
        else:
            send({"jsonrpc": "2.0", "id": at, "result": result})


if __name__ == "__main__":
    if sys.argv[1] == "--mcp":
        mcp()
    else:
        program(sys.argv[1])
