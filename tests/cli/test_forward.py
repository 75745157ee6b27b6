# SPDX-License-Identifier: BSD-3-Clause
"""peer forward: clients of kernel sockets come from peers, callers of peers reach kernel sockets."""
import errno
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading

import harness
from harness import OWN4, OWN6, PEER4, PEER6, Peer, Server, peer, run, until

PEERS = "198.18.7.1-198.18.7.20"


def forward(*args, **more):
    """A running forward and the places (address or path, port) that it says, in order."""
    started = Peer("forward", *args, **more)
    ways = sum(1 for before, arg in zip(("", *args), args) if before != "--from" and str(arg).count(":") > 1)
    started.wait_err("(listening at .*\n[^$]*){%d}" % ways)
    return started, places(started.err())


def places(text):
    found = []
    for line in re.findall(r"listening at (.*?)(?:, on to|(?: and the following addresses)? on )", text):
        for word in line.split(", "):
            addr, _, port = word.rpartition(":")
            found.append(word[len("unix:"):] if word.startswith("unix:") else (addr.strip("[]"), int(port)))
    return found


def connect(place):
    if isinstance(place, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(harness.LIMIT_S)
        sock.connect(place)
        return sock
    return socket.create_connection(place, harness.LIMIT_S)


def reset(connection):
    """Closes with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def fails_with(call, *codes):
    try:
        value = call()
    except OSError as error:
        assert error.errno in codes, error
        return
    raise AssertionError(f"it gave {value!r}")


def is_reset(place):
    """At once, perhaps before connect() is back."""
    with socket.socket() as client:
        client.settimeout(harness.LIMIT_S)
        code = client.connect_ex(place)
        assert code in (0, errno.ECONNRESET, errno.ECONNREFUSED), code
        if code == 0:
            fails_with(lambda: client.recv(1), errno.ECONNRESET)


def report(started):
    """Ctrl-C, and the figures of --json."""
    return json.loads(started.stop().expect(0).out)


def memory_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"^Private_Dirty: +(\d+)", file.read(), re.M).group(1))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# ---- one connection ----

def test_bytes_and_ends_go_both_ways():
    for own, addr in ((OWN4, PEER4), (OWN6, PEER6)):
        server = Server(harness.answer_after_eof, own, callers=2)
        target = f"[{own}]" if ":" in own else own
        started, found = forward("--from", addr, f"0:{target}:{server.port}", "--json")
        assert [place[0] for place in found] == ["127.0.0.1", "::1"] and found[0][1] == found[1][1], found
        for place in found:
            with connect(place) as client:
                client.sendall(b"0123456789")
                client.shutdown(socket.SHUT_WR)
                assert harness.receive_all(client) == b"9876543210"
        server.join()
        assert {caller[0] for caller in server.callers} == {addr}
        figures = report(started)
        assert figures["connections"]["closed"] == figures["connections"]["established"] == 2, figures
        assert figures["bytes"] == {"sent": 20, "received": 20}


def test_the_application_may_end_first():
    heard = []

    def speak_first(connection, _address):
        connection.sendall(b"first")
        connection.shutdown(socket.SHUT_WR)
        heard.append(harness.receive_all(connection))

    server = Server(speak_first)
    started, found = forward(f"0:{OWN4}:{server.port}")
    with connect(found[0]) as client:
        assert harness.receive_all(client) == b"first"
        client.sendall(b"x" * 300000)
        client.shutdown(socket.SHUT_WR)
        server.join()
    assert heard == [b"x" * 300000]
    started.stop().expect(0)


def test_much_goes_both_ways_at_once_and_is_the_same():
    total = harness.size_of_transfer() // 4

    def talk(connection, _address):
        there = []
        thread = threading.Thread(target=lambda: there.append(harness.send_stream(connection.sendall, total, "s")))
        thread.start()
        got = harness.hash_of(lambda: connection.recv(1 << 18))
        thread.join()
        hashes.append((got, there[0]))

    hashes = []
    server = Server(talk)
    started, found = forward("--link", "delay 1ms", f"0:{OWN4}:{server.port}")
    with connect(found[0]) as client:
        mine = []

        def send():
            mine.append(harness.send_stream(client.sendall, total, "c"))
            client.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        count, left = 0, harness.hashlib.sha256()
        while count < total:
            data = client.recv(1 << 18)
            assert data, count
            count += len(data)
            left.update(data)
        thread.join()
        server.join()
    (got, there), = hashes
    assert got == (total, mine[0]) and left.hexdigest() == there
    started.stop().expect(0)


def test_refused_is_a_reset_or_with_accept_first_an_end():
    closed, port = harness.listening(OWN4)
    closed.close()
    started, found = forward(f"0:{OWN4}:{port}", "--json")
    for _ in range(3):
        is_reset(found[0])
    started.wait_err(rf"no socket listens at {OWN4}:{port} yet\n")
    started.wait_err(rf"{OWN4}:{port}: refused; further ones are counted\n")
    figures = report(started)["connections"]
    assert figures["refused"] == figures["accepted"] == 3 and figures["established"] == 0, figures

    started, found = forward(f"0:{OWN4}:{port}", "--accept-first")
    with connect(found[0]) as client:
        client.sendall(b"x" * 100000)
        assert client.recv(1) == b""
    started.stop().expect(0, err="1 refused")


def test_resets_are_passed_on_both_ways():
    came, ends = threading.Event(), []

    def reset_first(connection, _address):
        connection.sendall(b"some")
        came.wait(harness.LIMIT_S)
        reset(connection)

    server = Server(reset_first)
    started, found = forward(f"0:{OWN4}:{server.port}", "--json")
    with connect(found[0]) as client:
        assert harness.receive_count(client, 4) == b"some"
        came.set()
        fails_with(lambda: client.recv(1), errno.ECONNRESET)
    server.join()
    assert report(started)["connections"]["reset"] == 1

    def await_reset(connection, _address):
        connection.sendall(b"some")
        try:
            ends.append(connection.recv(1))
        except OSError as error:
            ends.append(error.errno)

    server = Server(await_reset)
    started, found = forward(f"0:{OWN4}:{server.port}", "--json")
    client = connect(found[0])
    assert harness.receive_count(client, 4) == b"some"
    reset(client)
    server.join()
    assert ends == [errno.ECONNRESET], ends
    until("the end of the connection", lambda: not harness.open_sockets())
    assert report(started)["connections"]["client_reset"] == 1


def test_what_was_sent_before_a_reset_arrives():
    asked, done = threading.Event(), threading.Event()

    def send_and_reset(connection, _address):
        connection.sendall(b"x" * 50000)
        asked.set()
        done.wait(harness.LIMIT_S)
        reset(connection)

    server = Server(send_and_reset)
    started, found = forward(f"0:{OWN4}:{server.port}")
    with connect(found[0]) as client:
        asked.wait(harness.LIMIT_S)
        until("all that was sent", lambda: struct.unpack("i", harness.fcntl.ioctl(
            client, harness.termios.FIONREAD, b"\0" * 4))[0] == 50000)
        done.set()
        server.join()
        assert harness.receive_count(client, 50000) == b"x" * 50000
        fails_with(lambda: client.recv(1), errno.ECONNRESET)
    started.stop().expect(0)


def test_who_does_not_read_fills_no_memory():
    """Both ways: 100 MB wait with those who send them."""
    def send_endlessly(connection, _address):
        connection.setblocking(False)
        sent = 0
        while sent < 100 << 20 and select.select([], [connection], [], 3)[1]:
            sent += connection.send(b"x" * (1 << 16))
        written.append(sent)
        released.wait(harness.LIMIT_S)

    for reader in ("client", "application"):
        written, released = [], threading.Event()

        def rest(_connection, _address):
            released.wait(harness.LIMIT_S)

        server = Server(send_endlessly if reader == "client" else rest)
        started, found = forward(f"0:{OWN4}:{server.port}")
        before = memory_kib(started.pid)
        with connect(found[0]) as client:
            if reader == "application":
                send_endlessly_thread = threading.Thread(target=send_endlessly, args=(client, None))
                send_endlessly_thread.start()
            until("the sender has filled what there is", lambda: written)
            assert 0 < written[0] < 100 << 20, written
            grown = memory_kib(started.pid) - before
            assert grown < (16 << 10) * (3 if harness.options.sanitized else 1), f"{grown} KiB, {written}"
            released.set()
        server.join()
        started.stop().expect(0)


# ---- many ----

def test_peers_take_turns_and_each_connection_is_told():
    server = Server(harness.echo_all, callers=20)
    started, found = forward("-v", "--from", PEERS, f"127.0.0.1:0:{OWN4}:{server.port}")
    for i in range(20):
        with connect(found[0]) as client:
            client.sendall(b"%d" % i)
            client.shutdown(socket.SHUT_WR)
            assert harness.receive_all(client) == b"%d" % i
    server.join()
    assert len({caller[0] for caller in server.callers}) == 20
    text = started.stop().expect(0).err
    assert len(re.findall(r"127\.0\.0\.1:\d+, from 198\.18\.7\.\d+:\d+, to .*: closed after .*, \d B sent, \d B received",
                          text)) == 20, text
    assert re.search(r"room for \d+ connections at once", text)


class EpollEcho(threading.Thread):
    """A server for thousands, in one thread. "bye" is answered by an end."""

    def __init__(self, backlog=4096):
        super().__init__(daemon=True)
        self.sock = socket.socket()
        self.sock.bind((OWN4, 0))
        self.sock.listen(backlog)
        self.sock.setblocking(False)
        self.port = self.sock.getsockname()[1]
        self.open, self.peers, self.ends = {}, set(), 0
        self.start()

    def run(self):
        poll = select.epoll()
        poll.register(self.sock, select.EPOLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd != self.sock.fileno():
                    self.serve(fd)
                    continue
                with harness.contextlib.suppress(BlockingIOError):
                    while True:
                        connection, address = self.sock.accept()
                        connection.setblocking(False)
                        self.peers.add(address)
                        self.open[connection.fileno()] = connection
                        poll.register(connection, select.EPOLLIN)

    def serve(self, fd):
        try:
            data = self.open[fd].recv(4096)
        except OSError:
            data = b""
        if data and data != b"bye":
            with harness.contextlib.suppress(BlockingIOError):  # who sends more than he reads
                self.open[fd].send(data)
        else:
            self.open.pop(fd).close()
            self.ends += 1


def test_thousands_at_once_again_and_again_leave_nothing():
    count, rounds = (300, 4) if harness.options.sanitized else (1000, 5)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * count + 500, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    server = EpollEcho()
    started, found = forward("--from", "198.18.8.0/22", f"0:{OWN4}:{server.port}", "--json")
    before, memory = descriptors(started.pid), []
    for _ in range(rounds):
        clients = [connect(found[0]) for _ in range(count)]
        for client in clients:
            client.sendall(b"hello")
        for client in clients:
            assert harness.receive_count(client, 5) == b"hello"
        assert descriptors(started.pid) == before + count
        # The server ends them: a peer that does so remembers it for a minute (TIME-WAIT).
        for client in clients:
            client.sendall(b"bye")
        for client in clients:
            assert client.recv(1) == b""
            client.close()
        until("the ends of all connections", lambda: descriptors(started.pid) == before)
        memory.append(memory_kib(started.pid))
    until("the server's ends", lambda: server.ends == rounds * count)
    if not harness.options.sanitized:  # address sanitizer keeps what was freed, and looks for leaks itself
        assert memory[-1] - memory[1] < 2048, memory
    figures = report(started)["connections"]
    assert figures["accepted"] == figures["established"] == rounds * count, figures
    assert figures["open"] == 0 and figures["open_most"] == count, figures


def test_when_descriptors_run_out_clients_wait():
    server = EpollEcho()

    def narrow():
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))

    started, found = forward("-c", "1000", f"127.0.0.1:0:{OWN4}:{server.port}", "--json", prepare=narrow)
    room = int(re.search(r"room for (\d+) connections at once, not 1000", started.err()).group(1))
    assert 0 < room < 100
    clients = [connect(found[0]) for _ in range(room + 20)]
    for client in clients:
        client.sendall(b"hello")
    for client in clients[:room]:
        assert harness.receive_count(client, 5) == b"hello"
    for client in clients[room:]:
        assert not select.select([client], [], [], 0)[0]
    with open(f"/proc/{started.pid}/stat") as file:
        ticks = sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    select.select([], [], [], 0.3)
    with open(f"/proc/{started.pid}/stat") as file:
        assert sum(map(int, file.read().rpartition(")")[2].split()[11:13])) - ticks < 10, "it spins"
    for client in clients[:room]:
        client.close()
    for client in clients[room:]:
        assert harness.receive_count(client, 5) == b"hello"
        client.close()
    figures = report(started)["connections"]
    assert figures["established"] == room + 20 and figures["open_most"] == room and figures["waited"] >= 1, figures


def test_a_silent_connection_is_closed_after_a_time():
    server = Server(lambda connection, _: harness.receive_all(connection))
    started, found = forward("-w", "200ms", f"0:{OWN4}:{server.port}", "--json")
    with connect(found[0]) as client:
        assert client.recv(1) == b""
        server.join()
    assert report(started)["connections"]["idle"] == 1


def test_no_answer_is_told_with_a_way_to_see_why():
    harness.need("nft")
    run("nft", "add table inet f; add chain inet f in { type filter hook input priority 0; };"
               f"add rule inet f in ip daddr {OWN4} ip saddr 198.18.0.0/15 drop")
    started, found = forward("-w", "300ms", f"0:{OWN4}:7", "--json")
    with connect(found[0]) as client:
        fails_with(lambda: client.recv(1), errno.ECONNRESET)
    started.wait_err(r"timed out \(peer trace .*\); further ones are counted")
    assert report(started)["connections"]["timeout"] == 1
    run("nft", "delete table inet f")


# ---- places ----

def test_unix_sockets():
    path = os.path.join(harness.directory, "gate")
    server = Server(harness.answer_after_eof, callers=2)
    started, found = forward(f"unix:{path}:{OWN4}:{server.port}")
    assert found == [path]
    for _ in range(2):
        with connect(path) as client:
            client.sendall(b"abc")
            client.shutdown(socket.SHUT_WR)
            assert harness.receive_all(client) == b"cba"
    server.join()
    peer("forward", f"unix:{path}:{OWN4}:1").refused(3, f"cannot listen at unix:{path}: somebody else does")
    started.stop().expect(0)
    assert not os.path.exists(path)

    started, _ = forward(f"unix:{path}:{OWN4}:1")
    started.signal(signal.SIGKILL)
    started.wait()
    until("the path is gone", lambda: not os.path.exists(path))

    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    peer("forward", f"unix:{path}:{OWN4}:1").refused(
        3, f"unix:{path} is there already, and nobody listens at it: remove it")
    assert os.path.exists(path)
    os.unlink(path)


def test_where_it_listens():
    started, found = forward(f"*:0:{OWN4}:1", f"{OWN4}:0:{OWN4}:2", f"[::1]:0:{OWN4}:3", f"localhost:0:{OWN4}:4")
    assert [place[0] for place in found[:4]] == ["0.0.0.0", "::", OWN4, "::1"], found
    assert {place[0] for place in found[4:]} <= {"127.0.0.1", "::1"} and len(found) > 4
    taken = found[2][1]
    peer("forward", f"{OWN4}:{taken}:{OWN4}:1").refused(3, f"cannot listen at {OWN4}:{taken}: somebody else does")
    started.stop().expect(0)
    run("ip", "addr", "del", "::1/128", "dev", "lo")
    started, found = forward(f"0:{OWN4}:1")
    assert [place[0] for place in found] == ["127.0.0.1"], found
    started.stop().expect(0)
    run("ip", "addr", "add", "::1/128", "dev", "lo")


test_where_it_listens = harness.changes_machine(test_where_it_listens)


def test_words_that_are_wrong():
    grammar = r"it is \[LISTEN:\]PORT:HOST:PORT or unix:PATH:HOST:PORT"
    for words, err in (((), "is missing"), (("80",), grammar), (("80:10.9.0.1",), grammar),
                       (("x:10.9.0.1:80",), "the port to listen at is none.*" + grammar),
                       (("99999:10.9.0.1:80",), "the port to listen at is none"),
                       (("80:10.9.0.1:0",), "no port"), (("80:10.9.0.1:x",), "no port"),
                       (("unix::10.9.0.1:80",), "the path is missing"),
                       (("unix:" + "p" * 200 + ":10.9.0.1:80",), "107 bytes at the most"),
                       (("-R", "x:10.9.0.1:80"), "the peer's port is none"),
                       (("-R", "nobody:80:10.9.0.1:80"), "PEER is no address"),
                       (("-u", "unix:/x:10.9.0.1:80"), "-u goes with addresses and ports"),
                       (("-u", "--proxy-protocol", "v1", "80:10.9.0.1:80"), "--proxy-protocol needs TCP"),
                       (("-c", "0", "80:10.9.0.1:80"), "out of range"),
                       (("--json", "--pcap", "-", "80:10.9.0.1:80"), "both need standard output"),
                       (("--manner", "reset:2%", "80:10.9.0.1:80"), "--manner")):
        peer("forward", *words).refused(2, err)
    peer("forward", "--from", PEER4, "--manner", "roam@1s", f"0:{OWN4}:80").refused(2, "--manner")
    peer("forward", "0:192.0.2.99:80").refused(3, "192.0.2.99 is no address of this machine")
    peer("forward", f"0:{OWN4}:80", "0:192.0.2.99:80").refused(3, "192.0.2.99 is no address of this machine")
    peer("forward", f"0:{OWN4}:80", f"0:[{OWN6}]:80").refused(2, "another family than the peers")
    peer("forward", "--from", PEER4, "-R", f"198.18.9.9:80:{OWN4}:80").refused(2, "198.18.9.9 is none of the peers")


# ---- -R ----

def test_callers_of_peers_reach_kernel_sockets():
    server = Server(harness.answer_after_eof, "127.0.0.1", callers=3)
    path = os.path.join(harness.directory, "service")
    os.chmod(harness.directory, 0o777)
    local = socket.socket(socket.AF_UNIX)
    local.bind(path)
    os.chmod(path, 0o777)
    local.listen()
    started, found = forward("-v", "--from", "198.18.7.1-198.18.7.2", "-R", f"198.18.7.1:80:127.0.0.1:{server.port}",
                             "-R", f"81:127.0.0.1:{server.port}", "-R", f"*:82:unix:{path}")
    assert found == [("198.18.7.1", 80), ("198.18.7.1", 81), ("198.18.7.1", 82)], found
    for place in (("198.18.7.1", 80), ("198.18.7.1", 81), ("198.18.7.2", 81)):
        with connect(place) as client:
            client.sendall(b"abc")
            client.shutdown(socket.SHUT_WR)
            assert harness.receive_all(client) == b"cba"
    fails_with(lambda: connect(("198.18.7.2", 80)), errno.ECONNREFUSED)
    server.join()
    assert {caller[0] for caller in server.callers} == {"127.0.0.1"}
    with connect(("198.18.7.2", 82)) as client:
        connection, _ = local.accept()
        with connection:
            client.sendall(b"by a path")
            assert connection.recv(100) == b"by a path"
            connection.sendall(b"x" * 200000)
            connection.shutdown(socket.SHUT_WR)
            assert harness.receive_all(client) == b"x" * 200000
    local.close()
    # The server is gone now: those who call are reset.
    is_reset(("198.18.7.1", 80))
    text = started.stop().expect(0, err="1 refused").err
    assert re.search(r"[\d.]+:\d+, to 198\.18\.7\.1:80, to 127\.0\.0\.1:\d+: closed after", text), text


def test_both_directions_at_once_and_over_ipv6():
    server = Server(harness.answer_after_eof, OWN6, callers=2)
    started, found = forward("--from", PEER6, f"0:[{OWN6}]:{server.port}", "-R", f"[{PEER6}]:80:[{OWN6}]:{server.port}")
    for place in (found[0], (PEER6, 80)):
        with connect(place) as client:
            client.sendall(b"abc")
            client.shutdown(socket.SHUT_WR)
            assert harness.receive_all(client) == b"cba"
    server.join()
    assert [caller[0] for caller in server.callers] == [PEER6, OWN6]
    started.stop().expect(0)


# ---- datagrams ----

def udp(addr="127.0.0.1"):
    sock = socket.socket(harness.family_of(addr), socket.SOCK_DGRAM)
    sock.settimeout(harness.LIMIT_S)
    return sock


def test_each_source_of_datagrams_is_another_peer():
    for own, from_, loop in ((OWN4, PEERS, "127.0.0.1"), (OWN6, "2001:2:0:7::1-2001:2:0:7::9", "::1")):
        echo = harness.UdpEcho(own)
        target = f"[{own}]" if ":" in own else own
        started, found = forward("-u", "--from", from_, f"0:{target}:{echo.port}", "--json")
        place = next(place for place in found if place[0] == loop)
        clients = [udp(own) for _ in range(5)]
        for client in clients:
            client.connect(place)
            for data in (b"one", b"", b"x" * 9000, b"three"):
                client.send(data)
                assert client.recv(65536) == data
        assert len(set(echo.callers)) == 5 and len({caller[0] for caller in echo.callers}) == 5, echo.callers
        figures = report(started)
        assert figures["sessions"]["accepted"] == figures["sessions"]["open"] == 5, figures
        assert figures["datagrams"] == {"sent": 20, "received": 20, "dropped": 0}, figures
        for client in clients:
            client.close()


def test_answers_come_from_where_the_datagram_was_sent_to():
    echo = harness.UdpEcho()
    started, found = forward("-u", f"*:0:{OWN4}:{echo.port}")
    for addr in ("127.0.0.1", "127.0.0.7", OWN4):
        with udp() as client:
            client.connect((addr, found[0][1]))
            client.send(b"who are you?")
            assert client.recv(100) == b"who are you?"
    with udp(OWN6) as client:
        client.connect((OWN6, found[1][1]))
        client.send(b"and you?")
        assert client.recv(100) == b"and you?"
    started.stop().expect(0, err="4 sessions, at most 4 at once, 4 datagrams sent, 44 B, 4 received, 44 B")


def test_sessions_end_in_silence_by_icmp_and_when_there_are_too_many():
    echo = harness.UdpEcho()
    started, found = forward("-u", "-v", "-w", "100ms", f"0:{OWN4}:{echo.port}", "--json")
    with udp() as client:
        client.connect(found[0])
        client.send(b"x")
        assert client.recv(100) == b"x"
        started.wait_err("silent for too long")
        client.send(b"x")
        assert client.recv(100) == b"x"
    figures = report(started)
    assert figures["sessions"]["accepted"] == 2 and figures["sessions"]["idle"] >= 1, figures
    assert len(set(echo.callers)) == 2

    nobody, port = harness.listening(OWN4, socket.SOCK_DGRAM)
    nobody.close()
    started, found = forward("-u", f"0:{OWN4}:{port}", "--json")
    with udp() as client:
        client.connect(found[0])
        client.send(b"x")
        started.wait_err("unreachable; further ones are counted")
    figures = report(started)["sessions"]
    assert figures["unreachable"] == 1 and figures["open"] == 0, figures

    started, found = forward("-u", "-c", "3", f"0:{OWN4}:{echo.port}", "--json")
    clients = [udp() for _ in range(5)]
    for client in clients:
        client.connect(found[0])
        client.send(b"x")
        assert client.recv(100) == b"x"
        clients[0].send(b"I am here")
        assert clients[0].recv(100) == b"I am here"
    figures = report(started)["sessions"]
    assert figures == {"accepted": 5, "open": 3, "open_most": 3, "idle": 0, "unreachable": 0, "crowded_out": 2,
                       "failed": 0}, figures
    for client in clients:
        client.close()


def test_datagrams_to_peers_reach_a_kernel_socket():
    echo = harness.UdpEcho("127.0.0.1")
    started, found = forward("-u", "--from", PEERS, "-R", f"53:127.0.0.1:{echo.port}", "--json")
    for _ in range(3):
        with udp() as client:
            client.connect(("198.18.7.3", 53))
            for data in (b"a", b"", b"y" * 20000):
                client.send(data)
                assert client.recv(65536) == data
    assert found and len(set(echo.callers)) == 3
    figures = report(started)
    assert figures["sessions"]["accepted"] == 3 and figures["datagrams"]["received"] == 9, figures


# ---- real programs ----

def page_server(root):
    """python's own web server; its port."""
    process = subprocess.Popen(["python3", "-u", "-m", "http.server", "--bind", OWN4, "-d", root, "0"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return process, int(re.search(r"port (\d+)", process.stdout.readline()).group(1))


def test_curl_and_siege_and_ab():
    harness.need("curl")
    root = os.path.join(harness.directory, "www")
    os.mkdir(root)
    with open(os.path.join(root, "page"), "wb") as file:
        file.write(os.urandom(3 << 20))
    server, port = page_server(root)
    started, found = forward("--from", PEERS, f"0:{OWN4}:{port}")
    url = f"http://127.0.0.1:{found[0][1]}/page"
    got = os.path.join(root, "got")
    run("curl", "-sf", "-o", got, url)
    run("cmp", got, os.path.join(root, "page"))
    if shutil.which("ab"):
        assert re.search(r"Failed requests: +0\n", run("ab", "-q", "-n", "40", "-c", "4", url))
    if shutil.which("siege"):
        text = run("siege", "-b", "-c", "4", "-r", "5", url, env={**os.environ, "HOME": harness.directory})
        assert re.search(r"availability\W+100.00", text, re.I), text
    started.stop().expect(0)
    server.terminate()
    server.wait()


def test_iperf3_tcp_and_udp():
    harness.need("iperf3")
    # Datagrams have a TCP connection beside them, at the same port.
    started, found = forward("--from", PEER4, f"127.0.0.1:0:{OWN4}:5201")
    port = found[0][1]
    beside, _ = forward("-u", "--from", "198.18.7.2", f"127.0.0.1:{port}:{OWN4}:5201")
    for more in (["-n", "20M", "-P", "3"], ["-n", "20M", "-R"], ["-n", "20M", "--bidir"],
                 ["-u", "-b", "20M", "-n", "2M"], ["-u", "-b", "20M", "-n", "2M", "-R"]):
        server = subprocess.Popen(["iperf3", "-s", "-1", "-B", OWN4, "-p", "5201"], stdout=subprocess.DEVNULL)
        until("iperf3 listens", lambda: run("ss", "-Htln", f"src {OWN4}:5201"))
        text = run("iperf3", "-c", "127.0.0.1", "-p", str(port), *more)
        assert "receiver" in text, text
        server.wait(harness.LIMIT_S)
    started.stop().expect(0)
    beside.stop().expect(0, err=r"2 sessions, .* [1-9]\d+ datagrams sent, .*, [1-9]\d+ received")


def test_the_program_of_isolate_is_reached_from_outside():
    page = "import http.server as s; s.test(HandlerClass=s.SimpleHTTPRequestHandler, port=80, bind='192.0.2.80')"
    started = Peer("forward", "--isolate", "--from", PEER4, "0:192.0.2.80:80", "--", "python3", "-c", page)
    started.wait_err("listening at ")
    port = places(started.err())[0][1]
    with connect(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert harness.receive_all(client).startswith(b"HTTP/1.0 200")
    started.stop().expect(0)


def test_links_and_headers_apply():
    heads = []

    def note(connection, _address):
        heads.append(harness.receive_all(connection))

    server = Server(note)
    started, found = forward("--proxy-protocol", "v1", "--link", "delay 20ms", "--from", PEER4,
                             f"0:{OWN4}:{server.port}")
    start = harness.time.monotonic()
    with connect(found[0]) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert harness.receive_all(client) == b""
    assert harness.time.monotonic() - start > 0.08  # two round trips of 40 ms
    server.join()
    assert re.fullmatch(rb"PROXY TCP4 198\.18\.7\.1 10\.9\.0\.1 \d+ \d+\r\nhello", heads[0]), heads
    started.stop().expect(0)


# ---- the end ----

def test_a_signal_closes_what_is_open_in_order():
    ends = []

    def note(connection, _address):
        connection.sendall(b"here")
        ends.append(connection.recv(1))

    server = Server(note)
    started, found = forward(f"0:{OWN4}:{server.port}")
    with connect(found[0]) as client:
        assert harness.receive_count(client, 4) == b"here"
        started.stop().expect(0, err="1 connection accepted, 1 established.*\n.*1 were open at the end")
        assert client.recv(1) == b""
    server.join()
    assert ends == [b""]


def test_killed_at_any_moment_it_leaves_nothing():
    rounds = 4 if harness.options.sanitized else 12
    rng = random.Random(7)
    path = os.path.join(harness.directory, "gate")
    for _ in range(rounds):
        server = EpollEcho()
        started = Peer("forward", "--from", PEERS, f"0:{OWN4}:{server.port}", f"unix:{path}:{OWN4}:{server.port}")
        if rng.random() < 0.8:
            started.wait_err("listening at unix")
            clients = []
            for _ in range(rng.randrange(1, 50)):
                clients.append(connect(rng.choice(places(started.err()))))
                with harness.contextlib.suppress(BlockingIOError):
                    clients[-1].send(b"x" * rng.randrange(1, 100000), socket.MSG_DONTWAIT)
            started.signal(signal.SIGKILL)
            for client in clients:
                with harness.contextlib.suppress(OSError):
                    while client.recv(1 << 16):
                        pass
                client.close()
        else:
            started.signal(signal.SIGKILL)
        started.wait()
        until("the path is gone", lambda: not os.path.exists(path))
        until("the device is gone", lambda: not harness.peer_links())


if __name__ == "__main__":
    harness.main()
