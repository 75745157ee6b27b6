# SPDX-License-Identifier: BSD-3-Clause
"""A soak while it goes on: figures over HTTP, changes by its socket, and what a terminal shows of it."""
import datetime
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import sys
import termios
import threading
import time

import harness
import servers
from harness import OWN4, Peer, peer, until

ENDLESS = ("-d", "10m")


def soak(*args, **more):
    """A soak of peer's own application, which is told to stop; with a socket to steer it."""
    started = Peer("soak", "-c", "4", *ENDLESS, "--control", "s", *args, **more)
    until("the soak to begin", lambda: started.process.poll() is not None or
          os.path.exists("s") and ask("status").status == 0)  # the path is there before somebody listens
    assert started.process.poll() is None, started.result()
    return started


def ask(*words):
    return peer("control", "s", *words)


def call():
    end = socket.socket(socket.AF_UNIX)
    end.settimeout(harness.LIMIT_S)
    end.connect("s")
    return end


def state():
    """What `peer control s status` prints, without a process for each look: it is asked for again and again."""
    with call() as end, end.makefile("rb") as lines:
        end.sendall(b"status\n")
        found = json.loads(lines.readline())
        assert lines.readline() == b"ok\n"
        return found


def ok(*words):
    result = ask(*words).expect(0)
    assert result.out == b"ok\n", result


def end(started, status=0):
    ok("stop")
    return started.wait().expect(status)


def in_directory():
    os.chdir(harness.directory)


# ---- control ----

