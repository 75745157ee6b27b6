# SPDX-License-Identifier: BSD-3-Clause
"""--wire: peers on the wire of eth0. Its other end lies in a namespace of its own, with the gateway's
addresses and a capture of every frame. As root the tcx programs do it, as an ordinary user, who may
not load any, u32 and mirred; whoever runs this, the tests of the other are run as `nobody`."""
import collections
import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading

import harness
from harness import OWN4, OWN6, PEER4, PEER6, Peer, peer, run, until
from servers import Nginx

GATEWAY4, GATEWAY6 = "10.9.0.254", "2001:db8:9::fe"
INSIDE4, INSIDE6 = "10.9.0.77", "2001:db8:9::77"
SO_BINDTODEVICE, SOL_IPV6_V6ONLY, ETH_P_ALL = 25, 26, 3


# ---- the real wire ----

class Wire:
    """The far end of eth0: a process in a namespace of its own, and all frames that cross there."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec sleep 600"],
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()
        run("ip", "link", "set", "wire", "netns", str(self.process.pid))
        self.inside("ip", "link", "set", "wire", "addrgenmode", "none")
        self.inside("ip", "addr", "add", f"{GATEWAY4}/24", "dev", "wire")
        self.inside("ip", "addr", "add", f"{GATEWAY6}/64", "dev", "wire", "nodad")
        self.inside("ip", "link", "set", "wire", "up")
        until("the carrier of eth0", lambda: "NO-CARRIER" not in run("ip", "link", "show", "eth0"))
        self.capture = self.socket(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
        self.capture.bind(("wire", 0))
        self.capture.setblocking(False)
        self.capture.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)

    def inside(self, *command):
        return run("nsenter", "-t", str(self.process.pid), "-n", *command)

    def socket(self, make):
        """A socket of the other namespace: made by a thread that goes there."""
        made = []

        def work():
            with open(f"/proc/{self.process.pid}/ns/net") as there:
                if harness.libc.setns(there.fileno(), harness.CLONE_NEWNET) == 0:
                    made.append(make())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if not made:
            raise OSError(ctypes.get_errno(), "setns")
        return made[0]

    def frames(self):
        """All frames since the last call. Packet sockets may lose some: that is an error."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.capture.recv(70000))
        lost = struct.unpack("II", self.capture.getsockopt(263, 6, 8))[1]  # PACKET_STATISTICS
        assert lost == 0, f"{lost} frames were not captured"
        return found

    def check_silent_about(self, *addrs):
        frames = self.frames()
        for addr in addrs:
            raw = socket.inet_pton(harness.family_of(addr), addr)
            named = [frame.hex() for frame in frames if raw in frame[:110]]
            assert not named, f"{addr} on the real wire: {named}"
        return frames

    def end(self):
        self.capture.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def real_wire():
    wire = Wire()
    try:
        yield wire
    finally:
        wire.end()


class BoundServer:
    """Echoes what callers on eth0 send, and no others."""

    def __init__(self, addr):
        self.sock = socket.socket(harness.family_of(addr), socket.SOCK_STREAM)
        if ":" in addr:
            self.sock.setsockopt(socket.IPPROTO_IPV6, SOL_IPV6_V6ONLY, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"eth0\0")
        self.sock.bind(("::" if ":" in addr else "0.0.0.0", 0))
        self.sock.listen(64)
        self.start(addr)

    @classmethod
    def of(cls, sock, addr):
        server = cls.__new__(cls)
        server.sock = sock
        server.start(addr)
        return server

    def start(self, addr):
        self.addr, self.port, self.callers = addr, self.sock.getsockname()[1], []
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        with contextlib.suppress(OSError):
            while True:
                connection, address = self.sock.accept()
                self.callers.append(address[0])
                threading.Thread(target=self.echo, args=(connection, address), daemon=True).start()

    @staticmethod
    def echo(connection, address):
        with connection, contextlib.suppress(ConnectionError):  # callers that are killed never end
            harness.echo_all(connection, address)


