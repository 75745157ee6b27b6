# SPDX-License-Identifier: BSD-3-Clause
"""exec --workers: what several processes make of a program's packets is what one would."""
import collections
import json
import os
import shutil
import signal
import socket
import threading

import harness
from harness import OWN4, OWN6, Capture, Peer, peer, run, until
from servers import Nginx
from test_exec import python
from test_privileges import check_confined, descriptors
from test_wire import real_wire
from test_workers import workers

FROM = ("--from", "198.18.0.0/24")

# So many requests over HTTP, a connection each, by eight at a time.
ASK = """
import socket, sys, threading
left = list(range(int(sys.argv[3])))
def go():
    while left:
        try:
            left.pop()
        except IndexError:
            return
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) as s:
            s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            data = b""
            while part := s.recv(65536):
                data += part
            assert b" 200 " in data[:20], data
threads = [threading.Thread(target=go) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print("done")
"""

# Datagrams of several sizes by each of so many sockets, each of which comes back.
ECHOES = """
import socket, sys
sockets = [socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) for _ in range(12)]
for turn, size in enumerate((40, 4000, 20, 9000, 30, 1)):
    for number, s in enumerate(sockets):
        s.settimeout(30)
        data = bytes([number, turn]) * size
        s.sendto(data, (sys.argv[1], int(sys.argv[2])))
        assert s.recv(65536) == data, (number, turn)
print("done")
"""


def executed(*args, status=0, **more):
    """What the program said, and the report."""
    path = f"{harness.directory}/report"
    result = peer("exec", "--json", "-o", path, *args, limit=120, **more).expect(status)
    with open(path) as file:
        return result, json.load(file)


class Echo:
    """Datagrams go back, and whose they were is noted."""

    def __init__(self, own=OWN4):
        self.sock = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((own, 0))
        self.port, self.sources = self.sock.getsockname()[1], collections.defaultdict(set)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            data, source = self.sock.recvfrom(65536)
            if data == b"end":
                return
            self.sources[data[0]].add(source[:2])
            self.sock.sendto(data, source)

    def end(self):
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", self.sock.getsockname())
        self.thread.join()
        self.sock.close()


def test_each_address_is_one_workers():
    with Nginx() as nginx:
        done = 0
        for count, options in ((2, ()), (4, ()), (8, ()), (3, ("--tap",)), (4, ("--link", "delay 2ms"))):
            result, report = executed("--workers", count, "--from", "198.18.0.0/23", *options,
                                      *python(ASK, OWN4, 80, 150))
            assert result.out == b"done\n" and report["flows"]["tcp"] == 150, (result, report["flows"])
            books = nginx.until_lines(done + 150)[done:]
            # Each worker goes through its addresses in turn, and has about its part of the connections.
            assert len(books) == 150 and len(set(books)) > 140, (count, len(set(books)))
            assert report["peers_used"] == len(set(books)) and report["workers"]["count"] == count, report
            assert report["packets"]["dropped"] == report["flows"]["refused"] == 0, report
            done += 150
    assert not workers()


@harness.changes_machine
def test_workers_share_the_wire_of_a_card():
    with real_wire(), Nginx() as nginx:
        _, report = executed("--workers", 3, "--from", "198.18.0.0/23", "--wire", "eth0", *python(ASK, OWN4, 80, 60))
        assert report["flows"]["tcp"] == 60 == len(nginx.until_lines(60)), report["flows"]


def test_ipv6():
    with Nginx() as nginx:
        _, report = executed("--workers", 4, "--from", "2001:2::/119", *python(ASK, OWN6, 80, 60))
        assert report["flows"]["tcp"] == 60 == len(nginx.until_lines(60))


def test_copies_have_slices():
    def slices(copies, workers_count, from_, each):
        with Nginx(log="$remote_addr $http_x_copy") as nginx:
            program = ASK.replace("HTTP/1.0\\r\\n", "HTTP/1.0\\r\\nX-Copy: {}\\r\\n")
            _, report = executed("--workers", workers_count, "--from", from_, "-j", copies,
                                 *python(program, OWN4, 80, each))
            books = nginx.until_lines(copies * each)
        of = collections.defaultdict(set)
        for line in books:
            address, copy = line.split()
            of[int(copy)].add(int(address.split(".")[3]))
        assert len(of) == copies and report["flows"]["tcp"] == copies * each, (of.keys(), report["flows"])
        return [of[copy] for copy in range(copies)]

    for copies, count in ((3, 2), (2, 4), (5, 5)):
        found = slices(copies, count, "198.18.0.1-198.18.0.60", 24)
        size = 60 // copies
        for copy, addresses in enumerate(found):
            assert addresses <= set(range(1 + copy * size, 1 + (copy + 1) * size)), (copies, count, copy, addresses)
            assert len(addresses) > 1, (copies, count, copy, addresses)


