#!/usr/bin/env python3
"""Fleets as JSON (`mkbc bench joint --write DIR`) -> the plan and bound of HiGHS and CP-SAT on the same files.

Needs `highspy` and `ortools` from PyPI. One thread each; `--seconds` is given to each peer as its time limit and the CPU time
that it took is measured. Model building is not counted.

    python3 bench/joint_peers.py --seconds 10 DIR/*.json
"""

import argparse
import json
import os
import sys
import time

COST_SCALE = 1e-6  # HiGHS gets dollars


def load(path):
    with open(path) as file:
        return json.load(file)


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
                assert not choice["needs"] and not choice["breaks"], "coupling and rules are not translated"


def most(fleet, at):
    kind = fleet["kinds"][at]
    load = 0
    for job in fleet["jobs"]:
        for step in job["problem"]["steps"]:
            load += max((c["load"] for c in step["choices"] if c["instance"] == at), default=0)
    fit = [fleet["pools"][p]["units"] // u for p, u in kind["uses"] if u > 0]
    fit += [-(-load // kind["capacity"])] + ([kind["most"]] if kind["most"] is not None else [])
    return min(fit)


def highs(fleet, seconds):
    import highspy

    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    h.setOptionValue("threads", 1)
    h.setOptionValue("time_limit", float(seconds))
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
                if choice["instance"] is not None:
                    carried[choice["instance"]].append((v, -float(choice["load"])))
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
                if choice["instance"] is not None:
                    carried[choice["instance"]].append(choice["load"] * v)
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
    solver.parameters.max_time_in_seconds = float(seconds)
    start = cpu()
    status = solver.solve(m)
    took = cpu() - start
    plan = solver.objective_value * COST_SCALE if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) else None
    return plan, solver.best_objective_bound * COST_SCALE, took


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--peers", default="highs,cpsat")
    options = parser.parse_args()
    for path in options.files:
        fleet = load(path)
        supported(fleet)
        for name in options.peers.split(","):
            plan, bound, took = {"highs": highs, "cpsat": cpsat}[name](fleet, options.seconds)
            if plan is None:
                print(f"{os.path.basename(path)} {name}: no plan, bound {bound:.6f}, cpu {took:.2f} s", flush=True)
                continue
            gap = max(0.0, (plan - bound) / plan) if plan else 0.0
            proved = " proved" if gap < 1e-9 else ""
            print(f"{os.path.basename(path)} {name}: {plan:.6f} bound {bound:.6f} gap {100 * gap:.3f} % cpu {took:.2f} s{proved}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