def card_state():
    """What a wire could leave on eth0."""
    text = run("tc", "qdisc", "show", "dev", "eth0")
    for hook in ("ingress", "egress"):
        text += run("tc", "filter", "show", "dev", "eth0", hook, check=False)
    return text + "\n".join(line for line in run("ip", "neigh", "show", "dev", "eth0").splitlines()
                            if GATEWAY4 not in line and GATEWAY6 not in line) + tcx_programs()


def tcx_programs():
    """How many hang on eth0's egress: the kernel's own answer."""
    attr = bytearray(128)
    struct.pack_into("II", attr, 0, socket.if_nametoindex("eth0"), 47)  # BPF_TCX_EGRESS
    buffer = (ctypes.c_char * len(attr)).from_buffer(attr)
    if harness.libc.syscall(321 if os.uname().machine == "x86_64" else 280, 16, buffer, len(attr)) < 0:
        return ""  # no permission, or no tcx
    return f"\n{struct.unpack_from('I', attr, 16)[0]} programs"


def connect(server, peer_addr, *more):
    result = peer("connect", "--wire", "eth0", "--from", peer_addr, *more, server.addr, server.port,
                  data=b"over the wire")
    result.expect(0, lines=0)
    assert result.out == b"over the wire", result
    assert server.callers[-1] == peer_addr, server.callers


def ping_gateway():
    assert "1 received" in run("ping", "-c", "1", "-W", "5", GATEWAY4)


# ---- as far as the user may: tcx for root, tc for others ----

def all_families(wire):
    for own, inside, outside in ((OWN4, INSIDE4, PEER4), (OWN6, INSIDE6, PEER6)):
        server = BoundServer(own)
        for addr in (inside, outside):
            connect(server, addr)
        server.sock.close()
    ping_gateway()
    frames = wire.check_silent_about(INSIDE4, PEER4, INSIDE6, PEER6)
    gateway = socket.inet_aton(GATEWAY4)
    assert any(gateway in frame for frame in frames), "other traffic was to be seen"


def as_ordinary_user(test):
    """Runs the test once more, by this file, as `nobody` in a user namespace."""
    harness.need_root()
    harness.own_node()
    place = os.path.join(harness.directory, "nobody")
    os.mkdir(place)
    os.chown(place, harness.NOBODY, harness.NOBODY)
    for name in ("harness.py", "servers.py", "test_wire.py"):  # where everybody may read them
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name)) as source:
            with open(os.path.join(place, name), "w") as copy:
                copy.write(source.read())
    done = subprocess.run(["/usr/bin/python3", "-B", "test_wire.py", "--peer", harness.PEER, "--only", test],
                          cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          preexec_fn=harness.as_nobody, env={**os.environ, "TMPDIR": place})
    if done.returncode == harness.SKIPPED:
        raise harness.Skip(done.stdout)
    assert done.returncode == 0, done.stdout


@harness.changes_machine
def test_a_server_bound_to_eth0_is_reached_and_the_wire_sees_nothing():
    with real_wire() as wire:
        before = card_state()
        all_families(wire)
        assert card_state() == before


def test_the_same_as_an_ordinary_user():
    as_ordinary_user("test_a_server_bound_to_eth0")


@harness.changes_machine
def test_workers_share_the_wire():
    with real_wire() as wire, Nginx() as nginx:
        done = 0
        for workers in (2, 5):
            for url, peers in ((f"http://{OWN4}/", "198.18.0.0/24"), (f"http://{OWN4}/", "10.9.0.64-10.9.0.95"),
                               (f"http://[{OWN6}]/", "2001:2::/120")):
                report = json.loads(peer("soak", "--json", "--wire", "eth0", "--workers", workers, "--from", peers, url,
                                         "-c", 10, "-n", 150, "--no-keep-alive", limit=120).expect(0).out)
                assert report["requests"]["completed"] == 150 and report["errors"]["total"] == 0, report
                assert report["workers"]["count"] == workers and report["device"]["wire"] == "eth0", report["workers"]
                books = collections.Counter(nginx.until_lines(done + 150)[done:])
                assert sum(books.values()) == 150 and len(books) >= min(150, report["peers"]), (peers, books)
                done += 150
        wire.check_silent_about(PEER4)


