#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Judges who know nothing of peer. nmap, p0f, Wireshark's expert and a JA4T fingerprint see a peer and a
machine with a kernel, each alone on its wire, and say the same of both.

The machine is a namespace behind a pair of veth devices. Its receive buffers are those of Linux until
6.16, whose window scale is 7, as a peer's is; newer kernels allow more (10).
"""
import contextlib
import ipaddress
import os
import re
import socket
import struct
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree

import harness
from harness import Peer, run

OUR4, OUR6 = "192.0.2.1", "2001:db8:2::1"
MACHINE4, MACHINE6 = "192.0.2.2", "2001:db8:2::2"
PEER4, PEER6 = "198.18.7.1", "2001:2:0:7::1"
UDP_PEER4 = "198.18.7.2"
NETNS = "/run/netns/machine"
PATIENCE_S = 200  # nmap guesses for half a minute; a machine may be busy with more than this
IN_MACHINE = ("nsenter", f"--net={NETNS}")


@contextlib.contextmanager
def machine():
    """A kernel of its own, on another wire."""
    run("ip", "netns", "add", "machine")
    try:
        with open("/proc/sys/net/ipv6/conf/default/accept_dad", "w") as file:
            file.write("0")
        run("ip", "-batch", "-", input=f"""link add kern0 type veth peer name eth0 netns machine
addr add {OUR4}/24 dev kern0
addr add {OUR6}/64 dev kern0 nodad
link set kern0 addrgenmode none
link set kern0 up
""")
        run(*IN_MACHINE, "ip", "-batch", "-", input=f"""link set lo up
addr add {MACHINE4}/24 dev eth0
addr add {MACHINE6}/64 dev eth0 nodad
link set eth0 addrgenmode none
link set eth0 up
""")
        run(*IN_MACHINE, "sh", "-c", "echo 4096 131072 6291456 >/proc/sys/net/ipv4/tcp_rmem")
        harness.until("the carrier of kern0", lambda: "state UP" in run("ip", "link", "show", "kern0"))
        yield
    finally:
        run("ip", "netns", "del", "machine")


@contextlib.contextmanager
def listening(*args):
    """A peer, each with a device of its own."""
    started = Peer("listen", "--tap", *args)
    started.wait_err("listening")
    yield
    started.stop().expect(0)


@contextlib.contextmanager
def application(*services):
    """The same servers with the kernel's sockets."""
    process = subprocess.Popen([*IN_MACHINE, harness.PEER, "application", *services])
    harness.until("the application", lambda: run(*IN_MACHINE, "ss", "-Hltn").count("LISTEN") >= len(services))
    try:
        yield
    finally:
        process.terminate()
        process.wait(harness.LIMIT_S)


# ---- nmap ----