def test_what_is_changed_is_done_and_noted():
    in_directory()
    began = time.time()
    started = soak("-R", "200", "--json")
    ok("rate", "1k")
    until("the rate of a whole interval", lambda: state().get("last_interval", {}).get("per_s", 0) > 900)
    ok("rate 50")
    ok("link", "delay", "20ms")
    ok("uplink none")
    ok("manner", "stall:25%")
    assert state()["flows"] == 3 and state()["rate"] == 50.0, state()
    ok("manner none")
    assert json.loads(ask("status").expect(0).out)["flows"] == 4, state()
    ok("link none")
    report = json.loads(end(started).out)
    words = [change["words"] for change in report["changes"]]
    assert words == ["rate 1000", "rate 50", "link delay 20ms", "uplink none", "manner stall:25%", "manner none",
                     "link none", "stop"], words
    times = [change["at_s"] for change in report["changes"]]
    assert times == sorted(times) and 0 <= times[0] and times[-1] <= report["duration_s"] + 0.001, times
    for change in report["changes"]:
        at = datetime.datetime.strptime(change["time"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
        assert began - 0.001 <= at <= time.time(), (began, change)
    assert [manner["spec"] for manner in report["manners"]] == ["stall:25%"], report["manners"]
    assert report["errors"]["total"] == 0 and report["paused_s"] == 0, report


def test_a_pause_leaves_nothing_behind():
    in_directory()
    started = soak("-R", "500", "--json")
    until("answers", lambda: state()["completed"] > 100)
    ok("pause")
    ok("pause")
    until("the last answers", lambda: state()["requests"] == state()["completed"])
    before = state()
    assert before["state"] == "paused", before
    until("a pause of a second", lambda: state()["paused_s"] > 1)
    after = state()
    assert after["requests"] == before["requests"] and after["behind"] == 0, (before, after)
    ok("resume")
    until("answers again", lambda: state()["completed"] > before["completed"] + 100)
    report = json.loads(end(started).out)
    assert [change["words"] for change in report["changes"]] == ["pause", "resume", "stop"], report["changes"]
    assert report["paused_s"] > 1 and report["rate"]["behind"] <= 5, report["rate"]
    active = report["duration_s"] - report["paused_s"]
    assert abs(report["requests"]["per_s"] * active - report["requests"]["completed"]) < 5, report["requests"]
    assert abs(report["rate"]["asked"] - 500) < 1e-6, report["rate"]


def test_those_with_many_requests_at_once_rest_too():
    harness.need("redis-server", "nghttpd")
    in_directory()
    with servers.Redis() as redis, servers.Nghttpd() as http2:
        assert redis and http2
        for target in ([f"redis://{OWN4}/", "-P", "16"], [f"h2c://{OWN4}/", "-m", "8"],
                       [f"redis://{OWN4}/", "-P", "4", "--requests-per-connection", "10", "--think", "1ms"]):
            started = soak(*target, "--json")
            for _ in range(3):
                before = state()["completed"]
                until("answers", lambda before=before: state()["completed"] > before + 200)
                ok("pause")
                until("the last answers", lambda: state()["requests"] == state()["completed"])
                rest = state()
                ok("manner vanish:50%")
                ok("manner none")
                assert state()["requests"] == rest["requests"], (rest, state())
                ok("resume")
            report = json.loads(end(started).out)
            assert report["errors"]["total"] == 0, (target, report["errors"], report["first_errors"])
            assert report["requests"]["completed"] == report["requests"]["sent"], (target, report["requests"])


def test_the_report_and_the_stream_tell_changes():
    in_directory()
    started = soak("-R", "100")
    ok("pause")
    until("a pause", lambda: state()["paused_s"] > 0.1)
    ok("resume")
    text = end(started).out.decode()
    assert re.search(r"paused for \d.* of that, which is in no rate\n  changed \+\d+\.\d+ s: pause\n +\+\S+ s: resume\n"
                     r" +\+\S+ s: stop\n", text), text
    started = soak("--json-stream", "--interval", "20ms")
    ok("rate 100")
    lines = [json.loads(line) for line in end(started).out.splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds.count("change") == 2 and kinds[-1] == "report", kinds
    assert [line["words"] for line in lines if line["type"] == "change"] == ["rate 100", "stop"]
    assert [change["words"] for change in lines[-1]["changes"]] == ["rate 100", "stop"], lines[-1]


def test_changes_are_kept_in_results_and_added_up():
    in_directory()
    starts = []
    for rank in range(2):
        starts.append(Peer("soak", "--from", "198.18.0.0/26", "--shard", f"{rank}/2", "-c", "4", "-R", "100", *ENDLESS,
                           "--result", f"{rank}.res", "--control", f"s{rank}"))
    for rank in range(2):
        until("a shard to begin", lambda rank=rank: peer("control", f"s{rank}", "status").status == 0)
        peer("control", f"s{rank}", "rate", "300").expect(0)
    for rank in range(2):
        peer("control", f"s{rank}", "stop").expect(0)
        starts[rank].wait().expect(0)
    report = json.loads(peer("merge", "--json", "0.res", "1.res").expect(0).out)
    told = [(change["shard"], change["words"]) for change in report["changes"]]
    assert sorted(told) == [(0, "rate 300"), (0, "stop"), (1, "rate 300"), (1, "stop")], told
    assert report["changes"] == sorted(report["changes"], key=lambda change: change["at_s"])


def test_changes_survive_a_killed_process():
    in_directory()
    started = soak("-R", "100", "--interval", "50ms", "--journal", "j")
    ok("rate 300")
    until("an interval at that rate", lambda: state().get("last_interval", {}).get("per_s", 0) > 250)
    began = state()["elapsed_s"]
    until("some more of them", lambda: state()["elapsed_s"] > began + 0.2)
    started.signal(signal.SIGKILL)
    started.process.wait()

    def told():
        report = json.loads(peer("merge", "--json", "--tolerate", "j").out or b"{}")
        return [change["words"] for change in report.get("changes", [])] == ["rate 300"]
    until("the journal to have it", told)


def test_what_cannot_be_done_is_said():
    in_directory()
    started = soak("-R", "100")
    for words, why in (("pasue", '"pasue" is no command; did you mean "pause"\\?'),
                       ("xyzzyplugh", 'is no command; see "help"'),
                       ("rate", '"rate" needs N'),
                       ("rate fast", "is no rate a second such as 500 or 20k"),
                       ("rate -5", "is no rate"),
                       ("link dealy 5ms", "delay"),
                       ("manner rudeness:5%", "rudeness"),
                       ("manner", '"manner" needs SPEC'),
                       ("pause now", '"pause" stands alone'),
                       ("stop soon", "how long answers are waited for")):
        result = ask(words).expect(1, err=why)
        assert result.out == b"" and result.err.count("\n") == 1, result
    assert state()["changes"] == 0
    text = ask("help").expect(0).out.decode()
    assert "resume" in text and "ok" not in text.split(), text
    end(started)
    ask("status").expect(3, err="is a soak with --control under way")
    peer("control").expect(2, err="which soak")
    peer("control", "x" * 200, "status").expect(2, err="1 to 107 bytes")


def test_lines_of_standard_input_are_commands():
    in_directory()
    started = soak("-R", "100")
    result = peer("control", "s", data=b"# a comment\nrate 200\n\n  rate   300  \nrtae 5\nstatus\n")
    result.expect(1, err='"rtae" is no command; did you mean "rate"')
    lines = result.out.splitlines()
    assert lines[:2] == [b"ok", b"ok"] and json.loads(lines[2])["rate"] == 300.0, result
    report = end(started)
    assert b"rate 300" in report.out and b"rate 200" in report.out, report


def test_several_steer_and_nobody_is_waited_for():
    in_directory()
    started = soak("-R", "300", "--json")
    callers = [call() for _ in range(8)]
    for rate, caller in enumerate(callers, 1):
        caller.sendall(f"rate {rate}00\n".encode())
        assert caller.recv(100) == b"ok\n"
    callers[0].sendall(b"rat")
    callers[1].sendall(b"status\nrate 900\n")
    lines = callers[1].makefile("rb")
    assert json.loads(lines.readline())["state"] == "running"
    assert lines.readline() == lines.readline() == b"ok\n"
    callers[0].sendall(b"e 350\n")
    assert callers[0].recv(100) == b"ok\n"
    greedy = call()  # asks, and never reads
    greedy.setblocking(False)
    with harness.contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
        while True:
            greedy.send(b"help\n" * 200)
    before = state()
    until("more answers", lambda: state()["completed"] > before["completed"] + 50)
    long = call()
    long.sendall(b"x" * 5000)
    assert b"4095 bytes at the most" in long.recv(1000)
    long.close()
    binary = call()
    binary.sendall(b"\0\1\2\n")
    assert binary.recv(100) == b"error: that is no text\n"
    for caller in callers:
        caller.close()
    report = json.loads(end(started).out)
    assert report["errors"]["total"] == 0, report["errors"]


def test_the_socket_is_this_users_and_goes():
    in_directory()
    started = soak()
    assert os.stat("s").st_mode & 0o777 == 0o600, oct(os.stat("s").st_mode)
    peer("soak", "-n", "1", "--control", "s").expect(3, err="somebody listens there already")
    end(started)
    assert not os.path.exists("s")
    started = soak()
    started.signal(signal.SIGKILL)  # who removes it is another process
    started.process.wait()
    until("the socket to go", lambda: not os.path.exists("s"))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("s")
    started = soak()  # in its place
    end(started)
    open("file", "w").close()
    peer("soak", "-n", "1", "--control", "file").expect(2, err="is no socket")
    assert os.path.exists("file")
    peer("soak", "-n", "1", "--control", "no/where").expect(3, err="No such file")
    os.symlink("file", "link")
    peer("soak", "-n", "1", "--control", "link").expect(2, err="is no socket")


def keepers(started):
    """Who removes the socket, by their numbers: the deputy is the later one."""
    return sorted(pid for pid in harness.descendants()
                  if open(f"/proc/{pid}/comm").read() == "peer-paths\n" and pid > started.pid)


def test_the_socket_goes_when_its_keeper_is_killed():
    in_directory()
    for kills in (signal.SIGINT, signal.SIGKILL):  # of the soak
        for which in (0, 1):
            started = soak()
            found = until("both keepers", lambda: len(keepers(started)) == 2 and keepers(started))
            os.kill(found[which], signal.SIGKILL)
            until("its end", lambda: found[which] not in keepers(started))
            assert os.path.exists("s")
            if kills == signal.SIGINT:
                result = started.stop().expect(0)
                assert "stays" not in result.err and not os.path.exists("s"), (which, result.err)
            else:
                started.signal(kills)
                started.process.wait()
                until("the socket to go", lambda: not os.path.exists("s"))
    started = soak()
    for pid in until("both keepers", lambda: len(keepers(started)) == 2 and keepers(started)):
        os.kill(pid, signal.SIGKILL)
    until("their end", lambda: not keepers(started))
    started.stop().expect(0, err='"s" stays: somebody killed the processes that remove it')
    end(soak())  # in its place
    assert not os.path.exists("s")


def test_a_soak_ends_when_an_objective_is_not_kept():
    in_directory()
    for workers in ((), ("--workers", "2", "--from", "198.18.0.0/24")):
        given = ("-c", "4", "-d", "10m", "--interval", "100ms", "--stop-at-slo", *workers)
        result = peer("soak", *given, "--json", "--slo", "errors<1%", "--slo", "p99 < 1 us", "--slo", "completed>=1000m")
        report = json.loads(result.expect(1, err="ended, since it is not kept: p99 < 1 us: ").out)
        assert report["stopped_at_slo"].startswith("p99 < 1 us: ") and report["duration_s"] < 300, report
        assert report["errors"]["total"] == 0 and [entry["kept"] for entry in report["slo"]] == [True, False, False]
        text = peer("soak", *given, "--slo", "p99<1us@each", "--warmup", "150ms").expect(1).out
        assert b"Ended before its time: p99<1us@each: " in text, text
        report = json.loads(peer("soak", *given[:2], "--json", "-n", "200", *given[4:], "--slo", "p99<100s").expect(0).out)
        assert report["requests"]["completed"] == 200 and "stopped_at_slo" not in report
    report = json.loads(peer("soak", "--json", "-c", "4", "--rate-search", "100..400", "-d", "1h", "--warmup", "10ms",
                             "--interval", "50ms", "--slo", "rate<1", "--stop-at-slo").expect(1).out)
    steps = report["rate_search"]["steps"]
    assert steps and all(not step["kept"] and step["why_not"].startswith("rate<1: ") for step in steps), steps
    peer("soak", "-n", "1", "--stop-at-slo").refused(2, "--stop-at-slo needs to know what is to be kept")


def test_a_search_chooses_its_rates():
    in_directory()
    started = soak("--rate-search", "100..200", "--slo", "p99<10s")
    ask("rate 500").expect(1, err="chosen by --rate-search")
    ok("link delay 1ms")
    assert b"ended before the first rate had been tried" in end(started, status=1).out


def test_what_cut_a_search_short_tells_no_rate():
    in_directory()
    started = soak("-d", "1", "--warmup", "50ms", "--rate-search", "100..400", "--slo", "p99<10s")

    def second_rate():
        result = ask("status")  # between two rates there is no soak
        told = json.loads(result.out) if result.status == 0 else {"rate": 0}
        return told["rate"] == 200 and told["state"] == "running" and told["completed"] > 0

    until("the second rate", second_rate)
    out = end(started).out.decode()
    assert re.search(r"^  100 requests, ", out, re.MULTILINE) and "Highest rate:    100/s\n" in out, out
    assert "200/s" not in out, out


# ---- metrics ----

def metrics(url, *args):
    return harness.run("curl", "-s", "--max-time", str(harness.LIMIT_S), *args, url)


def soak_with_metrics(*args):
    harness.need("curl")
    in_directory()
    started = soak("--metrics", "0", *args)
    return started, started.wait_err(r"metrics are at (http://127\.0\.0\.1:\d+/metrics)").group(1)


def families(text):
    """By a parser that takes nothing but OpenMetrics."""
    sys.path.append("/usr/lib/python3/dist-packages")
    try:
        from prometheus_client.openmetrics import parser
    except ImportError as error:
        raise harness.Skip("python3-prometheus-client is not installed") from error
    return {family.name: family for family in parser.text_string_to_metric_families(text)}


def samples(text):
    return {(sample.name, *sorted(sample.labels.items())): sample.value
            for family in families(text).values() for sample in family.samples}


def test_metrics_are_openmetrics_and_equal_the_report():
    started, url = soak_with_metrics("-R", "500", "--json")
    first = samples(metrics(url))
    until("more requests", lambda: samples(metrics(url))[("peer_soak_requests_total",)] >
          first[("peer_soak_requests_total",)] + 200)
    ok("pause")
    until("the last answers", lambda: state()["requests"] == state()["completed"])
    until("an interval without any", lambda: state().get("last_interval", {}).get("per_s") == 0)
    values = samples(metrics(url))
    assert values[("peer_soak_paused",)] == 1 and values[("peer_soak_wanted_rate",)] == 500, values
    assert values[("peer_soak_changes_total",)] == 1 and values[("peer_soak_rate",)] == 0, values
    report = json.loads(end(started).out)
    requests, connections = report["requests"], report["connections"]
    for name, value in (("requests", requests["sent"]), ("requests_completed", requests["completed"]),
                        ("connections_opened", connections["opened"]),
                        ("connections_established", connections["established"]),
                        ("sent_bytes", report["bytes"]["sent"]), ("received_bytes", report["bytes"]["received"])):
        assert values[(f"peer_soak_{name}_total",)] == value, (name, values[(f"peer_soak_{name}_total",)], value)
    assert values[("peer_soak_responses_total", ("code", "200"))] == requests["completed"], values
    for kind in report["errors"]:
        assert kind == "total" or values[("peer_soak_errors_total", ("kind", kind))] == 0, kind
    name = "peer_soak_request_duration_seconds"
    assert values[(f"{name}_count",)] == values[(f"{name}_bucket", ("le", "+Inf"))] == requests["completed"]
    mean = report["latency_us"]["request"]["mean"] / 1e6
    assert abs(values[(f"{name}_sum",)] / requests["completed"] - mean) < mean / 100, (values, mean)


def test_who_accepts_what():
    started, url = soak_with_metrics()

    def kind(*args):
        head = metrics(url, "-D", "-", "-o", "/dev/null", *args)
        return re.search(r"(?i)content-type: (\S+; version=\S+);", head).group(1)

    new, old = "application/openmetrics-text; version=1.0.0", "text/plain; version=0.0.4"
    for accept, expected in (("*/*", new), ("text/plain", old), ("application/openmetrics-text", new),
                             ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
                              new),
                             ("application/openmetrics-text;q=0.1,text/plain;q=0.9", old),
                             ("application/openmetrics-text;q=0,*/*", old),
                             ("text/html,application/xhtml+xml,*/*;q=0.8", old)):
        assert kind("-H", f"Accept: {accept}") == expected, accept
    assert kind("-H", "Accept:") == new
    text = metrics(url, "-H", "Accept: text/plain")
    assert "# TYPE peer_soak_requests_total counter" in text and "# EOF" not in text and "# UNIT" not in text, text
    assert "content-length" in metrics(url, "-I").lower() and "peer_soak" not in metrics(url, "-I")
    status = ("-o", "/dev/null", "-w", "%{http_code}")
    assert metrics(url + "?x=1", *status) == "200"
    assert metrics("http://somewhere.example/metrics", "--proxy", url[:-len("/metrics")], *status) == "200"
    assert metrics(url + "/more", *status) == "404"
    assert metrics(url[:-len("metrics")], *status) == "200"
    assert metrics(url, "-X", "POST", "-d", "x" * 3000, *status) == "405"
    assert metrics(url, "-H", "X: " + "x" * 5000, *status) == "431"
    end(started)


def test_slow_and_broken_clients_are_cut_off():
    started, url = soak_with_metrics("-R", "300", "--json")
    port = int(re.search(r":(\d+)/", url).group(1))

    def connect():
        client = socket.create_connection(("127.0.0.1", port), timeout=harness.LIMIT_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return client

    silent = [connect() for _ in range(40)]  # more than are served at once
    for client in silent:
        with harness.contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""  # none is kept for ever
        client.close()
    broken = connect()
    broken.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    assert broken.recv(4096).startswith(b"HTTP/1.1 400 "), "400"
    broken.close()
    late = connect()
    late.sendall(b"GET /metrics HTTP/1.1\r\n")
    late.sendall(b"Host: x\r\n\r\n")
    assert late.recv(15) == b"HTTP/1.1 200 OK"
    late.close()
    before = state()["completed"]
    until("more answers", lambda: state()["completed"] > before + 100)
    assert json.loads(end(started).out)["errors"]["total"] == 0


def test_where_metrics_cannot_be():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        peer("soak", "-n", "1", "--metrics", port).expect(3, err=f"--metrics 127.0.0.1:{port}: the port is in use")
    for wrong in ("", "x", "70000", "nowhere:80", "1.2.3.4", "[::1:80", "-1"):
        peer("soak", "-n", "1", f"--metrics={wrong}").expect(2, err="--metrics")
    peer("soak", "-n", "1", "--metrics", "10.77.0.1:9100").expect(3, err="--metrics 10.77.0.1:9100: Cannot assign")
    peer("soak", "-n", "1", "--metrics", f"{OWN4}:0").expect(0, err=f"metrics are at http://{OWN4}:")
    peer("soak", "-n", "1", "--metrics", "[::1]:0").expect(0, err=r"metrics are at http://\[::1\]:")


# ---- what a terminal shows ----

class Terminal:
    """A terminal of its own on standard error; what it was told is drawn on a grid."""

    def __init__(self, columns=80, rows=24):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.text = b""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        with harness.contextlib.suppress(OSError):
            while part := os.read(self.master, 65536):
                self.text += part

    def close(self):
        os.close(self.slave)
        self.reader.join()
        os.close(self.master)
        return self.text.decode()


def screen(text):
    """The lines that stand there at the end, of what goes up, erases and breaks lines only."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\033\[\d*[A-Za-z]|[^\033]", text):
        if token == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif token == "\r":
            column = 0
        elif token.endswith("A") and token[0] == "\033":
            row -= int(token[2:-1] or 1)
            assert row >= 0, text
        elif token == "\033[K":
            lines[row] = lines[row][:column]
        elif token == "\033[J":
            del lines[row + 1:]
            lines[row] = lines[row][:column]
        elif token[0] == "\033":
            assert token[-1] == "m", token  # colours
        else:
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + 1:]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def shown(*args, columns=80, env=None, change=None, resize=None):
    in_directory()
    terminal = Terminal(columns)
    started = soak("-R", "200", "--json", *args, stderr=terminal.slave,
                   env={"TERM": "xterm", "LC_ALL": "C.UTF-8", "NO_COLOR": "", **(env or {})})
    until("two seconds", lambda: state()["elapsed_s"] > 2.5)
    if resize:
        terminal.resize(*resize)
    if change:
        ok(*change)
        seen = len(terminal.text)
        until("it to be drawn", lambda: " ".join(change).encode() in terminal.text[seen - 50:])
    ok("stop")
    started.process.wait(harness.LIMIT_S)
    return terminal.close(), json.loads(started.out())


def test_a_block_is_drawn_and_its_last_state_stays():
    text, report = shown(change=("rate", "300"))
    lines = screen(text)
    assert len(lines) == 4, lines
    assert re.match(r"  \d+\.\d s   ending   \d+ requests/s   \(wanted 300/s\)   p50 \S+ \S+   p99 \S+ \S+", lines[0]), lines
    assert f"{report['requests']['completed']} completed" in lines[1] and "0 open" in lines[1], (lines, report["requests"])
    assert re.search(r"  [▁▂▃▄▅▆▇█ ]+   at most \d+ requests/s", lines[2]) and "█" in lines[2], lines
    assert re.match(r"  changed \+\d+\.\d+ s: stop", lines[3]), lines


def test_colours_are_left_out_where_they_are_not_wanted():
    text, _ = shown(env={"NO_COLOR": "1"})
    assert "\033[K" in text and not re.search(r"\033\[\d*m", text), text
    text, _ = shown()
    assert "\033[33mending\033[0m" in text, text


def test_a_narrow_terminal_has_short_lines():
    text, _ = shown(columns=40, change=("pause",), resize=(30, 24))
    lines = screen(re.sub(r"\033\[\d+A", "", text.split("\033[J")[-2]))  # the last time it was drawn
    assert lines and all(len(line) <= 29 for line in lines), lines


def test_a_low_terminal_has_fewer_lines():
    text, _ = shown(change=("pause",), resize=(80, 3))
    lines = text.split("\033[J")[-2].strip("\n").split("\n")
    assert len(lines) == 2, lines


def test_a_dumb_terminal_has_one_line():
    text, report = shown(env={"TERM": "dumb"})
    assert "\033" not in text and text.count("\n") == 1, text
    assert f"{report['requests']['completed']} completed" in text.split("\r")[-2], text


def test_messages_stand_above_the_block():
    """A message comes when the block is there: the block is drawn below it once more."""
    in_directory()
    terminal = Terminal()
    started = soak("-R", "200", "--warmup", "100ms", "--json", stderr=terminal.slave, env={"TERM": "xterm"})
    until("an interval", lambda: state().get("last_interval"))
    ok("stop")
    started.process.wait(harness.LIMIT_S)
    lines = screen(terminal.close())
    assert any("requests of the warm-up are in no figure" in line for line in lines), lines
    assert sum("completed" in line for line in lines) == 1, lines


if __name__ == "__main__":
    harness.main()