def test_workers_share_the_wire_of_an_ordinary_user():
    as_ordinary_user("test_workers_share_the_wire")


@harness.changes_machine
def test_json_tells_by_what_it_is_done():
    with real_wire():
        result = peer("ping", "-c", "1", "--json", "--wire", "eth0", "--from", INSIDE4, OWN4).expect(0)
        device = json.loads(result.out)["device"]
        assert device["wire"] == "eth0" and device["kind"] == "tap" and device["mtu"] == 1500, device
        assert device["wire_by"] == ("tcx" if harness.options.outer_uid == 0 else "tc"), device


def test_filters_are_used_where_programs_are_refused():
    as_ordinary_user("test_json_tells")


@harness.changes_machine
def test_a_program_calls_a_peer_on_the_wire():
    with real_wire() as wire:
        for addr, family in ((INSIDE4, 4), (PEER4, 4), (INSIDE6, 6), (PEER6, 6)):
            started = Peer("listen", "--wire", "eth0", "--from", addr, "--serve", "echo", 7000)
            started.wait_err("listening at .* on the wire of eth0")
            with socket.create_connection((addr, 7000), timeout=harness.LIMIT_S) as sock:
                sock.sendall(b"hello")
                assert harness.receive_count(sock, 5) == b"hello", family
            started.stop().expect(0)
        wire.check_silent_about(INSIDE4, PEER4, INSIDE6, PEER6)


@harness.changes_machine
def test_many_peers_in_the_subnet_do_not_fill_the_neighbour_table():
    with real_wire() as wire:
        run("ip", "addr", "add", "10.20.0.1/16", "dev", "eth0")
        server = BoundServer("10.20.0.1")
        before = card_state()
        started = Peer("soak", "--wire", "eth0", "--from", "10.20.16.0/20", "-c", "100", "-d", "30s", "--workload",
                       "echo", f"tcp://10.20.0.1:{server.port}")
        until("a neighbour", lambda: "10.20.31.254" in run("ip", "neigh"))
        assert run("ip", "neigh", "show", "nud", "permanent").count("10.20.") == 4094
        until("a caller", lambda: server.callers)
        started.stop()
        until("eth0 as before", lambda: card_state() == before)
        frames = wire.frames()
        assert not [frame for frame in frames if bytes((10, 20)) == frame[30:32] and frame[32] & 0xf0 == 16]


@harness.changes_machine
def test_broadcasts_of_the_subnet_go_out_as_ever():
    with real_wire() as wire:
        run("ip", "addr", "add", "10.20.0.1/16", "dev", "eth0", "broadcast", "10.20.255.255")
        started = Peer("listen", "--wire", "eth0", "--from", "10.20.128.0/17", 7000)
        started.wait_err("listening")
        wire.frames()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.sendto(b"to all of you", ("10.20.255.255", 9))
        until("the broadcast on the wire", lambda: any(b"to all of you" in frame for frame in wire.frames()))
        started.stop().expect(0)


@harness.changes_machine
def test_trace_sees_the_card():
    with real_wire():
        server = BoundServer(OWN4)
        result = peer("trace", "--wire", "eth0", "--from", INSIDE4, OWN4, server.port)
        result.expect(0, out=r"device +eth0")
        result.expect(0, out=rf"socket .*on device eth0")


