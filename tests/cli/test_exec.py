# SPDX-License-Identifier: BSD-3-Clause
"""peer exec: any program becomes remote machines."""
import json
import os
import re
import signal
import socket
import sys

import harness
from harness import OWN4, OWN6, Peer, Server, peer

PEERS4 = [f"198.18.0.{n}" for n in range(2, 10)]
FROM = ("--from", "198.18.0.2-198.18.0.9")

CONNECT = """
import socket, sys
for _ in range(int(sys.argv[3])):
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
"""


def python(program, *words):
    return ("--", sys.executable, "-c", program, *words)


def callers_of(count, *options, addr=OWN4, words=None):
    """Addresses and ports of so many callers of a server, and the result."""
    server = Server(harness.echo_all, addr=addr, callers=count)
    command = words(server) if words else python(CONNECT, addr, server.port, count)
    result = peer("exec", *options, *command).expect(0)
    server.join()
    return [caller[0] for caller in server.callers], result


# ---- addresses ----

def test_each_connection_comes_from_the_next_peer():
    callers, _ = callers_of(10, *FROM)
    assert callers == (PEERS4 + PEERS4)[:10], callers


def test_ipv6():
    callers, _ = callers_of(3, "--from", "2001:2:0:7::2-2001:2:0:7::9", addr=OWN6)
    assert callers == [f"2001:2:0:7::{n}" for n in (2, 3, 4)], callers


def test_peers_on_ethernet():
    callers, _ = callers_of(3, "--tap", *FROM)
    assert callers == PEERS4[:3], callers


def test_a_run_is_one_peer():
    callers, _ = callers_of(3, *FROM, "--spread", "run")
    assert callers == [PEERS4[0]] * 3, callers


def test_a_destination_is_one_peer():
    callers, _ = callers_of(3, *FROM, "--spread", "destination")
    assert callers == [PEERS4[0]] * 3, callers


def test_copies_have_slices():
    server = Server(harness.echo_all, callers=8)
    peer("exec", *FROM, "-j", "4", *python(CONNECT, OWN4, server.port, "2")).expect(0)
    server.join()
    assert sorted(caller[0] for caller in server.callers) == PEERS4, server.callers


def test_copies_know_their_number():
    result = peer("exec", *FROM, "-j", "3", "--", "sh", "-c", "echo {} $PEER_INDEX $PEER_FROM; exit {}")
    result.expect(2)
    assert sorted(result.out.decode().split("\n")) == ["", "0 0 198.18.0.2", "1 1 198.18.0.5", "2 2 198.18.0.8"], result


def test_datagrams():
    sock, port = harness.listening(OWN4, socket.SOCK_DGRAM)
    client = """
import socket, sys
for _ in range(3):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(20)
    for n in range(2):
        s.sendto(b"%d" % n, (sys.argv[1], int(sys.argv[2])))
        assert s.recv(9) == b"%d" % n
"""
    started = Peer("exec", *FROM, *python(client, OWN4, port))
    seen = []
    for _ in range(6):
        data, caller = sock.recvfrom(100)
        seen.append(caller[0])
        sock.sendto(data, caller)
    started.wait().expect(0)
    assert seen == [PEERS4[0]] * 2 + [PEERS4[1]] * 2 + [PEERS4[2]] * 2, seen


def test_ping():
    harness.need("ping")
    peer("exec", *FROM, "--", "ping", "-n", "-c", "2", OWN4).expect(0, out="2 received")


# ---- targets ----

def test_other_machines_are_prohibited_at_once():
    result = peer("exec", *FROM, *python("""
import socket
for address in "203.0.113.7", "198.18.0.5":
    try:
        socket.create_connection((address, 80), 20)
    except OSError as error:
        print(error.strerror)
"""))
    result.expect(0, err="203.0.113.7 is no address of this machine: prohibited", lines=2)
    assert result.out == b"No route to host\n" * 2, result


def test_localhost_leads_where_it_is_told():
    callers, _ = callers_of(2, *FROM, "--localhost", OWN4,
                            words=lambda server: python(CONNECT, "127.0.0.1", server.port, "2"))
    assert callers == PEERS4[:2], callers


