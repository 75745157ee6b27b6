# SPDX-License-Identifier: BSD-3-Clause
"""Programs that come by a door of peer's (exec, forward, proxy) beside the same programs over veth.

What stands between the program and nginx, or bulk.c, is the only difference: wrk and bulk.c are the clients
on both sides, with the same words. What peer uses counts as the client's.
"""
import contextlib
import time
from dataclasses import dataclass

from measures import (HTTP_PORT, PEERS, SINK_PORT, SOURCE_PORT, Row, measure, picked, read_wrk)
from sandbox import FILES, START_S, Process, Space, read_file

DOOR_PORT = 9000
DOOR = f"127.0.0.1:{DOOR_PORT}"
HTTP = f"http://{Space.SERVER}:{HTTP_PORT}/"

# wrk knows no proxies: it asks one all the same when the whole address is the path.
PROXIED_LUA = f"""
wrk.path = "{HTTP}"
wrk.headers["Host"] = "{Space.SERVER}:{HTTP_PORT}"
"""


@dataclass
class Difference(Row):
    """What the first side has more than the second."""

    def __post_init__(self):
        self.higher, self.ratio = False, False

    def value(self):
        values = self.medians()
        return values[0] - values[1] if len(values) > 1 else values[0]

    def spread(self):
        sides = [[sample.value for sample in samples] for samples in self.sides.values()]
        values = [a - b for a, b in zip(*sides)] if len(sides) > 1 else sides[0]
        return min(values), max(values)


# ---- doors ----

def exec_words(bench):
    return [bench.peer, "exec", "--from", PEERS, "--"]


def listens(port):
    """Without a call, which would go on to the server."""
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
               for line in read_file("/proc/net/tcp").splitlines()[1:])


@contextlib.contextmanager
def door(*words):
    """A door that stays open; it listens when this begins."""
    with Process(words) as process:
        deadline = time.monotonic() + START_S
        while not listens(DOOR_PORT):
            if time.monotonic() > deadline or process.popen.poll() is not None:
                process.fail("did not start")
            time.sleep(0.01)
        yield process


def forwarding(bench, port):
    return door(bench.peer, "forward", "--from", PEERS, f"{DOOR}:{Space.SERVER}:{port}")


def with_door(bench, process, client, server, read):
    """As bench.observe, with what the door uses on the client's account."""
    before = process.used_cpu_s()
    sample = bench.observe(client, server, read)
    used = process.used_cpu_s() - before
    sample.client_cpu_s += used
    sample.elsewhere_cpu_s = max(0, sample.elsewhere_cpu_s - used)
    return sample


# ---- requests ----

def wrk(bench, netns, target, *options, script="wrk.lua", before=()):
    return Process([*before, "wrk", "-t1", "-d", f"{max(1, round(bench.seconds))}s", "-s", f"{FILES}/{script}",
                    *options, target], netns)


def compare_wrk(bench, row, figure, options, by_door):
    """`by_door(server)` makes a Sample of wrk by the door."""
    def by_veth(server):
        return bench.observe(wrk(bench, bench.space.netns, HTTP, *options), server, picked(read_wrk, figure))

    with bench.start_nginx() as server:
        return [bench.compare(row, server, {row.name.split("-")[0]: by_door, "veth": by_veth})]


def compare_exec(bench, row, figure, *options):
    def by_exec(server):
        client = wrk(bench, None, HTTP, *options, before=exec_words(bench))
        return bench.observe(client, server, picked(read_wrk, figure))
    return compare_wrk(bench, row, figure, options, by_exec)


@measure("exec-keepalive")
def exec_keepalive(bench):
    row = Row("exec-keepalive", "wrk under exec: keep-alive requests/s, 64 flows", "/s", 0.6, 0.85, {})
    return compare_exec(bench, row, "per_s", "-c64")


@measure("exec-connections")
def exec_connections(bench):
    row = Row("exec-connections", "wrk under exec: new HTTP connections/s, 64 at once", "/s", 0.75, 0.95, {})
    return compare_exec(bench, row, "per_s", "-c64", "-H", "Connection: close")


@measure("exec-latency")
def exec_latency(bench):
    row = Difference("exec-latency", "wrk under exec: added latency p50, one flow", "us", 25, 10, {})
    return compare_exec(bench, row, "p50_us", "-c1")


@measure("forward-requests")
def forward_requests(bench):
    def by_forward(server):
        with forwarding(bench, HTTP_PORT) as process:
            client = wrk(bench, None, f"http://{DOOR}/", "-c64")
            return with_door(bench, process, client, server, picked(read_wrk, "per_s"))

    row = Row("forward-requests", "wrk through forward: keep-alive requests/s, 64 flows", "/s", 0.5, 0.7, {})
    return compare_wrk(bench, row, "per_s", ["-c64"], by_forward)


@measure("proxy-requests")
def proxy_requests(bench):
    def by_proxy(server):
        with open(f"{FILES}/wrk.lua", encoding="ascii") as plain, \
                open(f"{FILES}/proxied.lua", "w", encoding="ascii") as file:
            file.write(PROXIED_LUA + plain.read())
        with door(bench.peer, "proxy", "--from", PEERS, "--listen", DOOR) as process:
            client = wrk(bench, None, f"http://{DOOR}/", "-c64", script="proxied.lua")
            return with_door(bench, process, client, server, picked(read_wrk, "per_s"))

    row = Row("proxy-requests", "wrk through proxy (HTTP): keep-alive requests/s, 64 flows", "/s", 0.5, 0.7, {})
    return compare_wrk(bench, row, "per_s", ["-c64"], by_proxy)


# ---- bulk ----

def compare_bulk(bench, row, mode, port, workload, by_door):
    """The server's own count is the ruler. `by_door(server, words, read)` lets bulk.c come by the door."""
    def read_count(server):
        def read(_output):
            count, seconds = server.read_line(START_S).split()
            return int(count) * 8 / float(seconds) / 1e9, {}
        return read

    def near(server):
        return by_door(server, [bench.bulk, workload], read_count(server))

    def by_veth(server):
        client = Process([bench.bulk, workload, Space.SERVER, port, bench.seconds], bench.space.netns)
        return bench.observe(client, server, read_count(server))

    with bench.start_bulk(mode, port) as server:
        return bench.compare(row, server, {row.name.split("-")[0]: near, "veth": by_veth})


BULKS = (("up", "to the application", "sink", SINK_PORT, "send"),
         ("down", "from the application", "source", SOURCE_PORT, "receive"))


@measure("exec-bulk")
def exec_bulk(bench):
    rows = []
    for way, title, mode, port, workload in BULKS:
        def by_exec(server, words, read, port=port):
            client = Process([*exec_words(bench), *words, Space.SERVER, port, bench.seconds])
            return bench.observe(client, server, read)

        row = Row(f"exec-bulk-{way}", f"bulk under exec, {title}, one flow", "Gbit/s", 0.7, 1.0, {})
        rows.append(compare_bulk(bench, row, mode, port, workload, by_exec))
    return rows


@measure("forward-bulk")
def forward_bulk(bench):
    rows = []
    for way, title, mode, port, workload in BULKS:
        def by_forward(server, words, read, port=port):
            with forwarding(bench, port) as process:
                client = Process([*words, "127.0.0.1", DOOR_PORT, bench.seconds])
                return with_door(bench, process, client, server, read)

        row = Row(f"forward-bulk-{way}", f"bulk through forward, {title}, one flow", "Gbit/s", 0.5, 0.7, {})
        rows.append(compare_bulk(bench, row, mode, port, workload, by_forward))
    return rows