class Iperf:
    """Other traffic through eth0, to the gateway, for `seconds`."""

    def __init__(self, wire, seconds):
        harness.need("iperf3")
        self.far = subprocess.Popen(["nsenter", "-t", str(wire.process.pid), "-n", "iperf3", "-s", "-1", "-p", "5201"],
                                    stdout=subprocess.DEVNULL)
        until("iperf3", lambda: ":5201" in wire.inside("ss", "-Hltn"))
        self.near = subprocess.Popen(["iperf3", "-c", GATEWAY4, "-t", str(seconds), "-J"], stdout=subprocess.PIPE)

    def flows(self):
        return self.near.poll() is None

    def check(self):
        report = json.loads(self.near.communicate()[0])
        self.far.wait()
        assert "error" not in report, report["error"]
        assert all(interval["sum"]["bytes"] > 0 for interval in report["intervals"]), report["intervals"]


@harness.changes_machine
def test_other_traffic_flows_before_meanwhile_and_after():
    with real_wire() as wire:
        Iperf(wire, 1).check()
        server = BoundServer(OWN4)
        times, meanwhile = 0, Iperf(wire, 3)
        while meanwhile.flows():
            connect(server, INSIDE4)
            kill_one_who_talks(server, PEER4)
            times += 1
        meanwhile.check()
        assert times > 0
        until("the end of the guardian", lambda: not harness.guardians())
        Iperf(wire, 1).check()


def test_other_traffic_of_an_ordinary_user_flows():
    as_ordinary_user("test_other_traffic_flows")


@harness.changes_machine
def test_the_card_of_another_namespace():
    with real_wire() as wire:
        wire.inside("ip", "route", "add", "default", "via", OWN4)
        sock = wire.socket(lambda: harness.listening(GATEWAY4)[0])
        sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"wire\0")
        server = BoundServer.of(sock, GATEWAY4)
        where = ("--netns", wire.process.pid, "--wire", "wire")
        for addr in (INSIDE4, PEER4):
            result = peer("connect", *where, "--from", addr, GATEWAY4, server.port, data=b"there").expect(0)
            assert result.out == b"there" and server.callers[-1] == addr
        assert "lladdr" not in "".join(line for line in wire.inside("ip", "neigh").splitlines(True)
                                       if OWN4 not in line and OWN6 not in line)


# ---- the end, whatever it is ----

def sockets_of(*addrs):
    return [line for line in run("ss", "-Htan").splitlines()
            if not line.startswith("TIME-WAIT") and any(f"{addr}:" in line for addr in addrs)]


class Before:
    """What must be again when the last guardian has gone."""

    def __init__(self):
        self.card, self.machine = card_state(), harness.machine_state()

    def check_again(self, wire, *addrs):
        harness.await_guardians()
        until("eth0 as before", lambda: card_state() == self.card)
        harness.assert_same_state(self.machine, harness.machine_state())
        # Nothing is there that could send to a peer any more, so what has not come does not come.
        assert not sockets_of(*addrs), sockets_of(*addrs)
        ping_gateway()
        wire.check_silent_about(*addrs)


def kill_one_who_talks(server, addr):
    """Its last bytes may never have been acknowledged. The next one of that address comes at once."""
    for _ in range(2):
        started = Peer("connect", "-v", "--wire", "eth0", "--from", addr, server.addr, server.port)
        started.wait_err("connected")
        started.send(b"to the living", close=False)
        started.wait_out(b"to the living")
        assert harness.guardians()
        started.signal(signal.SIGKILL)
        started.wait()


def kill_many_who_talk(server, addrs):
    callers = len(server.callers)
    started = Peer("soak", "--wire", "eth0", "--from", addrs, "-c", "50", "-d", "60s", "--workload", "echo",
                   f"tcp://{server.addr}:{server.port}")
    until("50 callers", lambda: len(server.callers) >= callers + 50)
    started.signal(signal.SIGKILL)
    started.wait()


