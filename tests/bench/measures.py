# SPDX-License-Identifier: BSD-3-Clause
"""What is measured. Each measure is a function of a Bench that returns Rows.

A comparison starts one application, then lets its two sides take turns (A B A B ...), so that what
else the machine does falls on both alike. The value of a row is the ratio of the medians.
"""
import json
import os
import resource
import signal
import socket
import time
from dataclasses import dataclass, field
from statistics import median

from sandbox import (FILES, START_S, Process, Space, find_listener, machine_cpu_s, read_file,
                     write_file)

HTTP_PORT, SINK_PORT, SOURCE_PORT, HOLD_PORT = 8080, 5001, 5002, 5003
PEERS = "198.18.0.0/16"
DISTURBED = 0.2  # cores used by others; softirq threads of our own traffic stay below
QUIET_S, PATIENCE_S = 0.5, 20
MEASURES = {}  # name -> function


def measure(name):
    def register(function):
        MEASURES[name] = function
        return function
    return register


@dataclass
class Sample:
    """One run of one side."""
    value: float
    client_cpu_s: float
    server_cpu_s: float
    elsewhere_cpu_s: float  # of the machine, whoever used it: other work spoils figures
    seconds: float  # the client's life
    more: dict = field(default_factory=dict)

    def is_disturbed(self):
        return self.elsewhere_cpu_s / self.seconds > DISTURBED


@dataclass
class Row:
    name: str
    title: str
    unit: str
    least: float  # what must be reached
    aim: float
    sides: dict  # label -> [Sample]
    higher: bool = True  # is better
    ratio: bool = True  # of the first side to the second
    absolute: bool = False  # there is no other side to compare with
    disturbed: list = field(default_factory=list)  # rounds left out: {label: Sample}

    def medians(self):
        return [median(sample.value for sample in samples) for samples in self.sides.values()]

    def value(self):
        values = self.medians()
        return values[0] / values[1] if self.ratio else values[0]

    def spread(self):
        """Lowest and highest value of a round."""
        sides = [[sample.value for sample in samples] for samples in self.sides.values()]
        values = [a / b for a, b in zip(*sides)] if self.ratio else sides[0]
        return min(values), max(values)

    def verdict(self):
        if len(self.sides) < 2 and not self.absolute:
            return "not compared"

        def reached(limit):
            return self.value() >= limit if self.higher else self.value() <= limit
        return "aim reached" if reached(self.aim) else "enough" if reached(self.least) else "BELOW"