def test_datagrams_of_a_socket_come_from_one_peer():
    for own, from_ in ((OWN4, "198.18.0.0/24"), (OWN6, "2001:2::/120")):
        echo = Echo(own)
        result, report = executed("--workers", 4, "--from", from_, *python(ECHOES, own, echo.port))
        echo.end()
        assert result.out == b"done\n" and report["flows"]["udp"] == 12, (result, report["flows"])
        assert [len(echo.sources[number]) for number in range(12)] == [1] * 12, echo.sources
        assert len({source for sources in echo.sources.values() for source in sources}) == 12


def test_a_destination_is_one_peer():
    with Nginx() as nginx:
        executed("--workers", 4, *FROM, "--spread", "destination", *python(ASK, OWN4, 80, 20))
        assert len(set(nginx.until_lines(20))) == 1


def test_errors_come_to_the_program():
    program = """
import errno, socket, sys
for turn in range(6):
    for port in range(int(sys.argv[2]), int(sys.argv[2]) + 4):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(20)
            s.connect((sys.argv[1], port))
            s.send(b"x")
            try:
                s.recv(1)
            except ConnectionRefusedError:
                pass
        with socket.socket() as s:
            assert s.connect_ex((sys.argv[1], port)) == errno.ECONNREFUSED
        with socket.socket() as s:
            assert s.connect_ex(("203.0.113.9", port)) in (errno.EHOSTUNREACH, errno.EACCES, errno.ENETUNREACH)
print("done")
"""
    result, report = executed("--workers", 4, *FROM, *python(program, OWN4, 40000))
    assert result.out == b"done\n" and report["packets"]["prohibited"] >= 24, (result, report["packets"])
    assert str(result.err).count("203.0.113.9 is no address of this machine") == 1, result


def test_names_and_localhost():
    with Nginx() as nginx:
        program = ASK.replace("(sys.argv[1]", "(\"127.0.0.1\"")
        executed("--workers", 3, *FROM, "--localhost", OWN4, *python(program, OWN4, 80, 12))
        assert len(nginx.until_lines(12)) == 12


def test_flows_roam_and_misbehave():
    program = """
import socket, sys, time
sockets = [socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) for _ in range(10)]
for s in sockets:
    s.sendall(b"x")
print("done")
"""
    server = harness.Server(lambda connection, _: connection.recv(1), callers=10)
    _, report = executed("--workers", 3, *FROM, "--manner", "duplicate-data:100%", *python(program, OWN4, server.port))
    server.join()
    assert report["flows"]["misbehaved"] == 10, report["flows"]
    echo = Echo()
    program = ECHOES.replace("for turn", "import time\nfor turn").replace("        s.settimeout", "        time.sleep(0.01)\n        s.settimeout")
    _, report = executed("--workers", 3, *FROM, "--roam", "20ms", *python(program, OWN4, echo.port))
    echo.end()
    assert report["flows"]["roamed"] > 10, report["flows"]


def test_one_capture_has_all_frames():
    path = f"{harness.directory}/all.pcapng"
    with Nginx():
        executed("--workers", 4, *FROM, "--pcap", path, *python(ASK, OWN4, 80, 40))
    with open(path, "rb") as file:
        capture = Capture(file.read())
    syns = [data[12:16] for _, direction, data, _ in capture.packets
            if direction == 1 and data[9] == 6 and data[33] & 2]
    assert len(syns) == 40, len(syns)


def started(count, *args):
    running = Peer("exec", "--workers", count, *args)
    return running, until(f"{count} workers", lambda: len(workers()) == count and workers())


def test_one_that_is_killed_ends_the_run():
    running, them = started(3, *FROM, "--", "sleep", "3600")
    os.kill(them[1], signal.SIGKILL)
    running.wait().expect(125, err=rf"worker \d of 3 \(process {them[1]}\) was killed by signal 9 \(Killed\)|"
                                   "a worker of the run is gone")
    assert not workers()