@harness.changes_machine
def test_a_kill_leaves_the_card_as_it_was():
    with real_wire() as wire:
        ping_gateway()
        before = Before()
        for own, inside, outside in ((OWN4, INSIDE4, PEER4), (OWN6, INSIDE6, PEER6)):
            server = BoundServer(own)
            for addr in (inside, outside):
                kill_one_who_talks(server, addr)
            server.sock.close()
        before.check_again(wire, INSIDE4, PEER4, INSIDE6, PEER6)


def test_a_kill_of_an_ordinary_users_leaves_the_card_as_it_was():
    as_ordinary_user("test_a_kill_leaves")


@harness.changes_machine
def test_a_kill_amid_traffic_lets_nothing_out():
    with real_wire() as wire:
        before = Before()
        server = BoundServer(OWN4)
        for addrs in ("10.9.0.64/29", "198.18.7.0/29"):
            kill_many_who_talk(server, addrs)
        server.sock.close()
        before.check_again(wire, *(f"{net}.{low + i}" for net, low in (("10.9.0", 64), ("198.18.7", 0)) for i in range(8)))


def test_a_kill_of_an_ordinary_users_amid_traffic():
    as_ordinary_user("test_a_kill_amid")


@harness.changes_machine
def test_only_connections_to_peers_are_ended():
    with real_wire() as wire:
        before = Before()
        far, port = wire.socket(lambda: harness.listening(GATEWAY4))
        others = socket.create_connection((GATEWAY4, port), timeout=harness.LIMIT_S)
        accepted = far.accept()[0]
        both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
        both.settimeout(harness.LIMIT_S)
        started = Peer("connect", "-v", "--wire", "eth0", "--from", INSIDE4, OWN4, both.getsockname()[1])
        mapped, address = both.accept()
        assert address[0] == f"::ffff:{INSIDE4}", address
        flood = Peer("soak", "--wire", "eth0", "--from", PEER4, "--manner", "syn-flood:1000/s", "-d", "60s",
                     f"tcp://{OWN4}:{both.getsockname()[1]}")
        until("half-open connections", lambda: run("ss", "-Htan", "state", "syn-recv"))
        for process in (started, flood):
            process.signal(signal.SIGKILL)
            process.wait()
        mapped.settimeout(harness.LIMIT_S)
        try:
            assert mapped.recv(1) == b"", "nothing was sent"
        except ConnectionError:  # by a reset or by the kernel's own abort
            pass
        before.check_again(wire, INSIDE4, PEER4)
        others.sendall(b"undisturbed")
        assert harness.receive_count(accepted, 11) == b"undisturbed"


def test_only_an_ordinary_users_connections_to_peers_are_ended():
    as_ordinary_user("test_only_connections")


@harness.changes_machine
def test_what_peers_left_open_ends_with_them():
    with real_wire() as wire:
        before = Before()
        server = BoundServer(OWN4)
        started = Peer("soak", "--wire", "eth0", "--from", PEER4, "-c", "20", "-d", "60s", "--manner", "vanish@100ms",
                       "--workload", "echo", f"tcp://{OWN4}:{server.port}")
        until("a second try to reach one", lambda: re.search(r"timer:\(on,[^,]+,[1-9]", run("ss", "-Htano")))
        started.stop()
        server.sock.close()
        before.check_again(wire, PEER4)


FOREIGN_FILTER = ("tc", "filter", "add", "dev", "eth0", "egress", "protocol", "ip", "prio", "7", "u32", "match", "ip",
                  "dst", "192.0.2.99", "action", "mirred", "egress", "redirect", "dev", "lo")


@harness.changes_machine
def test_somebodys_clsact_and_filters_stay():
    with real_wire() as wire:
        server = BoundServer(OWN4)
        run("tc", "qdisc", "add", "dev", "eth0", "clsact")
        for prepare in ((), FOREIGN_FILTER):
            if prepare:
                run(*prepare)
            before = Before()
            kill_one_who_talks(server, INSIDE4)
            before.check_again(wire, INSIDE4)
        assert "clsact" in card_state()


def test_somebodys_clsact_and_filters_stay_with_filters():
    as_ordinary_user("test_somebodys")