def test_loopback_is_the_programs_own():
    server = Server(harness.echo_all)
    result = peer("exec", *FROM, *python("""
import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
except ConnectionRefusedError:
    print("refused")
""", server.port))
    result.expect(0, out="^refused$")
    with socket.create_connection((OWN4, server.port)):
        pass
    server.join()


# ---- as without peer ----

def test_exit_statuses():
    peer("exec", "--", "true").expect(0, lines=0)
    peer("exec", "--", "sh", "-c", "exit 7").expect(7, lines=0)
    peer("exec", "--", "sh", "-c", "kill -TERM $$").expect(-signal.SIGTERM, lines=0)
    peer("exec", "--", "no-such-program").refused(127, "no such program")
    peer("exec", "--", "/etc/passwd").refused(126, "permission denied")
    peer("exec", "true").refused(125, 'put "--" before')
    peer("exec", "--").expect(125)
    peer("exec", "--no-such", "--", "true").refused(125, "no-such")
    peer("exec", "--manner", "stall", "--", "true").refused(125, '"stall" takes a TCP of one')
    peer("exec", "--roam", "1s", "--", "true").refused(125, "two peers")
    peer("exec", "--spread", "often", "--", "true").refused(125, "connection, destination, run")
    peer("exec", "--pcap", "-", "--", "true").refused(125, "standard output is the program's")


def test_streams_directory_and_environment():
    os.environ["SOME_WORD"] = "kept"
    os.chdir("/usr")
    result = peer("exec", *FROM, "--", "sh", "-c", "cat; pwd; echo $SOME_WORD $PEER_FROM; umask; ulimit -n; id -u; echo e >&2",
                  data=b"in\n", prepare=lambda: os.umask(0o27))
    result.expect(0, err="^e$", lines=1)
    plain = harness.run("sh", "-c", "umask 27; pwd; echo kept 198.18.0.2; umask; ulimit -n; id -u")
    assert result.out.decode() == "in\n" + plain, (result, plain)


def test_inherited_descriptors():
    read, write = os.pipe()
    result = Peer("exec", "--", "sh", "-c", f"echo there >&{write}", pass_fds=(write,))
    os.close(write)
    result.wait().expect(0)
    assert os.read(read, 100) == b"there\n"
    assert os.read(read, 100) == b""  # nobody else has it


def test_signals_reach_the_program():
    script = "trap 'echo got term; exit 3' TERM; trap 'echo got usr1' USR1; echo ready; while :; do sleep 0.05; done"
    started = Peer("exec", "--", "sh", "-c", script)
    started.wait_out(b"ready")
    started.signal(signal.SIGUSR1)
    started.wait_out(b"got usr1")
    started.signal(signal.SIGTERM)
    started.wait().expect(3, out="got term")


def test_a_reader_that_goes_away_ends_it():
    read, write = os.pipe()
    started = Peer("exec", "--", "sh", "-c", "while echo y; do :; done", stdout=write)
    os.close(write)
    os.read(read, 100)
    os.close(read)
    result = started.wait()
    assert result.status not in (0, 125), result


# ---- the end ----

def test_copies_are_stopped_when_all_that_are_left_are():
    """The front is stopped too, as a shell's job is; whether one stops or ends."""
    started = Peer("exec", *FROM, "-j", "3", "--", "sh", "-c", "echo {} $$; exec sleep 1000")
    pids = {}
    for index in range(3):
        pids[index] = int(started.wait_out(rb"(?m)^%d (\d+)\n" % index).group(1))

    def await_front(stopped):
        def look():
            with open(f"/proc/{started.process.pid}/stat") as file:
                return (file.read().rpartition(")")[2].split()[0] == "T") == stopped
        harness.until("the front does as the copies", look)

    os.kill(pids[0], signal.SIGSTOP)
    os.kill(pids[0], signal.SIGKILL)
    os.kill(pids[1], signal.SIGSTOP)
    os.kill(pids[2], signal.SIGKILL)
    await_front(True)
    os.kill(pids[1], signal.SIGCONT)
    await_front(False)
    os.kill(pids[1], signal.SIGKILL)
    started.wait().expect(-signal.SIGKILL)