def wait_quiet():
    """Until others leave the machine alone for a moment, or patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        before = machine_cpu_s()
        time.sleep(QUIET_S)
        if machine_cpu_s() - before <= DISTURBED * QUIET_S:
            return


@dataclass
class Bench:
    peer: str
    bulk: str
    space: Space
    rounds: int
    seconds: float
    say: object  # a line about progress
    patient: bool = True  # waits for quiet, repeats what was disturbed
    only_peer: bool = False  # the other side is not run, for profiles

    # ---- one run ----

    def observe(self, client, server, read_value):
        """Waits for a client just started. `read_value(output)` gives value and details."""
        start_s, server_cpu, machine_cpu = time.monotonic(), server.used_cpu_s(), machine_cpu_s()
        with client:
            output = client.read_rest(self.seconds * 3 + 60)
            if client.wait() != 0:
                client.fail(f"ended with {client.wait()}: {output[-500:]}")
        value, more = read_value(output)
        server_cpu = server.used_cpu_s() - server_cpu
        elsewhere = machine_cpu_s() - machine_cpu - client.cpu_s - server_cpu
        return Sample(value, client.cpu_s, server_cpu, max(0, elsewhere),
                      time.monotonic() - start_s, more)

    def soak(self, target, *options):
        return Process([self.peer, "soak", target, "--from", PEERS, "--json", "-d",
                        f"{self.seconds}s", *options])

    def wrk(self, target, *options):
        return Process(["wrk", "-t1", "-d", f"{max(1, round(self.seconds))}s", "-s",
                        f"{FILES}/wrk.lua", *options, target], self.space.netns)

    def compare(self, row, server, sides):
        """`sides`: label -> function that makes a Sample. Fills the row.

        A round in which others took much of the machine is left out and repeated, whatever it
        measured, so long as there are repeats left; the row remembers it.
        """
        if self.only_peer:
            sides, row.ratio = dict(list(sides.items())[:1]), False
        good, repeats = [], self.rounds if self.patient else 0
        while len(good) < self.rounds:
            if self.patient:
                wait_quiet()
            taken = {}
            for label, run in sides.items():
                sample = taken[label] = run(server)
                self.say(f"{row.name} {len(good) + 1}/{self.rounds}: {label} "
                         f"{sample.value:.4g} {row.unit}")
            if repeats and any(sample.is_disturbed() for sample in taken.values()):
                repeats -= 1
                row.disturbed.append(taken)
                self.say(f"{row.name}: others were busy; once more")
            else:
                good.append(taken)
        row.sides = {label: [taken[label] for taken in good] for label in sides}
        return row

    # ---- applications ----

    def start_bulk(self, mode, port, *more):
        server = Process([self.bulk, mode, port, *more])
        if server.read_line(START_S) != "ready":
            server.wait()
            server.fail("did not start")
        return server

    def start_nginx(self, more=""):
        """`more` stands in its block of http."""
        connections = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100
        write_file(f"{FILES}/nginx.conf", NGINX.format(
            files=FILES, connections=connections, server=Space.SERVER, port=HTTP_PORT, more=more))
        write_file(f"{FILES}/wrk.lua", WRK_LUA)
        server = Process(["nginx", "-p", FILES, "-c", f"{FILES}/nginx.conf"])
        deadline = time.monotonic() + START_S
        while (listening := find_listener(server)) is None:
            if time.monotonic() > deadline or server.popen.poll() is not None:
                server.fail("did not start")
            time.sleep(0.01)
        with listening:  # what it accepts inherits this
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        return server


# One process: the kernel's clients and the peers have the same single worker.
NGINX = """
daemon off; master_process off; user root; pid {files}/nginx.pid; error_log {files}/nginx.log;
events {{ worker_connections {connections}; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
    client_body_temp_path {files}/body; proxy_temp_path {files}/proxy;
    fastcgi_temp_path {files}/fastcgi; uwsgi_temp_path {files}/uwsgi; scgi_temp_path {files}/scgi;
    server {{ listen {server}:{port} backlog=65535; location / {{ return 200 "hello\\n"; }} }}
    {more}
}}
"""

# Exact figures instead of wrk's rounded ones. Without a request function wrk sends as ever.
WRK_LUA = """
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format("FIGURES %d %d %d %d\\n", summary.requests, summary.duration,
        latency:percentile(50),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


# ---- reading what clients say ----

def read_wrk(output):
    for line in output.splitlines():
        if line.startswith("FIGURES "):
            requests, duration_us, p50_us, errors = [float(word) for word in line.split()[1:]]
            return {"per_s": requests / (duration_us / 1e6), "p50_us": p50_us, "errors": errors}
    raise ValueError(f"wrk said nothing known: {output}")


def read_soak(output):
    report = json.loads(output)
    request = report["latency_us"]["request"] or {"p50": 0}
    return {"per_s": report["requests"]["per_s"], "p50_us": request["p50"],
            "errors": report["errors"]["total"], "retransmits": report["tcp"]["retransmits"]}


def picked(read, name):
    def pick(output):
        figures = read(output)
        return figures[name], figures
    return pick


# ---- bulk ----

def compare_bulk(bench, row, mode, port, workload):
    target = f"tcp://{Space.SERVER}:{port}"

    def by_server(server):
        """The server's own count of the connection that ended, in Gbit/s."""
        def read(_output):
            count, seconds = server.read_line(START_S).split()
            return int(count) * 8 / float(seconds) / 1e9, {}
        return read

    def peer(server):
        client = bench.soak(target, "--workload", workload, "-c", "1")
        return bench.observe(client, server, by_server(server))

    def kernel(server):
        client = Process([bench.bulk, workload, Space.SERVER, port, bench.seconds],
                         bench.space.netns)
        return bench.observe(client, server, by_server(server))

    with bench.start_bulk(mode, port) as server:
        return [bench.compare(row, server, {"peer": peer, "kernel": kernel})]


@measure("bulk-up")
def bulk_up(bench):
    row = Row("bulk-up", "bulk, peer to application, one flow", "Gbit/s", 1.0, 1.5, {})
    return compare_bulk(bench, row, "sink", SINK_PORT, "send")


@measure("bulk-down")
def bulk_down(bench):
    row = Row("bulk-down", "bulk, application to peer, one flow", "Gbit/s", 1.0, 1.5, {})
    return compare_bulk(bench, row, "source", SOURCE_PORT, "receive")


# ---- requests ----

def compare_http(bench, row, figure, soak_options, wrk_options):
    target = f"http://{Space.SERVER}:{HTTP_PORT}/"
    sides = {
        "peer": lambda server: bench.observe(bench.soak(target, *soak_options), server,
                                             picked(read_soak, figure)),
        "wrk": lambda server: bench.observe(bench.wrk(target, *wrk_options), server,
                                            picked(read_wrk, figure))}
    with bench.start_nginx() as server:
        return [bench.compare(row, server, sides)]


@measure("keep-alive")
def keep_alive(bench):
    row = Row("keep-alive", "keep-alive requests/s, 64 flows", "/s", 1.3, 1.6, {})
    return compare_http(bench, row, "per_s", ["-c", "64"], ["-c64"])


@measure("connections")
def connections(bench):
    """With Linux's frames, which are wrk's, and with as few as there can be."""
    rows = []
    for name, title, least, aim, options in (
            ("connections", "new HTTP connections/s, 64 at once, Linux's frames", 1.7, 2.2, []),
            ("connections-frugal", "new HTTP connections/s, 64 at once, --frugal", 2.2, 2.5, ["--frugal"])):
        row = Row(name, title, "/s", least, aim, {})
        rows += compare_http(bench, row, "per_s", ["-c", "64", "--no-keep-alive", *options],
                             ["-c64", "-H", "Connection: close"])
    return rows


@measure("latency")
def latency(bench):
    row = Row("latency", "request latency p50, one flow", "us", 1.0, 0.7, {}, higher=False)
    return compare_http(bench, row, "p50_us", ["-c", "1"], ["-c1"])


@measure("flows")
def many_flows(bench):
    row = Row("flows", "requests/s, 10 000 flows to 64", "/s", 0.8, 0.95, {})
    target = f"http://{Space.SERVER}:{HTTP_PORT}/"
    # The opening is not measured, on either side.
    warmup_s = max(2, bench.seconds / 2)

    def side(flows):
        def run(server):
            client = Process([bench.peer, "soak", target, "--from", PEERS, "--json", "-c", flows,
                              "--warmup", f"{warmup_s}s", "-d", f"{bench.seconds + warmup_s}s"])
            return bench.observe(client, server, picked(read_soak, "per_s"))
        return run

    with bench.start_nginx() as server:
        return [bench.compare(row, server, {"10000": side(10000), "64": side(64)})]


# ---- connections that are only held ----

class Held:
    """peer holding `count` idle connections that the application has not accepted."""

    def __init__(self, bench, count, *options):
        self.count = count
        self.start_s = time.monotonic()
        self.peer = Process([bench.peer, "soak", f"tcp://{Space.SERVER}:{HOLD_PORT}",
                             "--from", PEERS, "--idle", "-c", count, "--close", "rst",
                             "-d", "3600s", "--json-stream", "--tolerate", *options])
        self.established = self.completed = self.errors = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.__exit__()

    def next(self):
        """Reads one object of its stream."""
        line = self.peer.read_line(60)
        if not line:
            self.peer.wait()
            self.peer.fail("ended early")
        part = json.loads(line)
        if part["type"] == "interval":
            self.established += part["connections"]["established"]
            self.completed += part["requests"]["completed"]
            self.errors += part["errors"]["total"]
        return part

    def wait_open(self):
        while self.established < self.count:
            self.next()
            if self.errors > self.count / 10:
                self.peer.fail(f"{self.errors} errors, {self.established} connections")
        return time.monotonic() - self.start_s

    def hold(self, seconds):
        """Returns the CPU time used meanwhile, as a part of a core."""
        start_s, cpu_s = time.monotonic(), self.peer.used_cpu_s()
        while time.monotonic() - start_s < seconds:
            self.next()
        return (self.peer.used_cpu_s() - cpu_s) / (time.monotonic() - start_s)

    def close(self):
        """Ends it in order; returns its report and how long that took."""
        start_s = time.monotonic()
        self.peer.kill(signal.SIGINT)
        while (report := self.next())["type"] != "report":
            pass
        self.peer.wait()
        return report, time.monotonic() - start_s


def resident_of_one(bench):
    with Held(bench, 1) as held:
        held.wait_open()
        resident = held.peer.resident_bytes()
        held.close()
    return resident


def held_sample(value, held, server, more):
    return Sample(value, held.peer.cpu_s, server.used_cpu_s(), 0,
                  time.monotonic() - held.start_s, more)


def hold_rows(bench, count, seconds, *options):
    """Memory and CPU of `count` connections, and the report of the peer that held them."""
    with bench.start_bulk("hold", HOLD_PORT, count + 1000) as server:
        least = resident_of_one(bench)
        with Held(bench, count, *options) as held:
            open_s = held.wait_open()
            bench.say(f"{count} connections established after {open_s:.1f} s")
            held.next()  # one quiet interval
            resident = held.peer.resident_bytes()
            cpu = held.hold(seconds)
            report, close_s = held.close()
            more = {"open_s": open_s, "close_s": close_s, "errors": held.errors,
                    "established": report["connections"]["established"],
                    "closed": report["connections"]["closed"],
                    "touched": report["requests"]["completed"], "resident_bytes": resident}
            memory = held_sample((resident - least) / count, held, server, more)
            idle = held_sample(cpu * 100, held, server, more)
    return memory, idle, report


@measure("idle")
def idle_connections(bench):
    seconds = 10 if bench.seconds >= 3 else 3
    memory, idle, _report = hold_rows(bench, 100000, seconds)
    return [Row("idle-memory", "resident memory per idle connection, of 100 000", "B", 1024, 512,
                {"peer": [memory]}, higher=False, ratio=False, absolute=True),
            Row("idle-cpu", "CPU holding 100 000 idle connections", "% of a core", 2, 0.5,
                {"peer": [idle]}, higher=False, ratio=False, absolute=True)]


def orphans():
    for line in read_file("/proc/net/sockstat").splitlines():
        words = line.split()
        if words[0] == "TCP:":
            return int(words[words.index("orphan") + 1])
    return 0


def million(bench):
    """Not in MEASURES: asked for by name only. 4 GB of memory, and two minutes."""
    count, sample = int(os.environ.get("PEER_BENCH_MILLION", 1000000)), 10000
    before = orphans()
    memory, idle, report = hold_rows(bench, count, 60, "--touch", sample)
    clean = (report["connections"]["closed"] == count and report["errors"]["total"] == 0 and
             report["requests"]["completed"] == sample)
    memory.more["orphans"] = max(0, orphans() - before)
    memory.more["clean"] = clean
    title = f"{count} established, held for a minute, {sample} used"
    done = Sample(1.0 if clean else 0.0, memory.client_cpu_s, memory.server_cpu_s, 0,
                  memory.seconds, memory.more)
    return [Row("million", title + ", all closed cleanly (1: yes)", "", 1, 1, {"peer": [done]},
                ratio=False, absolute=True),
            Row("million-memory", "resident memory per connection", "B", 1024, 512,
                {"peer": [memory]}, higher=False, ratio=False, absolute=True),
            Row("million-cpu", "CPU holding them", "% of a core", 20, 5, {"peer": [idle]},
                higher=False, ratio=False, absolute=True)]