@harness.changes_machine
def test_the_last_of_several_takes_the_qdisc_away():
    with real_wire() as wire:
        before = Before()
        addrs = ["10.9.0.77", "10.9.0.78", "10.9.0.79"]

        def listener(addr):
            started = Peer("listen", "--wire", "eth0", "--from", addr, "--serve", "echo", 7000)
            started.wait_err("listening")
            return started

        def check(*at):
            for addr in at:
                with socket.create_connection((addr, 7000), timeout=harness.LIMIT_S) as sock:
                    sock.sendall(b"hello")
                    assert harness.receive_count(sock, 5) == b"hello", addr

        one, two = listener(addrs[0]), listener(addrs[1])
        one.signal(signal.SIGKILL)  # it made the qdisc
        one.wait()
        until("the end of one guardian", lambda: len(harness.guardians()) == 1)
        check(addrs[1])
        three = listener(addrs[2])  # it learns from the second that one of us made it
        two.stop().expect(0)
        check(addrs[2])
        three.stop().expect(0)
        before.check_again(wire, *addrs)

        one, two = listener(addrs[0]), listener(addrs[1])
        by_filters = "clsact" in card_state()
        if by_filters:  # somebody moves in, so it stays
            run(*FOREIGN_FILTER)
        for process in (one, two):
            process.signal(signal.SIGKILL)
        for process in (one, two):
            process.wait()
        until("the end of the guardians", lambda: not harness.guardians())
        left = run("tc", "filter", "show", "dev", "eth0", "egress", check=False)
        assert ("c0000263" in left) == by_filters and left.count("match") == by_filters, left


def test_the_last_of_several_ordinary_users_takes_the_qdisc_away():
    as_ordinary_user("test_the_last_of_several_takes")


# ---- doctor ----

def doctor(status, *args, nobody=False):
    """{name: check} of the machine's and the wire's checks."""
    result = peer("doctor", "--json", "--wire", *args, nobody=nobody).expect(status, lines=0)
    return {check["name"]: check for check in json.loads(result.out)["checks"]}


def wire_problem(text, *args):
    problems = [check for check in doctor(3, *args).values() if check["status"] == "problem"]
    assert len(problems) == 1 and problems[0]["name"].startswith("wire"), problems
    assert re.search(text, f"{problems[0]['text']}; {problems[0].get('mend')}"), problems


@harness.changes_machine
def test_doctor_finds_that_peers_may_be_on_the_wire():
    with real_wire() as wire:
        server = BoundServer(OWN4)
        before = Before()
        for addr in (INSIDE4, PEER4, INSIDE6, PEER6):
            checks = doctor(0, "eth0", "--from", addr)
            assert [checks[name]["status"] for name in ("wire", "wire-by", "wire-peers")] == ["ok"] * 3, checks
            assert ("tcx) may" if harness.options.outer_uid == 0 else "filters of tc") in checks["wire-by"]["text"]
            assert ("gateway" in checks["wire-peers"]["text"]) == (addr in (PEER4, PEER6)), checks
            assert "routes" not in checks, checks
        result = peer("doctor", "--wire", "eth0", "--from", INSIDE4, OWN4, server.port).expect(0, lines=0)
        for line in (r"ok +wire-peers ", r"ok +ingress +eth0: .*0 tc filters", r"ok +route +eth0: local",
                     r"ok +socket .*on device eth0", r"ok +target "):
            result.expect(0, out=line)
        assert not server.callers
        server.sock.close()
        before.check_again(wire, INSIDE4, PEER4, INSIDE6, PEER6)


def test_doctor_finds_filters_for_an_ordinary_user():
    as_ordinary_user("test_doctor_finds_that")