def test_what_the_program_left_is_ended():
    result = peer("exec", "--", "sh", "-c", "sleep 1000 & echo $!")
    result.expect(0)


def kill_one(which):
    """Of front, engine, holder and program; all of it ends, and nothing of it stays (the harness looks)."""
    script = "sleep 1000 & exec python3 -c 'import time, os; print(os.getpid(), flush=True); time.sleep(1000)'"
    started = Peer("exec", *FROM, "--", "sh", "-c", script)
    pid = int(started.wait_out(rb"^(\d+)\n").group(1))
    if which == "program":
        os.kill(pid, signal.SIGKILL)
    elif which == "front":
        started.signal(signal.SIGKILL)
    else:
        wanted = {"engine": "peer-engine", "holder": "peer-isolate"}[which]
        for found in [found for found in harness.descendants() if command_of(found) == wanted]:
            os.kill(found, signal.SIGKILL)
    return started.wait()


def command_of(pid):
    """None when it has ended in the meantime."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None


def test_too_many_connections_are_told_at_once():
    server = Server(lambda connection, _address: harness.receive_all(connection), callers=3)
    client = """
import socket, sys
held = [socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) for i in range(3)]
late = socket.socket()
late.setblocking(False)
late.connect_ex((sys.argv[1], int(sys.argv[2])))
sys.stdin.read()
"""
    started = Peer("exec", "--max-flows", 3, *FROM, *python(client, OWN4, server.port))
    started.wait_err("there are as many connections at once as may be: .* not carried until others end")
    started.close_stdin()
    started.wait().expect(0, err="packets of the program began no connection: 3 are the most at once")
    server.join()


def test_kill_the_program():
    kill_one("program").expect(-signal.SIGKILL)


def test_kill_the_front():
    kill_one("front").expect(-signal.SIGKILL)


def test_kill_the_engine():
    kill_one("engine").expect(125, err="peer: ")


def test_kill_the_holder():
    """What kills the rest then takes rights that the engine has given up."""
    kill_one("holder").expect(-signal.SIGKILL, err="peer: somebody killed the process that held")


def test_kill_the_resolver():
    """The program goes on, and it is said why names do not resolve any more."""
    started = Peer("exec", *FROM, "--", "sh", "-c", "echo ready; read line; echo $line")
    started.wait_out(b"ready")
    for found in [found for found in harness.descendants() if command_of(found) == "peer-resolver"]:
        os.kill(found, signal.SIGKILL)
    started.wait_err("somebody killed the process that resolves the program's names")
    started.send(b"still here\n")
    started.wait().expect(0, out="still here")


def test_nothing_leaves_by_the_machines_own_interfaces():
    """While it runs, and when it is killed in the middle of connections."""
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sniffer.bind(("wire", 0))
    sniffer.setblocking(False)
    server = Server(lambda connection, _address: harness.receive_all(connection), callers=1)
    client = """
import socket, sys, time
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for to in "203.0.113.7", "10.9.0.2":
    try:
        u.sendto(b"x", (to, 53))
    except OSError:
        pass
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
print("open", flush=True)
while True:
    s.sendall(bytes(65536))
"""
    started = Peer("exec", *FROM, *python(client, OWN4, server.port))
    started.wait_out(b"open")
    started.signal(signal.SIGKILL)
    started.wait()
    server.thread.join(harness.LIMIT_S)
    harness.await_guardians()
    frames = []
    try:
        while True:
            frames.append(sniffer.recv(2048))
    except BlockingIOError:
        pass
    own = [frame for frame in frames if b"\xc6\x12\x00" in frame[14:42]]
    assert not own, own[:3]


@harness.changes_machine
def test_nothing_leaves_when_the_address_is_taken_away():
    """A host that forwards would send on what goes to an address that is its own no more."""
    harness.need_root()
    harness.sysctl("net.ipv4.ip_forward", 1)
    harness.run("ip", "addr", "add", "10.99.0.1/32", "dev", "lo")
    harness.run("ip", "neigh", "add", "10.9.0.254", "lladdr", "02:00:00:00:00:02", "dev", "eth0")
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sniffer.bind(("wire", 0))
    sniffer.setblocking(False)
    sock, port = harness.listening("10.99.0.1", socket.SOCK_DGRAM)
    client = """