def nmap(*args):
    """What it says of each host."""
    path = tempfile.mkstemp(dir=harness.directory, suffix=".xml")[1]
    done = subprocess.run(["nmap", "-n", "-Pn", "--reason", "-d", "-oX", path, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout
    return ElementTree.parse(path).findall("host")


def assert_alike(machine_says, peer_says):
    differing = [f"{key}: a machine {machine_says.get(key)}, a peer {peer_says.get(key)}"
                 for key in sorted({*machine_says, *peer_says}) if machine_says.get(key) != peer_says.get(key)]
    assert not differing, "\n".join(differing)


def ports_of(host):
    found = {}
    for port in host.iter("port"):
        state, service = port.find("state"), port.find("service")
        known = service is not None and service.get("method") == "probed" and service.get("name")
        found[port.get("protocol"), int(port.get("portid"))] = (
            state.get("state"), state.get("reason"), state.get("reason_ttl"), known)
    return found


def fingerprint_of(host):
    """{("T1", "W"): "FE88"...}: the answers to nmap's probes, but for what is random."""
    text = "".join(line.removeprefix("OS:") for line in host.find("os/osfingerprint").get("fingerprint").splitlines())
    found = {}
    for probe, answers in re.findall(r"(\w+)\((.*?)\)", text):
        if probe != "SCAN":
            for answer in answers.split("%"):
                name, _, value = answer.partition("=")
                found[probe, name] = value
    for name in ("SP", "ISR"):  # how hard it is to guess the next initial number: logarithms of what varies
        found["SEQ", name] = "hard" if int(found["SEQ", name], 16) >= 0xF0 else found["SEQ", name]
    found["SEQ", "GCD"] = "small" if int(found["SEQ", "GCD"], 16) <= 8 else found["SEQ", "GCD"]
    return found


def clocks_of(found):
    """Does one clock make the timestamps of all connections? Linux has one for each since 2026."""
    rate = found.pop(("SEQ", "TS"))
    return "one" if rate in ("7", "8", "9", "A", "B") else "many"


@harness.changes_machine
def test_nmap_sees_the_same_machine():
    """Its probes for the operating system, and a trace of the route."""
    harness.need("nmap")
    with machine(), application("echo:7"), listening("--from", PEER4, "--serve", "echo", "7"):
        there, here = nmap("-O", "-sV", "--traceroute", "-p", "7,9", MACHINE4, PEER4)
        assert_alike(ports_of(there), ports_of(here))
        expected, found = fingerprint_of(there), fingerprint_of(here)
        assert ("U1", "RUD") in expected, expected  # all probes were made
        clocks = clocks_of(found)
        assert clocks == "many" or clocks == clocks_of(expected), clocks
        expected.pop(("SEQ", "TS"), None)
        for one in (expected, found):  # what answers pings counts with jumps, of which only some are large
            if one.pop(("SEQ", "II"), "I") not in ("I", "RI"):
                raise AssertionError("names of packets are not counted")
        assert_alike(expected, found)
        for name in ("tcpsequence", "ipidsequence"):
            assert there.find(name).get("class") == here.find(name).get("class")
        assert there.find("distance").get("value") == here.find("distance").get("value")
        assert [hop.get("ttl") for hop in there.iter("hop")] == [hop.get("ttl") for hop in here.iter("hop")]


@harness.changes_machine
def test_nmap_sees_the_same_answers_to_odd_segments():
    harness.need("nmap")
    with machine(), application("http:80"), listening("--from", PEER4, "--serve", "http", "80"):
        for scan in ("-sS", "-sT", "-sF", "-sN", "-sX", "-sA", "-sW", "-sM", "-sY", "--scanflags=SYNFIN"):
            there, here = nmap(scan, "-p", "80,81", MACHINE4, PEER4)
            assert_alike(ports_of(there), ports_of(here))


@harness.changes_machine
def test_nmap_sees_the_same_datagram_ports_and_protocols():
    harness.need("nmap")
    with machine(), application("echo:7"), listening("--from", PEER4, "--serve", "echo", "-u", "7"):
        there, here = nmap("-sU", "-p", "7,9,4000", MACHINE4, PEER4)
        assert_alike(ports_of(there), ports_of(here))
        # Errors are limited to 6 at once: so few are asked for. 255 ends nmap 7.95 by an assertion.
        there, here = nmap("-sO", "-p", "1,2,6,17,59,103,136,253,254", MACHINE4, PEER4)
        assert_alike(ports_of(there), ports_of(here))


@harness.changes_machine
def test_nmap_finds_it_by_the_same_signs():
    """Pings of all kinds, and ARP."""
    harness.need("nmap")
    with machine(), application("echo:7"), listening("--from", PEER4, "--serve", "echo", "7"):
        for kind in ("-PE", "-PP", "-PM", "-PS7", "-PA7", "-PU9", "-PO2,47", "-PY7", "-PR"):
            signs = []
            for address in (MACHINE4, PEER4):
                more = () if kind == "-PR" else ("--disable-arp-ping",)
                path = os.path.join(harness.directory, "found.xml")
                run("nmap", "-n", "-sn", kind, *more, "-oX", path, address)
                signs.append([(status.get("state"), status.get("reason"), status.get("reason_ttl"))
                              for status in ElementTree.parse(path).iter("status")])
            assert signs[0] == signs[1], f"{kind}: a machine {signs[0]}, a peer {signs[1]}"


# ---- captures ----

LAST_WORD = b"this is the last frame"


@contextlib.contextmanager
def captured():
    """What passes all devices of this side, as a file that is whole at the end."""
    path = os.path.join(harness.directory, "any.pcap")
    log_path = os.path.join(harness.directory, "tcpdump.log")
    with open(log_path, "w") as log:
        tcpdump = subprocess.Popen(["tcpdump", "-Z", "root", "--immediate-mode", "-U", "-B", "65536", "-i", "any", "-y",
                                    "LINUX_SLL", "-s", "200", "-w", path], stderr=log)

    def reads(name, word):
        with open(name, "rb") as file:
            return word in file.read()
    harness.until("tcpdump", lambda: reads(log_path, b"listening on"))
    yield path
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(LAST_WORD, (MACHINE4, 9))
    harness.until("the last frame", lambda: reads(path, LAST_WORD))
    tcpdump.terminate()
    tcpdump.wait(harness.LIMIT_S)


def frames_of(path):
    """Times in microseconds and IP packets of a capture with cooked headers."""
    with open(path, "rb") as file:
        data = file.read()
    assert struct.unpack_from("<I", data)[0] == 0xA1B2C3D4 and struct.unpack_from("<I", data, 20)[0] == 113
    at = 24
    while at < len(data):
        seconds, micros, length = struct.unpack_from("<III", data, at)
        yield seconds * 1000000 + micros, data[at + 16 + 16:at + 16 + length]
        at += 16 + length


def tcp_of(packet):
    """Source and TCP header of an IP packet, or nothing."""
    if packet[0] >> 4 == 4 and packet[9] == 6:
        return socket.inet_ntop(socket.AF_INET, packet[12:16]), packet[(packet[0] & 15) * 4:]
    if packet[0] >> 4 == 6 and packet[6] == 6:
        return socket.inet_ntop(socket.AF_INET6, packet[8:24]), packet[40:]
    return None, None


def ja4t_of(tcp):
    """Of a SYN: window, kinds of its options in their order, MSS, window scale."""
    kinds, values, at = [], {}, 20
    while at < (tcp[12] >> 4) * 4:
        kind = tcp[at]
        kinds.append(kind)
        if kind == 0:
            break
        length = 1 if kind == 1 else tcp[at + 1]
        values[kind] = int.from_bytes(tcp[at + 2:at + length], "big")
        at += length
    window = int.from_bytes(tcp[14:16], "big")
    return f"{window}_{'-'.join(map(str, kinds))}_{values.get(2, 0)}_{values.get(3, 0)}"


def fingerprints(path, address, flags):
    """The different ones of an address' SYNs or SYN-ACKs."""
    found = set()
    for _, packet in frames_of(path):
        source, tcp = tcp_of(packet)
        if source == address and tcp[13] & 0x3F == flags:
            found.add(ja4t_of(tcp))
    return found


# ---- callers and servers, alike on both sides ----

def machine_runs(code, *args):
    return run(*IN_MACHINE, "python3", "-c", f"import socket, sys, time\n{code}", *map(str, args))


def calls(own, server, from_addr):
    """One short talk."""
    if from_addr in (MACHINE4, MACHINE6):
        machine_runs("s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
                     "s.sendall(b'hello'); s.shutdown(1); assert s.recv(9) == b'hello'", own, server.port)
    else:
        harness.peer("connect", "--tap", "--from", from_addr, own, server.port, data=b"hello").expect(0, lines=0)


def p0f_says(path, address):
    """Its words of a host, by what they are about, without numbers of single connections."""
    log = tempfile.mkstemp(dir=harness.directory, suffix=".p0f")[1]
    os.remove(log)
    run("p0f", "-r", path, "-o", log)
    said = {}
    with open(log) as file:
        for line in file:
            words = dict(word.split("=", 1) for word in line.split("] ", 1)[1].strip().split("|"))
            about = words.pop("mod")
            subject = words["cli" if words.pop("subj") == "cli" else "srv"].split("/")[0]
            if ipaddress.ip_address(subject) == ipaddress.ip_address(address) and about in ("syn", "syn+ack", "mtu", "host change"):
                for number in ("cli", "srv"):
                    words.pop(number)
                said.setdefault(about, set()).add("|".join(f"{key}={words[key]}" for key in sorted(words)))
    return said


@harness.changes_machine
def test_p0f_and_ja4t_see_the_same_caller():
    harness.need("p0f", "tcpdump")
    with machine(), captured() as path:
        for own, there, here in ((OUR4, MACHINE4, PEER4), (OUR6, MACHINE6, PEER6)):
            server = harness.Server(harness.echo_all, own, callers=2)
            for _ in range(1):
                calls(own, server, there)
                calls(own, server, here)
            server.join()
    for there, here in ((MACHINE4, PEER4), (MACHINE6, PEER6)):
        expected = p0f_says(path, there)
        assert set(expected) >= {"syn", "mtu"}, expected
        assert_alike(expected, p0f_says(path, here))
        assert fingerprints(path, there, 2) == fingerprints(path, here, 2) != set()
    assert fingerprints(path, PEER4, 2) == {"64240_2-4-8-1-3_1460_7"}


@harness.changes_machine
def test_p0f_and_ja4t_see_the_same_server():
    harness.need("p0f", "tcpdump")
    with (machine(), application("echo:7"), listening("--from", PEER4, "--serve", "echo", "7"),
          listening("--from", PEER6, "--serve", "echo", "7"), captured() as path):
        for address in (MACHINE4, PEER4, MACHINE6, PEER6) * 3:
            with socket.create_connection((address, 7), harness.LIMIT_S) as sock:
                sock.sendall(b"hello")
                assert sock.recv(9) == b"hello"
    for there, here in ((MACHINE4, PEER4), (MACHINE6, PEER6)):
        expected = p0f_says(path, there)
        assert set(expected) >= {"syn+ack", "mtu"}, expected
        assert_alike(expected, p0f_says(path, here))
        assert fingerprints(path, there, 0x12) == fingerprints(path, here, 0x12) != set()


# ---- Wireshark's expert ----

# Answers to what a kernel sent twice, since this process had no processor for some milliseconds. And
# what a probe says that fills the rest of a window, which kernels and peers send when the reader takes
# longer than a retransmission would.
OF_LATENESS = ("Duplicate ACK", "D-SACK Sequence", "TCP window specified by the receiver is now completely full")
# A kernel that waits for its reader acknowledges later than a probe for lost tails waits, which is two of its ticks
# of 4 ms, of which the first may be as good as over.
OF_TIMERS, TIMER_US = ("This frame is a (suspected) retransmission", "This frame is a (suspected) spurious"), 4000


def repeats_at_once(path, address):
    """Did a host send any byte again sooner than a timer of its would have?"""
    flows, wrap = {}, 1 << 32
    for at_us, packet in frames_of(path):
        source, tcp = tcp_of(packet)
        total = int.from_bytes(packet[2:4], "big") - (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 0
        if source != address or total <= (tcp[12] >> 4) * 4:
            continue
        first = int.from_bytes(tcp[4:8], "big")
        sent = flows.setdefault(bytes(tcp[:4]), [])
        for earlier_us, earlier, length in reversed(sent):
            if at_us - earlier_us >= TIMER_US:
                break
            if (first - earlier) % wrap < length:
                return True
        sent.append((at_us, first, total - (tcp[12] >> 4) * 4))
    return False


def expert_says(path, address):
    """The kinds of its notes on what a host sent, without the numbers of single frames."""
    text = run("tshark", "--disable-protocol", "http", "-r", path, "-q", "-z", f"expert,ip.src=={address}")
    found = {re.sub(r"[ :(#]+(server port )?[0-9]+\)?$", "", summary.strip())
             for summary in re.findall(r"^ +[0-9]+ +\S+ +\S+ +(.*)$", text, re.MULTILINE)}
    late = OF_LATENESS if repeats_at_once(path, address) else OF_LATENESS + OF_TIMERS
    return {summary for summary in found if not summary.startswith(late)}


def window_is_shut():
    """So long that this side has asked twice whether it is open: by then the other side, whose window was shut
    before, has asked too. Otherwise that would be a matter of how late a reader is."""
    return re.search(r"timer:\(persist.*backoff:([2-9]|\d\d)", run("ss", "-Htnoi"), re.DOTALL)


def send_much(connection, _address):
    connection.recv(10)
    connection.sendall(bytes(8 << 20))


def reset_at_once(connection, _address):
    connection.recv(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def sink(connection, _address):
    connection.sendall(b"%d" % len(harness.receive_all(connection)))


class Caller:
    """A client on the other side that reads only when it is let: nc's ways, by a peer or a kernel."""

    CODE = ("s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); s.sendall(b'go')\n"
            "sys.stdin.read(1)\n"
            "while sys.argv[3] == 'all' and s.recv(1 << 20): pass\n"
            "s.close()")

    def __init__(self, from_addr, server, what):
        self.kernel = from_addr == MACHINE4
        if self.kernel:
            self.process = subprocess.Popen([*IN_MACHINE, "python3", "-c", "import socket, sys\n" + self.CODE, OUR4,
                                             str(server.port), what], stdin=subprocess.PIPE)
        else:
            self.started = Peer("connect", "--tap", "--from", from_addr, OUR4, server.port, stdout=subprocess.PIPE)
            self.started.send(b"go", close=False)
            self.process = self.started.process

    def read_all(self):
        if self.kernel:
            self.process.communicate(b".", harness.LIMIT_S)
        else:
            self.process.communicate(timeout=harness.LIMIT_S)

    def leave(self):
        """With bytes unread."""
        if self.kernel:
            self.process.communicate(b".", harness.LIMIT_S)
        else:
            self.process.terminate()
            self.process.communicate(timeout=harness.LIMIT_S)


def lead_a_callers_life(from_addr):
    """Short talks, a long one with the window shut on the way, ends of all kinds."""
    server = harness.Server(harness.echo_all, OUR4, callers=3)
    for _ in range(3):
        calls(OUR4, server, from_addr)
    server.join()
    server = harness.Server(send_much, OUR4)
    caller = Caller(from_addr, server, "all")
    harness.until("a shut window", window_is_shut)
    caller.read_all()
    server.join()

    def until_cut(connection, address):
        with contextlib.suppress(OSError):
            send_much(connection, address)
    server = harness.Server(until_cut, OUR4)
    caller = Caller(from_addr, server, "nothing")
    harness.until("a shut window", window_is_shut)
    caller.leave()
    server.join()
    server = harness.Server(sink, OUR4)
    if from_addr == MACHINE4:
        machine_runs("s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
                     "s.sendall(bytes(3 << 20)); s.shutdown(1); s.recv(99)", OUR4, server.port)
    else:
        harness.peer("connect", "--tap", "--from", from_addr, OUR4, server.port, data=bytes(3 << 20)).expect(0)
    server.join()
    server = harness.Server(reset_at_once, OUR4)
    for port in (server.port, 1):  # reset, and refused
        if from_addr == MACHINE4:
            machine_runs("import contextlib\nwith contextlib.suppress(ConnectionError):\n"
                         "    s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
                         "    s.sendall(b'go'); s.recv(99)", OUR4, port)
        else:
            harness.peer("connect", "--tap", "--from", from_addr, OUR4, port, data=b"go").expect(1)
    server.join()


def try_a_server(address):
    """An echo server: a short talk, a long one with both windows shut on the way, and two rude ends."""
    with socket.create_connection((address, 7), harness.LIMIT_S) as sock:
        sock.sendall(b"hello")
        assert sock.recv(9) == b"hello"
    with socket.create_connection((address, 7), harness.LIMIT_S) as sock:
        sender = harness.threading.Thread(target=lambda: (sock.sendall(bytes(32 << 20)), sock.shutdown(1)))
        sender.start()
        harness.until("a shut window", window_is_shut)
        assert len(harness.receive_all(sock)) == 32 << 20
        sender.join()
    with socket.create_connection((address, 7), harness.LIMIT_S) as sock:
        sock.sendall(b"hello")
        reset_at_once(sock, None)
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection((address, 9), harness.LIMIT_S)


@harness.changes_machine
def test_wireshark_has_no_other_notes_of_a_peer():
    harness.need("tshark", "tcpdump")
    with machine(), captured() as path:
        lead_a_callers_life(MACHINE4)
        lead_a_callers_life(PEER4)
    expected, found = expert_says(path, MACHINE4), expert_says(path, PEER4)
    assert any("Zero Window" in note for note in expected) and any("reset" in note for note in expected), expected
    assert found <= expected, f"only of a peer: {found - expected}"


@harness.changes_machine
def test_wireshark_has_no_other_notes_of_a_peer_that_listens():
    harness.need("tshark", "tcpdump")
    with machine(), application("echo:7"), listening("--from", PEER4, "--serve", "echo", "7"), captured() as path:
        try_a_server(MACHINE4)
        try_a_server(PEER4)
    expected, found = expert_says(path, MACHINE4), expert_says(path, PEER4)
    assert any("Zero Window" in note for note in expected) and any("reset" in note for note in expected), expected
    assert found <= expected, f"only of a peer: {found - expected}"


if __name__ == "__main__":
    harness.main()