@harness.changes_machine
def test_doctor_finds_what_stands_in_the_way_of_a_wire():
    wire_problem('no interface "nosuch"', "nosuch")
    wire_problem("lo is loopback", "lo")
    wire_problem(f"{GATEWAY4} is the gateway .*--from", "eth0", "--from", GATEWAY4)
    wire_problem(f"{OWN4} is this machine's own", "eth0", "--from", "10.9.0.0/28")
    wire_problem("nonsense", "eth0", "--from", "nonsense")
    run("ip", "neigh", "add", "10.9.0.50", "lladdr", "02:00:00:00:00:50", "dev", "eth0", "nud", "reachable")
    wire_problem("10.9.0.50 is a neighbour .*ip neigh del", "eth0", "--from", "10.9.0.48/29")
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "add", "port0", "type", "veth", "peer", "name", "port1")
    run("ip", "link", "set", "port0", "master", "br0", "up")
    wire_problem("port0 is a port of the bridge br0.*--wire br0", "port0")
    wire_problem("port1 is down.*ip link set port1 up", "port1")
    run("ip", "link", "del", "port0")
    run("ip", "link", "del", "br0")
    started = Peer("listen", "--wire", "eth0", "--from", INSIDE4, 7000)
    started.wait_err("listening")
    wire_problem(f"another process has a peer at {INSIDE4}", "eth0", "--from", INSIDE4)
    started.stop().expect(0)
    run("ip", "route", "del", "default")
    wire_problem("no route to 198.18", "eth0")


def test_doctor_misses_permission_for_a_wire():
    harness.need_root()
    harness.own_node()
    checks = doctor(3, "eth0", nobody=True)
    assert checks["wire"]["status"] == "ok" and checks["wire-peers"]["status"] == "ok", checks
    assert checks["wire-by"]["status"] == "problem" and "CAP_NET_ADMIN" in checks["wire-by"]["text"], checks


# ---- refusals ----

def refused(status, err, *args):
    peer("connect", *args, OWN4, 9).refused(status, err)


@harness.changes_machine
def test_what_is_no_wire_is_refused():
    refused(2, 'no interface "nosuch"', "--wire", "nosuch")
    refused(2, "loopback", "--wire", "lo")
    refused(2, "--isolate", "--wire", "eth0", "--isolate")
    refused(2, "--local", "--wire", "eth0", "--local", "10.1.1.1")
    refused(2, "MTU 9000 is more than the 1500 of eth0", "--wire", "eth0", "--mtu", "9000", "--from", INSIDE4)
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "add", "port0", "type", "veth", "peer", "name", "port1")
    run("ip", "link", "set", "port0", "master", "br0", "up")
    refused(3, "port0 is a port of the bridge br0.*--wire br0", "--wire", "port0")
    refused(3, "port1 is down", "--wire", "port1")
    run("ip", "link", "del", "port0")
    run("ip", "link", "del", "br0")


@harness.changes_machine
def test_what_is_somebody_elses_is_refused():
    refused(3, f"{GATEWAY4} is the gateway", "--wire", "eth0", "--from", GATEWAY4)
    refused(3, f"{OWN4} is this machine's own", "--wire", "eth0", "--from", "10.9.0.0/28")
    run("ip", "neigh", "add", "10.9.0.50", "lladdr", "02:00:00:00:00:50", "dev", "eth0", "nud", "reachable")
    refused(3, "10.9.0.50 is a neighbour on eth0 .*ip neigh del", "--wire", "eth0", "--from", "10.9.0.48/29")
    refused(3, "would not leave by eth0", "--wire", "eth0", "--from", "10.9.0.255")
    run("ip", "link", "add", "port0", "type", "veth", "peer", "name", "port1")
    run("ip", "link", "set", "port0", "up")
    run("ip", "route", "add", "198.18.7.0/24", "dev", "port0")
    refused(3, "would not leave by eth0.*198.18.7.0/24 dev port0", "--wire", "eth0", "--from", PEER4)
    refused(3, "would not leave by eth0.*198.18.7.0/24 dev port0", "--wire", "eth0", "--from", "198.18.0.0/16")
    run("ip", "link", "del", "port0")
    run("ip", "route", "del", "default")
    refused(3, "no route to 198.18", "--wire", "eth0")