import socket, sys, time
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.connect((sys.argv[1], int(sys.argv[2])))
told = 0
while told < 2:
    try:
        u.send(b"x")
    except OSError:
        told += 1
    time.sleep(0.1)
"""
    started = Peer("exec", *FROM, *python(client, "10.99.0.1", port))
    sock.recv(10)
    harness.run("ip", "addr", "del", "10.99.0.1/32", "dev", "lo")
    started.wait().expect(0, err="10.99.0.1 is no address of this machine")
    frames = []
    try:
        while True:
            frames.append(sniffer.recv(2048))
    except BlockingIOError:
        pass
    assert not [frame for frame in frames if b"\xc6\x12\x00" in frame[14:42]], frames[:3]


# ---- links, manners, captures ----

def test_links_delay():
    harness.need("ping")
    result = peer("exec", *FROM, "--link", "delay 50ms", "--", "ping", "-n", "-c", "1", OWN4)
    result.expect(0)
    rtt = float(re.search(rb"time=([\d.]+)", result.out).group(1))
    assert rtt >= 100, result


def test_who_vanishes_says_nothing():
    ends = []

    def handle(connection, _address):
        ends.append(connection.recv(10))
        try:
            ends.append(connection.recv(10))
        except OSError as error:
            ends.append(error)

    server = Server(handle)
    client = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20); s.sendall(b'bye')"
    peer("exec", *FROM, "--manner", "vanish", *python(client, OWN4, server.port)).expect(0)
    server.join()
    assert ends[0] == b"bye" and isinstance(ends[1], OSError), ends


def test_a_flow_roams():
    sock, port = harness.listening(OWN4, socket.SOCK_DGRAM)
    client = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.05)
while True:
    s.sendto(b"here", (sys.argv[1], int(sys.argv[2])))
    try:
        if s.recv(9) == b"end":
            break
    except TimeoutError:
        pass
"""
    started = Peer("exec", *FROM, "--roam", "100ms", *python(client, OWN4, port))
    seen = []
    while len(seen) < 3:
        _, caller = sock.recvfrom(100)
        if caller[0] not in seen:
            seen.append(caller[0])
    while started.process.poll() is None:
        sock.sendto(b"end", caller)
        sock.settimeout(0.2)
        try:
            _, caller = sock.recvfrom(100)
        except TimeoutError:
            pass
    started.wait().expect(0)
    assert seen == PEERS4[:3], seen


def test_report_and_capture():
    report, capture = (os.path.join(harness.directory, name) for name in ("report", "x.pcapng"))
    callers_of(3, *FROM, "--json", "-o", report, "--pcap", capture)
    with open(report) as file:
        document = json.load(file)
    assert document["command"] == "exec" and document["exit_status"] == 0, document
    assert document["flows"]["tcp"] == 3 and document["peers_used"] == 3, document
    assert document["bytes"]["sent"] > 0 and document["bytes"]["received"] > 0, document
    with open(capture, "rb") as file:
        packets = harness.Capture(file.read()).packets
    assert len(packets) == document["packets"]["sent"] + document["packets"]["received"], document


# ---- without root ----

def test_without_root_in_isolation():
    server = "import http.server; http.server.HTTPServer((\"192.0.2.1\", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()"
    client = """
import os, urllib.request
print(os.getuid(), urllib.request.urlopen("http://192.0.2.1:8000/", timeout=20).status)
"""
    become = harness.options.outer_uid == 0
    if become:
        harness.own_node()
    result = peer("exec", "--isolate", "--local", "192.0.2.1/24", "--await", "192.0.2.1:8000",
                  "--application", f"cd /; exec python3 -c '{server}'", *FROM,
                  "--", "python3", "-c", client, nobody=become)
    result.expect(0, err="198.18.0.2 ")
    assert result.out.decode() == f"{harness.NOBODY if become else os.getuid()} 200\n", result


if __name__ == "__main__":
    harness.main()
