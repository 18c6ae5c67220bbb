#!/usr/bin/env python3
"""Microseconds a no-op node in LangGraph, Dask and Ray, where they are installed, beside `mkbc bench runtime`.

    python3 -m pip install langgraph langgraph-checkpoint-sqlite 'dask[distributed]' ray
    bench/runtimes.py --nodes 200 --mkbc target/release/mkbc

A node is a Python function that gives back what it is given; a chain waits node by node, a fan does not. Each figure is the median of
`--repeat` runs after one that does not count. What is not installed is named and left out.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

# `ray` is Ray's package here, and not the script of that name beside this one.
sys.path[:] = [folder for folder in sys.path if pathlib.Path(folder).resolve() != pathlib.Path(__file__).resolve().parent]


def timed(work, nodes, repeat):
    work()
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1e6 / nodes)
    return statistics.median(times)


def langgraph(nodes, repeat):
    import operator
    from typing import Annotated, TypedDict

    from langgraph.graph import END, START, StateGraph

    class One(TypedDict):
        x: int

    class Many(TypedDict):
        xs: Annotated[list, operator.add]

    def chain():
        graph = StateGraph(One)
        for n in range(nodes):
            graph.add_node(f"n{n}", lambda state: {"x": state["x"]})
            graph.add_edge(START if n == 0 else f"n{n - 1}", f"n{n}")
        graph.add_edge(f"n{nodes - 1}", END)
        return graph

    def fan():
        graph = StateGraph(Many)
        for n in range(nodes):
            graph.add_node(f"n{n}", lambda state: {"xs": [0]})
            graph.add_edge(START, f"n{n}")
            graph.add_edge(f"n{n}", END)
        return graph

    limit = {"recursion_limit": nodes + 10}
    plain = chain().compile()
    yield "chain", "memory", timed(lambda: plain.invoke({"x": 0}, limit), nodes, repeat)
    wide = fan().compile()
    yield "fan", "memory", timed(lambda: wide.invoke({"xs": []}, limit), nodes, repeat)
    try:
        from langgraph.checkpoint.sqlite import SqliteSaver
    except ImportError:
        return
    with tempfile.TemporaryDirectory() as folder, SqliteSaver.from_conn_string(os.path.join(folder, "c.db")) as saver:
        for shape, graph, start in [("chain", chain(), {"x": 0}), ("fan", fan(), {"xs": []})]:
            kept = graph.compile(checkpointer=saver)
            thread = iter(range(1_000_000))
            run = lambda: kept.invoke(start, {**limit, "configurable": {"thread_id": f"{shape}{next(thread)}"}})
            yield shape, "sqlite", timed(run, nodes, repeat)


def dask(nodes, repeat):
    from dask.distributed import Client

    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        def chain():
            x = 0
            for _ in range(nodes):
                x = client.submit(lambda x: x, x, pure=False)
            x.result()

        yield "chain", "memory", timed(chain, nodes, repeat)
        fan = lambda: client.gather(client.map(lambda x: x, range(nodes), pure=False))
        yield "fan", "memory", timed(fan, nodes, repeat)


def ray(nodes, repeat):
    import ray as r

    # Whatever cluster runs here already is somebody else's.
    r.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    same = r.remote(lambda x: x)

    def chain():
        x = 0
        for _ in range(nodes):
            x = same.remote(x)
        r.get(x)

    yield "chain", "memory", timed(chain, nodes, repeat)
    yield "fan", "memory", timed(lambda: r.get([same.remote(n) for n in range(nodes)]), nodes, repeat)
    r.shutdown()


def mkbc(program, nodes, repeat):
    words = [program, "bench", "runtime", "--nodes", str(nodes), "--repeat", str(repeat), "--json"]
    for row in json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout):
        yield f"{row['shape']} of {row['kind']}s", row["store"], row["us"]


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--nodes", type=int, default=200)
    parse.add_argument("--repeat", type=int, default=5)
    parse.add_argument("--mkbc", metavar="PROGRAM")
    given = parse.parse_args()
    peers = [("langgraph", langgraph), ("dask", dask), ("ray", ray)]
    if given.mkbc:
        peers.insert(0, ("mkbc", lambda nodes, repeat: mkbc(given.mkbc, nodes, repeat)))
    print(f"{'runtime':<12} {'shape':<18} {'recorded':<10} {'us a node':>10}")
    for name, measure in peers:
        try:
            for shape, store, us in measure(given.nodes, given.repeat):
                print(f"{name:<12} {shape:<18} {store:<10} {us:>10.1f}", flush=True)
        except ImportError as missing:
            print(f"{name:<12} not installed: {missing}")


if __name__ == "__main__":
    main()