@harness.changes_machine
def test_all_gateways_of_a_multipath_route_are_refused():
    second4, second6 = "10.9.0.253", "2001:db8:9::fd"
    run("ip", "route", "replace", "default", "nexthop", "via", GATEWAY4, "dev", "eth0", "nexthop", "via", second4,
        "dev", "eth0")
    run("ip", "-6", "route", "del", "default")
    run("ip", "-6", "route", "add", "default", "nexthop", "via", GATEWAY6, "dev", "eth0", "nexthop", "via", second6,
        "dev", "eth0")
    run("ip", "nexthop", "add", "id", "71", "via", "10.9.0.252", "dev", "eth0")
    run("ip", "nexthop", "add", "id", "72", "via", "10.9.0.251", "dev", "eth0")
    run("ip", "nexthop", "add", "id", "73", "group", "71/72")
    run("ip", "route", "add", "192.0.2.0/24", "nhid", "73")
    for gateway in (GATEWAY4, second4, "10.9.0.252", "10.9.0.251"):
        refused(3, f"{gateway} is the gateway of a route .*one of 2 next hops", "--wire", "eth0", "--from", gateway)
    for gateway in (GATEWAY6, second6):
        peer("connect", "--wire", "eth0", "--from", gateway, OWN6, 9).refused(3, f"{gateway} is the gateway of a route")
    run("ip", "nexthop", "add", "id", "74", "via", "10.9.0.250", "dev", "eth0")
    refused(3, "10.9.0.250 is the gateway of a next hop", "--wire", "eth0", "--from", "10.9.0.249-10.9.0.250")
    run("ip", "link", "add", "port0", "type", "veth", "peer", "name", "port1")
    run("ip", "addr", "add", "10.10.0.1/24", "dev", "port0")
    run("ip", "link", "set", "port1", "up")
    run("ip", "link", "set", "port0", "up")
    run("ip", "route", "add", "198.18.7.0/24", "nexthop", "via", second4, "dev", "eth0", "nexthop", "via", "10.10.0.2",
        "dev", "port0")
    for addrs in (PEER4, "198.18.0.0/16"):
        refused(3, "would not leave by eth0.*198.18.7.0/24 via .*one of 2 next hops", "--wire", "eth0", "--from", addrs)
    run("ip", "link", "del", "port0")


@harness.changes_machine
def test_peers_behind_a_multipath_route_are_reached():
    with real_wire() as wire:
        wire.inside("ip", "addr", "add", "10.9.0.253/24", "dev", "wire")
        run("ip", "route", "replace", "default", "nexthop", "via", GATEWAY4, "dev", "eth0", "nexthop", "via",
            "10.9.0.253", "dev", "eth0")
        server = BoundServer(OWN4)
        addrs = [f"198.18.7.{i}" for i in range(1, 9)]  # some by one gateway, some by the other
        for addr in addrs:
            connect(server, addr)
        wire.check_silent_about(*addrs)


@harness.changes_machine
def test_two_processes_are_not_the_same_machine():
    with real_wire():
        started = Peer("listen", "--wire", "eth0", "--from", INSIDE4, 7000)
        started.wait_err("listening")
        refused(3, f"{INSIDE4} on the wire of eth0: all connections of a peer come from one process", "--wire", "eth0", "--from", INSIDE4)
        server = BoundServer(OWN4)
        connect(server, "10.9.0.78")  # but another one is welcome
        started.stop().expect(0)
        first = Peer("listen", "--wire", "eth0", 7000)
        first.wait_err("listening at 198.18.0.2")
        second = Peer("listen", "--wire", "eth0", 7000)
        second.wait_err("listening at 198.18.0.3")
        first.stop().expect(0)
        second.stop().expect(0)


if __name__ == "__main__":
    harness.main()
