#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Judges who know nothing of peer. nmap, p0f, Wireshark's expert and a JA4T fingerprint see a peer and a
machine with a kernel, each alone on its wire, and say the same of both.

The machine is a namespace behind a pair of veth devices. Its receive buffers are those of Linux until
6.16, whose window scale is 7, as a peer's is; newer kernels allow more (10).
"""
import contextlib
import os
import re
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
        # Errors are limited to 6 at once: so few are asked for.
        there, here = nmap("-sO", "-p", "1,2,6,17,59,103,136,253,255", MACHINE4, PEER4)
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


if __name__ == "__main__":
    harness.main()
