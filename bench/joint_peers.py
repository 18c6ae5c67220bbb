#!/usr/bin/env python3
"""Fleets as JSON (`mkbc bench joint --write DIR`) -> plan, bound and gap of mkbc, HiGHS and CP-SAT on the same files, and their ratios.

Needs `highspy` and `ortools` from PyPI. One thread each, stopped after `--seconds` of CPU time. Model building is not counted. Exits with 1
where two contradict each other: a plan that costs less than what another has proved that no plan costs less than.

    python3 bench/joint_peers.py --mkbc target/release/mkbc --seconds 10 DIR/*.json
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time

COST_SCALE = 1e-6  # HiGHS gets dollars


FORMAT, VERSION = "murakkab-fleet", 1


def load(path):
    with open(path) as file:
        whole = json.load(file)
    assert whole.get("format") == FORMAT and whole.get("version") == VERSION, f"{path} is no fleet of version {VERSION}"
    return whole["fleet"]


def index(figure):
    return ["cost", "energy", "loss", "latency", "gpus", "latency_p95", "latency_p99"].index(figure)


def cpu():
    return time.process_time()


def supported(fleet):
    """The families have sums and paths only; switching and coupling are not translated."""
    for kind in fleet["kinds"]:
        assert not kind["running"] and not kind["start"] and not kind["stop"], "switching is not translated"
    for job in fleet["jobs"]:
        for step in job["problem"]["steps"]:
            for choice in step["choices"]:
                assert not choice.get("needs") and not choice.get("breaks"), "coupling and rules are not translated"


def most(fleet, at):
    kind = fleet["kinds"][at]
    load = 0
    for job in fleet["jobs"]:
        for step in job["problem"]["steps"]:
            load += max((c.get("load", 0) for c in step["choices"] if c.get("instance") == at), default=0)
    fit = [fleet["pools"][p]["units"] // u for p, u in kind["uses"] if u > 0]
    fit += [-(-load // kind["capacity"])] + ([kind["most"]] if kind["most"] is not None else [])
    return min(fit)


def highs(fleet, seconds):
    import highspy

    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    h.setOptionValue("threads", 1)
    h.setOptionValue("time_limit", 20.0 * seconds + 60.0)
    h.setOptionValue("mip_rel_gap", 0.0)
    infinity = highspy.kHighsInf
    integer, costs, low, high, rows = [], [], [], [], []

    def var(lower, upper, cost, whole):
        low.append(lower)
        high.append(upper)
        costs.append(cost)
        integer.append(whole)
        return len(costs) - 1

    y = [var(0, most(fleet, at), kind["price"] * COST_SCALE, True) for at, kind in enumerate(fleet["kinds"])]
    carried = [[(y[at], float(kind["capacity"]))] for at, kind in enumerate(fleet["kinds"])]
    held = [[] for _ in fleet["pools"]]
    for at, kind in enumerate(fleet["kinds"]):
        for pool, units in kind["uses"]:
            held[pool].append((y[at], float(units)))
    for job in fleet["jobs"]:
        problem = job["problem"]
        xs = []
        for step, fees in zip(problem["steps"], job["fees"]):
            x = [var(0, 1, fee * COST_SCALE, True) for fee in fees]
            xs.append(x)
            rows.append((1.0, 1.0, [(v, 1.0) for v in x]))
            for v, choice in zip(x, step["choices"]):
                if choice.get("instance") is not None:
                    carried[choice["instance"]].append((v, -float(choice.get("load", 0))))
        for clause in problem["clauses"]:
            bound = clause["bound"]["at_most"]
            figure, limit = index(bound["figure"]), float(bound["limit"])
            weight = [[(v, float(c["figures"][figure])) for v, c in zip(x, s["choices"])] for x, s in zip(xs, problem["steps"])]
            if bound["over"] == "sum":
                rows.append((-infinity, limit, [term for step in weight for term in step]))
            else:
                finish = [var(0, limit, 0.0, False) for _ in xs]
                for at, own in enumerate(weight):
                    rows.append((0.0, infinity, [(finish[at], 1.0)] + [(v, -w) for v, w in own]))
                for before, after in problem["edges"]:
                    terms = [(finish[after], 1.0), (finish[before], -1.0)] + [(v, -w) for v, w in weight[after]]
                    rows.append((0.0, infinity, terms))
    rows += [(0.0, infinity, terms) for terms in carried]
    rows += [(-infinity, float(pool["units"]), terms) for pool, terms in zip(fleet["pools"], held)]
    import numpy as np

    n = len(costs)
    h.addVars(n, np.array(low, dtype=float), np.array(high, dtype=float))
    h.changeColsCost(n, np.arange(n, dtype=np.int32), np.array(costs, dtype=float))
    whole = [i for i in range(n) if integer[i]]
    h.changeColsIntegrality(len(whole), np.array(whole, dtype=np.int32), np.array([highspy.HighsVarType.kInteger] * len(whole)))
    for lower, upper, terms in rows:
        terms = [t for t in terms if t[1] != 0.0]
        h.addRow(lower, upper, len(terms), np.array([t[0] for t in terms], dtype=np.int32), np.array([t[1] for t in terms]))
    start = cpu()

    def interrupt(event):
        if cpu() - start >= seconds:
            event.interrupt()

    h.cbMipInterrupt += interrupt
    h.cbSimplexInterrupt += interrupt
    h.run()
    took = cpu() - start
    info = h.getInfo()
    plan = info.objective_function_value if info.primal_solution_status == 2 else None
    return plan, info.mip_dual_bound, took


def cpsat(fleet, seconds):
    from ortools.sat.python import cp_model

    m = cp_model.CpModel()
    y = [m.new_int_var(0, most(fleet, at), "") for at in range(len(fleet["kinds"]))]
    carried = [[] for _ in y]
    cost = [kind["price"] * v for kind, v in zip(fleet["kinds"], y)]
    for job in fleet["jobs"]:
        problem = job["problem"]
        xs = []
        for step, fees in zip(problem["steps"], job["fees"]):
            x = [m.new_bool_var("") for _ in fees]
            xs.append(x)
            m.add_exactly_one(x)
            for v, fee, choice in zip(x, fees, step["choices"]):
                if fee:
                    cost.append(fee * v)
                if choice.get("instance") is not None:
                    carried[choice["instance"]].append(choice.get("load", 0) * v)
        for clause in problem["clauses"]:
            bound = clause["bound"]["at_most"]
            figure, limit = index(bound["figure"]), bound["limit"]
            weight = [sum(c["figures"][figure] * v for v, c in zip(x, s["choices"])) for x, s in zip(xs, problem["steps"])]
            if bound["over"] == "sum":
                m.add(sum(weight) <= limit)
            else:
                finish = [m.new_int_var(0, limit, "") for _ in xs]
                for at, own in enumerate(weight):
                    m.add(finish[at] >= own)
                for before, after in problem["edges"]:
                    m.add(finish[after] >= finish[before] + weight[after])
    for kind, v, loads in zip(fleet["kinds"], y, carried):
        m.add(sum(loads) <= kind["capacity"] * v)
    for at, pool in enumerate(fleet["pools"]):
        m.add(sum(u * y[k] for k, kind in enumerate(fleet["kinds"]) for p, u in kind["uses"] if p == at) <= pool["units"])
    m.minimize(sum(cost))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = 20.0 * seconds + 60.0
    start = cpu()
    over = threading.Event()

    def watch():
        while not over.wait(0.02):
            if cpu() - start >= seconds:
                solver.stop_search()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    status = solver.solve(m)
    over.set()
    took = cpu() - start
    plan = solver.objective_value * COST_SCALE if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) else None
    return plan, solver.best_objective_bound * COST_SCALE, took


def mkbc(program, path, seconds):
    """The same by mkbc: plan, bound, CPU time."""
    command = [program, "bench", "joint", "--read", path, "--time-limit", str(seconds)]
    said = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r": ([0-9.]+) bound ([0-9.]+) gap [0-9.]+ % cpu ([0-9.]+) s", said.stdout)
    if not found:
        return None, 0.0, 0.0
    plan, bound, took = map(float, found.groups())
    return plan, bound, took


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--peers", default="highs,cpsat")
    parser.add_argument("--mkbc", help="the program to compare with; without it the peers alone")
    options = parser.parse_args()
    names = (["mkbc"] if options.mkbc else []) + [name for name in options.peers.split(",") if name]
    ratios = {name: [] for name in names}
    wrong = 0
    for path in options.files:
        fleet = load(path)
        supported(fleet)
        found = {}
        for name in names:
            if name == "mkbc":
                plan, bound, took = mkbc(options.mkbc, path, options.seconds)
            else:
                plan, bound, took = {"highs": highs, "cpsat": cpsat}[name](fleet, options.seconds)
            found[name] = (plan, bound)
            title = f"{os.path.basename(path)} {name}"
            if plan is None:
                print(f"{title}: no plan, bound {bound:.6f}, cpu {took:.2f} s", flush=True)
                continue
            gap = max(0.0, (plan - bound) / plan) if plan else 0.0
            proved = " proved" if gap < 1e-9 else ""
            beside = ""
            ours = found.get("mkbc", (None, 0.0))[0]
            if name != "mkbc" and ours is not None:
                ratios[name].append(plan / ours)
                beside = f", plan {plan / ours:.4f} x that of mkbc"
            print(f"{title}: {plan:.6f} bound {bound:.6f} gap {100 * gap:.3f} % cpu {took:.2f} s{proved}{beside}", flush=True)
        # To within what solvers round.
        for one, (plan, _) in found.items():
            for other, (_, bound) in found.items():
                if plan is not None and plan < bound - 1e-5 * max(1.0, abs(bound)):
                    wrong += 1
                    print(f"{os.path.basename(path)}: the plan of {one} costs {plan:.6f}, and {other} has proved {bound:.6f}")
    for name in (name for name in names if name != "mkbc" and options.mkbc):
        all_of = ratios[name]
        middle = f"{statistics.median(all_of):.4f} x in the median" if all_of else "none"
        print(f"{name}: a plan for {len(all_of)} of {len(options.files)}; cost of its plan by that of mkbc: {middle}")
    print("no contradiction" if wrong == 0 else f"{wrong} contradictions")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
