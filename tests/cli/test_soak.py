# SPDX-License-Identifier: BSD-3-Clause
"""peer soak: what it counts is what happened, with good services and bad ones."""
import collections
import json
import os
import re
import resource
import selectors
import signal
import socket
import struct
import subprocess
import threading

import harness
from harness import OWN4, Peer, peer

LIMIT = 60


class Service:
    """answer(connection, request number) for each request, any number of callers."""

    def __init__(self, answer, addr=OWN4):
        self.sock, self.port = harness.listening(addr)
        self.sock.listen(1024)
        self.sock.settimeout(None)
        self.answer, self.requests = answer, 0
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                connection, _ = self.sock.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()
        except OSError:
            pass  # closed

    def serve(self, connection):
        try:
            with connection:
                while connection.recv(4096):
                    with self.lock:
                        self.requests += 1
                        number = self.requests
                    if self.answer(connection, number) is False:
                        return
        except OSError:
            pass  # the peer went away


def soak(*args, status=0, limit=LIMIT):
    result = peer("soak", "--json", *args, limit=limit)
    result.expect(status)
    return json.loads(result.out)


def errors_of(report, kind):
    counted = {name: count for name, count in report["errors"].items() if count and name != "total"}
    assert set(counted) == {kind}, report["errors"]
    assert report["errors"]["total"] == counted[kind] and report["first_error"]
    return counted[kind]


def ok(connection, _number):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")


def test_counts_of_a_good_service():
    service = Service(ok)
    report = soak(f"http://{OWN4}:{service.port}/", "-c", 4, "-n", 100)
    assert report["requests"]["completed"] == report["requests"]["sent"] == 100 == service.requests
    assert report["requests"]["status"] == {"2xx": 100}
    assert report["connections"]["established"] == 4 and report["errors"]["total"] == 0
    assert report["latency_us"]["request"]["min"] <= report["latency_us"]["request"]["p50"] <= \
        report["latency_us"]["request"]["max"]
    assert report["rss_bytes"] > 0 and report["duration_s"] > 0 and report["seed"] > 0


def test_a_connection_for_each_request():
    service = Service(ok)
    report = soak(f"http://{OWN4}:{service.port}/", "-c", 4, "-n", 50, "--no-keep-alive")
    assert report["connections"]["established"] == 50 == report["requests"]["completed"], report


def test_frugal_peers_send_half_the_frames():
    frames = {}
    for options in ((), ("--frugal",)):
        service = Service(ok)
        path = f"{harness.directory}/frames{len(options)}.pcapng"
        soak(f"http://{OWN4}:{service.port}/", "-n", 10, "--no-keep-alive", "--pcap", path, *options)
        packets = [(data, data[20:]) for _, way, data, _ in harness.Capture(open(path, "rb").read()).packets
                   if way == 1 and data[9] == 6]
        # Segments without payload, SYN, FIN or RST.
        frames[options] = [sum(1 for data, tcp in packets if tcp[13] & 0x17 == 0x10 and
                               len(data) == 20 + (tcp[12] >> 4) * 4), len(packets)]
    assert frames[()][0] >= 20, frames  # of the handshake and of the answer
    assert frames[("--frugal",)][0] <= 10, frames  # of the application's FIN at the most
    assert frames[("--frugal",)][1] <= frames[()][1] - 20, frames


def test_congestion_that_is_notified():
    harness.need("nft")
    service = Service(lambda c, n: c.sendall(b"x" * 4096))
    # Who is capable is marked, both ways.
    harness.run("nft", "add table ip t; add chain ip t in { type filter hook prerouting priority 0; }; "
                "add chain ip t out { type filter hook postrouting priority 0; }; "
                "add rule ip t in ip ecn ect0 ip ecn set ce; add rule ip t out ip ecn ect0 ip ecn set ce")
    try:
        for options, connections in ((("--ecn",), 3), ((), 0)):
            report = soak(f"tcp://{OWN4}:{service.port}", "--size", 4096, "-c", 3, "-n", 60, *options, status=1)
            ecn = report["tcp"]["ecn"]
            assert ecn["connections"] >= connections and (ecn["connections"] > 0) == (connections > 0), ecn
            assert (ecn["marked"] > 0) == (ecn["reduced"] > 0) == (connections > 0), ecn
    finally:
        harness.run("nft", "delete table ip t")