def test_nobody_outlives_a_coordinator_that_is_killed():
    running, them = started(3, *FROM, "--", "sleep", "3600")
    engine = int(open(f"/proc/{them[0]}/stat").read().rpartition(")")[2].split()[1])
    os.kill(engine, signal.SIGKILL)
    running.wait().expect(125)
    until("the end of the workers", lambda: not set(them) & set(workers()))
    harness.await_guardians()
    assert not harness.peer_links()


def test_workers_of_an_ordinary_user():
    harness.own_node()  # nobody may load no program: the kernel guesses whose answers are, and learns
    application = f"{harness.PEER} application http:80"
    given = ("--isolate", "--application", application, "--await", "192.0.2.80:80", "--local", "192.0.2.80/24")
    asks = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do curl -sf -o /dev/null http://192.0.2.80/ || exit 1; done; echo done"
    for options in ((), ("--tap",), ("-j", 3)):
        result = peer("exec", "-v", "--workers", 3, *FROM, *given, *options, "--", "sh", "-c", asks, limit=120,
                      nobody=True)
        copies = 3 if "-j" in options else 1
        result.expect(0, err=f"peer: {12 * copies} TCP, 0 UDP")
        assert result.out == b"done\n" * copies, result


def test_workers_have_no_privileges():
    running, them = started(2, *FROM, "--", "sleep", "3600")
    until("the filters", lambda: all("Seccomp:\t2" in open(f"/proc/{pid}/status").read() for pid in them))
    for pid in them:
        check_confined(pid)
        kinds = collections.Counter(descriptors(pid))
        # Its queue and the program's device; to the coordinator, and two inboxes with the other's.
        assert kinds["/dev/net/tun"] == 2 and kinds["socket:[]"] == 5, kinds
    running.signal(signal.SIGTERM)
    running.wait()


def test_an_address_that_goes_is_no_target_any_more():
    run("ip", "addr", "add", "10.9.0.77/32", "dev", "eth0")
    program = """
import errno, socket, sys
first = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
sys.stdin.read(1)
while True:
    with socket.socket() as s:
        s.settimeout(20)
        if s.connect_ex((sys.argv[1], int(sys.argv[2]))) in (errno.EHOSTUNREACH, errno.EACCES, errno.ENETUNREACH):
            break
print("done")
"""
    server = harness.Server(lambda connection, _: None, addr="10.9.0.77", callers=1)
    running = Peer("exec", "--workers", 2, *FROM, *python(program, "10.9.0.77", server.port))
    server.join()
    run("ip", "addr", "del", "10.9.0.77/32", "dev", "eth0")
    running.send(b"x")
    running.wait().expect(0, out="done")


def test_load_by_wrk():
    if not shutil.which("wrk"):
        harness.skip("no wrk")
    with Nginx() as nginx:
        result, report = executed("--workers", 2, *FROM, "--", "wrk", "-c", 16, "-d", 1, "-H", "Connection: close",
                                  f"http://{OWN4}/")
        assert b"Socket errors" not in result.out, result
        books = nginx.books()
        assert len(set(books)) == 254 and report["packets"]["dropped"] == 0, (len(set(books)), report)


def test_text_and_what_cannot_be():
    with Nginx():
        peer("exec", "-v", "--workers", 2, *FROM, *python(ASK, OWN4, 80, 5)) \
            .expect(0, err=r"2 workers on CPUs? [\d,-]+, each frame to its own by")
    rows = (
        (("--workers", 4, "--from", "198.18.0.1-198.18.0.3"), "3 addresses of peers cannot be shared by 4 workers"),
        (("--workers", 2), "--workers share the peers' addresses.*--from"),
        (("--workers", "some"), "neither auto nor a number"),
        (("--cpus", 0), "--cpus goes with --workers"),
        (("--workers", 2, *FROM, "--spread", "run"), "a program that is one peer is one worker's: no --workers then"),
        (("--workers", 4, *FROM, "--max-flows", 3), r"3 flows \(--max-flows\) cannot be shared by 4 workers"),
        (("--workers", 200, *FROM), "neither auto nor a number from 1 to 128"),
        (("--workers", 3, "--from", "198.18.0.1-198.18.0.4", "--roam", "1s"), "to roam takes two peers or more of each"),
    )
    for args, text in rows:
        peer("exec", *args, "--", "true").refused(125, text)
    _, report = executed("--workers", "auto", "--from", "198.18.0.7", "--", "true")
    assert "workers" not in report


if __name__ == "__main__":
    harness.main()
