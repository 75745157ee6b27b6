# SPDX-License-Identifier: BSD-3-Clause
"""How good the stack is when it hurts: goodput of one flow over a link that delays and loses.

The peer's sender is compared with the kernel's (cubic) over the same code: each peer has its links,
so what the application sends to a peer passes the downlink of the same specification as the uplink
that the peer sends over. Only the roles are exchanged. What counts is what arrived, by the peer's
own count: acknowledged or received.

The link is the bottleneck by far, so the points are measured at the same time: each with its own
application and its own peers. The kernel's sender has its turn after the peer's, and the seed of
the losses is new in each round.
"""
import contextlib
import json

from measures import Row, measure
from sandbox import Process, Space, machine_cpu_s

LEAST_S = 20  # at 100 ms and 0.1 % a flow meets few losses in that time; more is better
POINTS = [(rtt_ms, loss) for rtt_ms in (20, 100) for loss in (0.1, 1, 5)]
FIRST_PORT = 5100


def start_client(bench, number, workload, port, seconds, seed):
    rtt_ms, loss = POINTS[number]
    return Process([bench.peer, "soak", f"tcp://{Space.SERVER}:{port}", "--workload", workload,
                    "-c", "1", "-d", f"{seconds}s", "--from", f"198.18.{number}.0/24", "--json",
                    "--seed", seed, "--link", f"delay {rtt_ms / 2:g}ms loss {loss:g}%"])


def read_count(workload):
    """Of the peer: what was acknowledged, or what came in."""
    def read(output):
        report = json.loads(output)
        count = report["bytes"]["sent" if workload == "send" else "received"]
        return count * 8 / report["duration_s"] / 1e6, {"retransmits": report["tcp"]["retransmits"]}
    return read


def run_side(bench, workload, mode, seconds, seed):
    """A sample for each point. Servers live for one run: the reset at its end may be lost, too."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(bench.start_bulk(mode, FIRST_PORT + number))
                   for number in range(len(POINTS))]
        before = machine_cpu_s()
        clients = [start_client(bench, number, workload, FIRST_PORT + number, seconds, seed)
                   for number in range(len(POINTS))]
        samples = [bench.observe(client, server, read_count(workload))
                   for client, server in zip(clients, servers)]
        elsewhere = machine_cpu_s() - before - sum(
            sample.client_cpu_s + sample.server_cpu_s for sample in samples)
    for sample in samples:  # each took the others for strangers
        sample.elsewhere_cpu_s = max(0, elsewhere)
    return samples


@measure("impaired")
def impaired(bench):
    seconds = max(bench.seconds, LEAST_S) if bench.seconds > 1 else 5  # --quick
    rows = [Row(f"impaired-{rtt_ms}ms-{loss:g}", f"goodput at {rtt_ms} ms, {loss:g} % lost",
                "Mbit/s", 0.9, 1.2, {}, ratio=not bench.only_peer) for rtt_ms, loss in POINTS]
    sides = {"peer": ("send", "sink"), "kernel": ("receive", "source")}
    if bench.only_peer:
        del sides["kernel"]
    for seed in range(1, bench.rounds + 1):
        for label, words in sides.items():
            samples = run_side(bench, *words, seconds, seed)
            for row, sample in zip(rows, samples):
                row.sides.setdefault(label, []).append(sample)
            bench.say(f"impaired {seed}/{bench.rounds}: {label} " +
                      " ".join(f"{sample.value:.3g}" for sample in samples) + " Mbit/s")
    return rows