def test_bodies_by_chunks_and_by_the_end_of_the_connection():
    chunks = Service(lambda c, n: c.sendall(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
    assert soak(f"http://{OWN4}:{chunks.port}/", "-n", 20)["requests"]["completed"] == 20

    def until_the_end(connection, _number):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nabc")
        return False
    ends = Service(until_the_end)
    assert soak(f"http://{OWN4}:{ends.port}/", "-n", 20)["requests"]["completed"] == 20


def test_answers_of_the_same_length_are_told_apart():
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
               b"HTTP/1.1 404 NO\r\nContent-Length: 2\r\n\r\nab",
               b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 NO\r\nContent-Length: 1\r\n\r\na",
               b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 NO\r\nContent-Length: 1\r\n\r\na"]
    service = Service(lambda c, n: c.sendall(answers[n // 2 % 4]))
    report = soak(f"http://{OWN4}:{service.port}/", "-n", 400)
    assert report["requests"]["status"] == {f"{n}xx": 100 for n in (2, 3, 4, 5)}, report["requests"]
    assert report["connections"]["opened"] == 1


def test_more_than_the_answer_is_wrong_even_when_the_answer_is_known():
    service = Service(lambda c, n: c.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab" + b"c" * (n % 10 == 0)))
    report = soak(f"http://{OWN4}:{service.port}/", "-n", 100, status=1)
    assert errors_of(report, "bad_answer") == 10 and report["requests"]["completed"] == 90


def test_a_service_that_is_down():
    _, port = harness.listening(OWN4, socket.SOCK_DGRAM)
    report = soak(f"http://{OWN4}:{port}/", "-c", 4, "-n", 8, status=1)
    assert errors_of(report, "refused") == 8 and report["requests"]["completed"] == 0


def test_a_service_that_never_answers():
    silent = Service(lambda c, n: None)
    report = soak(f"http://{OWN4}:{silent.port}/", "-c", 4, "-n", 4, "-w", "0.2", status=1)
    assert errors_of(report, "timeout") == 4


def test_answers_that_are_wrong():
    def endless(connection, _number):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X: " + b"a" * 1000 + b"\r\n")
    for answer in (lambda c, n: c.sendall(b"\0\1garbage\r\n\r\n"), endless,
                   lambda c, n: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcdef")):
        service = Service(answer)
        report = soak(f"http://{OWN4}:{service.port}/", "-c", 2, "-n", 6, status=1)
        assert errors_of(report, "bad_answer") == 6 and report["rss_bytes"] < 200 << 20


def test_answers_that_are_cut_short():
    def short(connection, _number):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nabc")
        return False
    service = Service(short)
    report = soak(f"http://{OWN4}:{service.port}/", "-c", 2, "-n", 6, status=1)
    assert errors_of(report, "closed_early") == 6


def test_a_service_that_resets_after_a_while():
    def reset(connection, number):
        if number <= 10:
            connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            return None
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    service = Service(reset)
    report = soak(f"http://{OWN4}:{service.port}/", "-n", 15, status=1)
    assert report["requests"]["status"] == {"5xx": 10} and errors_of(report, "reset") == 5
    tolerated = peer("soak", f"http://{OWN4}:{service.port}/", "-n", 5, "--tolerate")
    tolerated.expect(0, out="5 reset")


def test_an_open_schedule_keeps_its_rate_and_counts_late_starts():
    service = Service(ok)
    report = soak(f"http://{OWN4}:{service.port}/", "-c", 8, "-R", 500, "-n", 250)
    assert report["corrected"] is True and report["requests"]["completed"] == 250
    assert report["rate"]["asked"] == 500
    assert 0.45 < report["duration_s"], "250 requests at 500/s cannot be done sooner"

    # One flow, 50 ms an answer, 200 requests/s wanted: the last ones start seconds late.
    slow = Service(lambda c, n: (threading.Event().wait(0.05), ok(c, n))[1])
    report = soak(f"http://{OWN4}:{slow.port}/", "-c", 1, "-R", 200, "-n", 40)
    assert report["latency_us"]["request"]["max"] > 1_000_000, report["latency_us"]


def test_a_rate_that_cannot_be_reached_is_told():
    slow = Service(lambda c, n: (threading.Event().wait(0.02), ok(c, n))[1])
    result = peer("soak", f"http://{OWN4}:{slow.port}/", "-c", 1, "-R", "5k", "-d", "0.5")
    result.expect(0, out=r"asked 5000/s, reached [\d.]+/s: limited by")


def test_echo_finds_what_the_application_changes():
    server = Peer("application", "echo:7", stdin=subprocess.DEVNULL)
    harness.until("the application listens", lambda: ":7 " in harness.run("ss", "-Hltn"))
    for scheme in ("tcp", "udp"):
        for size in (1, 64, 3000):
            report = soak(f"{scheme}://{OWN4}:7", "-c", 4, "-n", 40, "--size", size)
            assert report["requests"]["completed"] == 40, report
            assert report["bytes"]["sent"] == report["bytes"]["received"] == 40 * size
    server.stop()

    def change(connection, number):
        connection.sendall(b"x" * 64)
    service = Service(change)
    report = soak(f"tcp://{OWN4}:{service.port}", "-n", 3, status=1)
    assert errors_of(report, "bad_answer") == 3 and "differs" in report["first_error"]


class EchoForMany:
    """One thread, any number of callers."""

    def __init__(self):
        self.sock, self.port = harness.listening(OWN4)
        self.sock.listen(4096)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.sock, selectors.EVENT_READ)
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.sock:
                    self.selector.register(self.sock.accept()[0], selectors.EVENT_READ)
                else:
                    self.answer(key.fileobj)

    def answer(self, connection):
        try:
            data = connection.recv(65536)
            if data:
                connection.sendall(data)
                return
        except OSError:
            pass  # the peer went away
        self.selector.unregister(connection)
        connection.close()


def test_a_large_stack_confuses_nobody():
    # From 1024 connections on frames wait while memory is fetched: src/stack/prefetch.c.
    flows = 1500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < flows + 100:
        if hard != resource.RLIM_INFINITY and hard < flows + 100:
            raise harness.Skip("too few descriptors are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (flows + 100, hard))
    service = EchoForMany()
    for kind in ("--tun", "--tap"):
        report = soak(f"tcp://{OWN4}:{service.port}", kind, "--from", "198.18.0.0/24", "-c", flows,
                      "-n", 10 * flows)
        assert report["requests"]["completed"] == 10 * flows and report["open_most"] == flows
        assert report["errors"]["total"] == 0, report["errors"]


def test_lost_datagrams_are_found():
    sock, port = harness.listening(OWN4, socket.SOCK_DGRAM)

    def serve():
        for number in range(1000):
            data, address = sock.recvfrom(65536)
            if number % 5 != 4:
                sock.sendto(data, address)
    threading.Thread(target=serve, daemon=True).start()
    report = soak(f"udp://{OWN4}:{port}", "-n", 50, "-w", "0.05", status=1)
    assert report["errors"]["timeout"] == 10 and report["requests"]["completed"] == 40, report


def nginx(directory):
    """Its port and its access log."""
    harness.need("nginx")
    config = os.path.join(directory, "nginx.conf")
    log = os.path.join(directory, "access.log")
    with open(config, "w") as file:
        file.write(f"""daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
{'user root;' if os.geteuid() == 0 else ''}
events {{ worker_connections 4096; }}
http {{ access_log {log}; server {{ listen 80 backlog=4096; location / {{ return 200 "hello"; }} }}
client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e; }}
""")
    server = subprocess.Popen(["nginx", "-e", f"{directory}/error.log", "-c", config])
    harness.until("nginx listens", lambda: ":80 " in harness.run("ss", "-Hltn"))
    return server, log


def test_an_answer_that_came_twice_is_no_error():
    """All but the last: the run is over then."""
    echo = harness.UdpEcho(copies=2)
    result = peer("soak", f"udp://{OWN4}:{echo.port}", "-n", 50).expect(0, lines=0)
    said = re.search(rb"\n  answers beyond those: 0 late, (\d+) twice\n", result.out)
    assert said and int(said.group(1)) in (49, 50) and b"errors" not in result.out, result
    report = soak(f"udp://{OWN4}:{echo.port}", "-n", 50)
    assert report["datagrams"]["duplicates"] in (49, 50) and report["datagrams"]["late"] == 0
    assert report["errors"]["total"] == 0 and report["requests"]["completed"] == 50


def test_every_address_calls_once():
    harness.need_root()
    server, log = nginx(harness.directory)
    count = 1000 if harness.options.sanitized else 10000
    for kind in ("--tun", "--tap"):
        open(log, "w").close()
        report = soak(f"http://{OWN4}/", kind, "--from", "198.18.0.0/16", "-c", 500, "-n", count,
                      "--no-keep-alive")
        assert report["requests"]["completed"] == count, report["errors"]
        harness.until("the log is complete", lambda: sum(1 for _ in open(log)) >= count)
        seen = collections.Counter(line.split()[0] for line in open(log))
        assert len(seen) == count and max(seen.values()) == 1
    server.terminate()
    server.wait()


def test_idle_connections_are_held_and_touched():
    service = Service(lambda c, n: None)
    report = soak(f"tcp://{OWN4}:{service.port}", "--idle", "-c", 300, "--touch", 30, "-d", "1")
    assert report["connections"]["established"] == 300 == report["open_most"]
    assert report["requests"]["completed"] == 30 and report["errors"]["total"] == 0


def test_streams_and_histograms():
    service = Service(ok)
    path = os.path.join(harness.directory, "latency.hgrm")
    result = peer("soak", f"http://{OWN4}:{service.port}/", "-d", "0.5", "--interval", "100ms",
                  "--json-stream", "--hdr", path)
    lines = [json.loads(line) for line in result.expect(0, lines=0).out.splitlines()]
    assert lines[-1]["type"] == "report" and {line["type"] for line in lines[:-1]} == {"interval"}
    total = sum(line["requests"]["completed"] for line in lines[:-1])
    assert total == lines[-1]["requests"]["completed"] > 0, (total, lines[-1]["requests"])
    with open(path) as file:
        text = file.read()
    assert "Percentile" in text and f"Total count    = {total:12}"[:14] in text
    peer("soak", f"http://{OWN4}:{service.port}/", "-n", 1, "--hdr", "/nowhere/x").expect(
        3, "/nowhere/x.*[Nn]o such file")


def test_ctrl_c_reports_what_was_done():
    service = Service(ok)
    running = Peer("soak", f"http://{OWN4}:{service.port}/", "-d", "60", "--json")
    harness.until("requests come", lambda: service.requests > 10)
    running.signal(signal.SIGINT)
    report = json.loads(running.wait().expect(0).out)
    assert report["requests"]["completed"] > 10 and report["duration_s"] < 50


def test_ctrl_c_of_a_terminal_is_not_for_the_application_of_ours():
    running = Peer("soak", "-c", 4, "-d", 60, "--json-stream", "--interval", "50ms",
                   prepare=os.setpgrp)
    running.wait_out(rb'"completed":[1-9]')
    os.killpg(running.pid, signal.SIGINT)
    report = json.loads(running.wait().expect(0).out.splitlines()[-1])
    assert report["type"] == "report" and report["errors"]["total"] == 0, report["errors"]


def test_links_do_what_they_say():
    report = json.loads(peer("ping", "--json", "-c", 5, "-i", "0.01", "--link", "delay 50ms",
                             OWN4).expect(0).out)
    latency = report["latency_us"]["request"]
    assert 100_000 <= latency["min"], latency  # how exactly, in virtual time: unit.link
    server = Peer("application", "echo:7", stdin=subprocess.DEVNULL)
    harness.until("the application listens", lambda: ":7 " in harness.run("ss", "-Hltn"))
    report = soak(f"udp://{OWN4}:7", "-c", 20, "-n", 3000, "-w", "0.02", "--uplink", "loss 10%",
                  "--seed", 1, status=1)
    lost = report["link"]["uplink"]["lost"]
    assert 220 < lost < 380, lost  # 300 by the binomial, five standard deviations of 16
    assert report["link"]["downlink"]["lost"] == 0
    again = soak(f"udp://{OWN4}:7", "-c", 20, "-n", 3000, "-w", "0.02", "--uplink", "loss 10%",
                 "--seed", 1, status=1)
    assert again["link"]["uplink"]["lost"] == lost  # the same packets meet the same fate
    server.stop()


def latencies_of(path):
    """From a request's frame to the last one of its answer, as the capture has them (TUN, IPv4)."""
    asked, answered = {}, {}
    found, times = [], []
    with open(path, "rb") as file:
        packets = harness.Capture(file.read()).packets
    for time, direction, data, _ in packets:
        times.append(time)
        header = (data[0] & 15) * 4
        whole = int.from_bytes(data[2:4], "big")
        payload = whole - header - (8 if data[9] == 17 else (data[header + 12] >> 4) * 4)
        if not payload:
            continue
        ports = data[header:header + 4]
        if direction == 1:
            flow = data[12:16] + ports[:2]
            if flow in answered:
                found.append(answered.pop(flow) - asked[flow])
            asked[flow] = time
        else:
            answered[data[16:20] + ports[2:]] = time
    assert times == sorted(times) and times[-1] - times[0] < 600e9
    return sorted(found + [time - asked[flow] for flow, time in answered.items()])


def handshakes_of(path):
    """From each connection's SYN to its SYN-ACK."""
    asked, found = {}, []
    with open(path, "rb") as file:
        packets = harness.Capture(file.read()).packets
    for time, _, data, _ in packets:
        header = (data[0] & 15) * 4
        ports, flags = data[header:header + 4], data[header + 13] & 0x12
        if flags == 2:
            asked.setdefault(ports[:2], time)
        elif flags == 0x12:
            found.append(time - asked.pop(ports[2:]))
    return sorted(found)


def check_latencies(name, report, captured):
    for told, part in (("min", 0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1)):
        true = captured[max(int(part * len(captured) + 0.5), 1) - 1] / 1000
        found = report["latency_us"][name][told]
        assert abs(found - true) <= 0.02 * true, (report["target"], name, told, found, true)


def test_latencies_are_those_of_the_capture():
    server = Peer("application", "http:80", "echo:7", stdin=subprocess.DEVNULL)
    harness.until("the application listens", lambda: all(
        port in harness.run("ss", "-Hltn") for port in (":80 ", ":7 ")))
    path = os.path.join(harness.directory, "latency.pcap")
    for target, flows in ((f"http://{OWN4}/", 1), (f"http://{OWN4}/", 8), (f"http://{OWN4}/", 64),
                          (f"tcp://{OWN4}:7", 8), (f"udp://{OWN4}:7", 8)):
        report = soak(target, "-c", flows, "-n", 3000, "--pcap", path)
        captured = latencies_of(path)
        assert len(captured) == report["requests"]["completed"] == 3000
        check_latencies("request", report, captured)
    for more in (), ("-R", 2000):
        report = soak(f"http://{OWN4}/", "-n", 500, "--no-keep-alive", "--pcap", path, *more)
        captured = handshakes_of(path)
        assert len(captured) == report["connections"]["established"] == 500
        check_latencies("handshake", report, captured)
    server.stop()


def test_output_that_cannot_be_written_is_found_before_the_run():
    service = Service(ok)
    url = f"http://{OWN4}:{service.port}/"
    fifo = os.path.join(harness.directory, "fifo")
    os.mkfifo(fifo)
    for args, status, text in (
            (("--hdr", "/nowhere/x"), 3, "/nowhere/x.*[Nn]o such file"),
            (("--hdr", fifo), 3, "fifo.*nobody reads it"),
            (("--pcap", fifo), 3, "fifo.*nobody reads it"),
            (("--hdr", harness.directory), 3, "[Ii]s a directory"),
            (("--pcap", harness.directory), 2, "[Ii]s a directory")):
        peer("soak", url, "-n", 1, *args, limit=20).expect(status, text)
    gone, writer = os.pipe()
    os.close(gone)
    with open("/dev/null") as unwritable:
        for out in (writer, unwritable.fileno()):
            running = Peer("soak", url, "-d", "600", stdout=out)
            running.wait(30).expect(3, "cannot write to standard output")
    os.close(writer)
    assert service.requests == 0


def test_a_reader_that_goes_away_ends_the_run():
    service = Service(ok)
    url = f"http://{OWN4}:{service.port}/"
    for args in ((), ("--json-stream", "--interval", "20ms")):
        reader, writer = os.pipe()
        running = Peer("soak", url, "-d", "600", *args, stdout=writer)
        os.close(writer)
        before = service.requests
        harness.until("requests come", lambda: service.requests > before + 10)
        os.close(reader)
        running.wait(30).expect(3)
    fifo = os.path.join(harness.directory, "reader")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    running = Peer("soak", url, "-d", "600", "--pcap", fifo)
    harness.until("the capture comes", lambda: readable(reader))
    os.close(reader)
    running.wait(30).expect(3, "incomplete.*[Bb]roken pipe")


def readable(fd):
    try:
        return bool(os.read(fd, 1))
    except BlockingIOError:
        return False


def test_what_holds_payload_is_for_its_owner():
    service = Service(ok)
    for option in ("--hdr", "--pcap"):
        path = os.path.join(harness.directory, "private" + option)
        soak(f"http://{OWN4}:{service.port}/", "-n", 1, option, path)
        assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_body_is_a_regular_file():
    fifo = os.path.join(harness.directory, "body")
    os.mkfifo(fifo)
    for path in ("/dev/zero", "/dev/stdin", fifo, harness.directory):
        peer("soak", f"http://{OWN4}/", "-n", 1, "--body", "@" + path, limit=20).refused(
            2, "no regular file")
    holes = os.path.join(harness.directory, "holes")
    with open(holes, "wb") as file:
        file.truncate(1 << 40)
    peer("soak", f"http://{OWN4}/", "-n", 1, "--body", "@" + holes, limit=20).refused(
        2, "larger than 256 MiB")
    peer("soak", f"http://{OWN4}/", "-n", 1, "--body", "@/nowhere/x", limit=20).refused(
        2, "[Nn]o such file")


def test_the_warm_up_is_told_apart():
    service = Service(ok)
    result = peer("soak", f"http://{OWN4}:{service.port}/", "-n", 20, "--warmup", "100ms", "--json")
    report = json.loads(result.expect(0, err=r"\d+ requests of the warm-up are in no figure").out)
    assert report["requests"]["completed"] == report["requests"]["sent"] == 20
    assert report["warmup"]["completed"] >= service.requests - 20 - 1
    assert report["requests"]["status_codes"] == {"200": 20}


def test_statuses_that_are_not_expected():
    service = Service(lambda c, n: c.sendall(
        b"HTTP/1.1 %d NO\r\nContent-Length: 2\r\n\r\nab" % (200, 206, 503)[n % 3]))
    url = f"http://{OWN4}:{service.port}/"
    report = soak(url, "-n", 30, "--expect", "200,204", status=1)
    assert errors_of(report, "status") == 20 and report["requests"]["completed"] == 10
    assert report["requests"]["status_codes"] == {"200": 10, "206": 10, "503": 10}
    assert report["first_errors"] == {"status": report["first_error"]}
    soak(url, "-n", 30, "--expect", "2xx,500-599")
    peer("soak", url, "-n", 30, "--expect", "200,204").expect(
        1, out=r"20 of unexpected status\n  the first of unexpected status: status (206|503)\n")
    peer("soak", url, "--expect", "20x", limit=20).refused(2, "no status to expect")
    peer("soak", f"tcp://{OWN4}:7", "--expect", "200", limit=20).refused(2, "--expect goes with http://")


def test_what_refused_is_named():
    greets = Service(ok)
    greets.serve = lambda connection: (connection.sendall(b"Host is not allowed\r\n"),
                                       connection.close())
    report = soak(f"tcp://{OWN4}:{greets.port}", "--idle", "-c", 10, "-d", 1, status=1)
    assert 'it had sent "Host is not allowed"' in report["first_error"], report["first_error"]
    assert report["connections"]["opened"] >= 10, report["connections"]  # how few: sim.soak


def test_a_full_accept_queue_is_told_by_connections():
    # After a stall several calls come at once: more than listen(1) lets be half-open, and a cookie
    # for an answer makes a connection of one that the queue has no room for.
    harness.sysctl("net.ipv4.tcp_syncookies", 0)
    sock, port = harness.listening(OWN4)
    sock.listen(1)
    args = (f"tcp://{OWN4}:{port}", "--idle", "-c", 20, "--connect-rate", 200)
    text = peer("soak", *args, "-d", "3.5", "-w", 3).expect(1).out.decode()
    told = re.search(r"(\d+) connections had to ask again: the accept queue was full for (\d+) p",
                     text)
    assert told and 15 <= int(told[1]) <= 20 < int(told[2]), text
    report = soak(*args, "-d", "1.5")
    assert 15 <= report["tcp"]["syn_repeated"] <= 20 <= report["local"]["listen_overflows"], report
    assert report["tcp"]["retransmits"] == report["local"]["retransmits"] == 0, report
    harness.sysctl("net.ipv4.tcp_syncookies", 1)


def test_handshakes_taken_back_at_the_end_are_no_losses():
    server = Peer("application", "http:80", stdin=subprocess.DEVNULL)
    harness.until("the application listens", lambda: ":80 " in harness.run("ss", "-Hltn"))
    for _ in range(4):
        report = soak(f"http://{OWN4}/", "-c", 64, "-d", "0.2", "--no-keep-alive", "--link",
                      "delay 2ms")
        assert report["local"]["listener_drops"] == 0 == report["local"]["listen_overflows"]
    server.stop()


def test_a_starved_peer_does_not_blame_the_application():
    service = Service(ok)
    first = min(os.sched_getaffinity(0))
    others = [subprocess.Popen(["sh", "-c", "while :; do :; done"], preexec_fn=lambda: (
        os.sched_setaffinity(0, {first}), harness.libc.prctl(harness.PR_SET_PDEATHSIG, signal.SIGKILL)))
        for _ in range(3)]
    try:
        running = Peer("soak", f"http://{OWN4}:{service.port}/", "-c", 32, "-R", "1000k", "-d", 2,
                       "--json", prepare=lambda: os.sched_setaffinity(0, {first}))
        report = json.loads(running.wait().expect(0).out)
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert report["rate"]["limited_by"] in ("processors", "quota"), (report["rate"], report["cpu_s"])
    reached = soak(f"http://{OWN4}:{service.port}/", "-R", "0.5", "-d", "1")
    assert reached["requests"]["completed"] == 1 and reached["rate"]["limited_by"] is None


def test_wrong_words():
    for args, text in ((("ftp://x/",), "no target"), (("tcp://10.9.0.1",), "no port"),
                       ((f"http://{OWN4}/", "-R", "0"), "no rate"),
                       ((f"http://{OWN4}/", "--close", "now"), "none of fin, rst"),
                       ((f"http://{OWN4}/", "--workload", "echo"), "tcp://, udp:// and tls://"),
                       ((f"tcp://{OWN4}:7", "-H", "A: b"), "go with http"),
                       ((f"tcp://{OWN4}:7", "--workload", "eat"), "none of echo, send, receive"),
                       ((f"http://{OWN4}/", "-H", "nocolon"), "no header"),
                       ((f"http://{OWN4}/", "-H", ": v"), "no header's name"),
                       ((f"http://{OWN4}/", "-H", "X Y: a"), "no header's name"),
                       ((f"http://{OWN4}/", "-H", "X : a"), "no header's name"),
                       ((f"http://{OWN4}/", "-H", "X\u00e9: a"), "no header's name"),
                       ((f"http://{OWN4}/", "-c", "0"), "out of range"),
                       ((f"http://{OWN4}/", "-c", "9m"), "more flows than the peers have ports"),
                       ((f"http://{OWN4}/", "--link", "delay 50"), "no unit"),
                       ((f"http://{OWN4}/", "--link", "losss 1%"), "did you mean \"loss\""),
                       ((f"udp://{OWN4}:7", "--workload", "send"), "needs a rate")):
        peer("soak", *args, limit=20).refused(2, text)


def test_objectives():
    """Kept, or status 1 and the first that is not; what is allowed of errors is no failure."""
    def answer(connection, number):
        connection.sendall(b"HTTP/1.1 %d OK\r\nContent-Length: 0\r\n\r\n" % (500 if number == 7 else 200))

    target = f"http://{OWN4}:{Service(answer).port}/"
    args = [target, "-n", "20", "--expect", "200"]
    kept = soak(*args, "--slo", "errors<=1", "--slo", "errors <= 10%", "--slo", "completed >=\t19")
    assert [entry["kept"] for entry in kept["slo"]] == [True] * 3, kept["slo"]
    assert kept["slo"][1] == {"objective": "errors <= 10%", "kept": True, "value": 0.05, "bound": 0.1, "unit": "share"}

    target = f"http://{OWN4}:{Service(answer).port}/"
    result = peer("soak", target, "-n", "20", "--slo", "completed>=1", "--slo", "rate>1m", "--slo", "p99<1us")
    result.expect(1, err="peer: not kept: rate>1m: ")
    assert "p99" not in result.err, result.err
    assert re.search(rb"(?m)^kept +completed>=1 +20$", result.out), result.out
    assert re.search(rb"(?m)^NOT KEPT p99<1us +[0-9.]+ [mu]?s$", result.out), result.out


def test_objectives_that_are_none():
    for text, words in (("p99", "no comparison"), ("p99<20", "is no time"), ("ratte>1", 'did you mean "rate"?')):
        peer("soak", "--slo", text).expect(2, err=words)
        for command in ("soak", "merge", "report"):
            peer(command, "--slo", "p99<1s", "--slo", text).expect(2, err=words)


def test_rate_search():
    """The rates that were tried are told; the highest that was kept is the result."""
    report = soak("--rate-search", "100..2k", "-d", "200ms", "--warmup", "50ms", "--slo", "rate<500",
                  "--slo", "errors<1", limit=120)
    search = report["rate_search"]
    kept = [step["rate"] for step in search["steps"] if step["kept"]]
    assert search["steps"][0]["rate"] == 100 and kept, search
    assert search["highest"] == max(kept), search
    assert all(step["reached"] < 500 for step in search["steps"] if step["kept"]), search
    above = [step for step in search["steps"] if step["rate"] > max(kept)]
    assert above and all(step["why_not"] for step in above), search
    assert report["slo"][0]["kept"] and report["requests"]["completed"] <= max(kept) * 0.25, report

    result = peer("soak", "--rate-search", "600..2k", "-d", "100ms", "--slo", "rate<500")
    result.expect(1)
    assert b"\nHighest rate:    none: 600/s was too high\n" in result.out, result.out


def test_rate_searches_that_are_none():
    for args, words in ((["--rate-search", "1k..2k"], "--slo"), (["--rate-search", "1k", "--slo", "rate>1"], "no range"),
                        (["--rate-search", "2k..1k", "--slo", "rate>1"], "no range"),
                        (["--rate-search", "1..2", "--slo", "rate>1", "-R", "5"], "no -R"),
                        (["--rate-search", "1..2", "--slo", "rate>1", "-n", "5"], "-d, not -n")):
        peer("soak", *args).expect(2, err=words)


if __name__ == "__main__":
    harness.main()
