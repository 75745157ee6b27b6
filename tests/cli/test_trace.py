# SPDX-License-Identifier: BSD-3-Clause
"""peer trace: the way, the socket at its end, and the places where it can be asked."""
import json
import os
import re
import socket

import harness
import tracing
from harness import OWN4, OWN6, PEER6, changes_machine, listening, need, peer, run
from tracing import KINDS, PYTHON, SERVER, answered, lost, mended, sysctl, trace


# ---- all is well ----

def test_the_way_is_shown_in_order():
    for name, own, addr, more in KINDS:
        sock, port = listening(own)
        document = answered(*more, own, port, addr=addr)
        there = [entry["station"] for entry in document["stations"] if entry["way"] == "there"]
        seen = [entry for entry in there if entry not in ("netfilter", "kernel")]
        assert seen == ["device", "ingress", "route", "socket"], (name, document)
        back = [entry["station"] for entry in document["stations"] if entry["way"] == "back"]
        assert back[-1] == "answer" and "route" in back, (name, document)
        by_name = {entry["station"]: entry for entry in document["stations"]}
        assert f"(pid {os.getpid()})" in by_name["socket"]["text"], document
        assert "of 64" in by_name["socket"]["text"], document
        assert document["verdict"]["answer_us"] > 0
        hooks = [entry["where"].split()[0] for entry in document["stations"] if entry["station"] == "netfilter"]
        if hooks and "kernel" not in there:
            assert hooks == ["ingress", "prerouting", "input", "output", "postrouting"], (name, document)
        sock.close()


def test_times_go_up():
    harness.need_root()
    sock, port = listening(OWN4)
    document = answered(OWN4, port)
    times = [entry["after_us"] for entry in document["stations"] if "after_us" in entry]
    assert len(times) >= 7 and times == sorted(times), document
    sock.close()


def test_datagrams_and_echoes():
    echo = harness.UdpEcho()
    assert answered("-u", OWN4, echo.port)["verdict"]["text"].endswith("a datagram came back")
    silent, port = listening(OWN4, socket.SOCK_DGRAM)
    document = trace("-u", OWN4, port, status=0)
    assert document["verdict"]["outcome"] == "arrived", document
    answered("--icmp", OWN4)
    answered("--icmp", OWN6, addr=PEER6)
    assert answered("--icmp", OWN4)["target"] == OWN4
    echo.sock.close()
    silent.close()


def test_text_has_a_line_a_station_and_a_verdict():
    sock, port = listening(OWN4)
    result = peer("trace", OWN4, port).expect(0, lines=0)
    lines = result.out.decode().splitlines()
    assert re.match(r"answered: arrived at 10.9.0.1:\d+: the connection was made$", lines[-1]), result
    assert lines[-2] == "" and re.search(r">\s+device\s+peer\d+\s+SYN from ", lines[0]), result
    columns = {line.index(">" if ">" in line else "<") for line in lines[:-2]}
    assert columns == {10}, result
    only_back = peer("trace", "--reply", OWN4, port).expect(0).out.decode().splitlines()
    assert only_back and not any(re.match(r".{10}> [^?]", line) for line in only_back), only_back
    sock.close()
    result = peer("trace", OWN4, port).expect(1, lines=0, out="\nmend: start the server")
    assert re.search(r"> x socket ", result.out.decode()), result


# ---- nobody there ----

def test_nobody_listens():
    sock, port = listening(OWN4)
    sock.close()
    lost("no-listener", "socket", OWN4, port, outcome="refused", kernel="NO_SOCKET", mend="start the server")
    lost("no-listener", "socket", "-u", OWN4, port, outcome="refused", kernel="NO_SOCKET")
    lost("no-listener", "socket", OWN6, port, outcome="refused", kernel="NO_SOCKET", addr=PEER6)
    sock = socket.create_server((OWN4, port))
    answered(OWN4, port)
    sock.close()


def test_listens_on_another_address():
    sock, port = listening("127.0.0.1")
    lost("listens-on-other-address", "socket", OWN4, port, outcome="refused", mend=f"{OWN4}:{port}, or on all")
    sock.close()
    sock = socket.create_server(("0.0.0.0", port))
    answered(OWN4, port)
    sock.close()


def test_listens_on_another_device():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    sock.bind((OWN4, 0))
    sock.listen(4)
    port = sock.getsockname()[1]
    document = trace(OWN4, port)
    assert "is bound to device eth0" in document["verdict"]["text"], document
    lost("listens-on-other-device", "socket", OWN4, port, outcome="refused")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"")
    answered(OWN4, port)
    sock.close()


def test_listens_for_ipv6_only():
    sock = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=False)
    port = sock.getsockname()[1]
    lost("listens-on-ipv6-only", "socket", OWN4, port, outcome="refused", mend="0.0.0.0")
    sock.close()
    sock = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    answered(OWN4, port)
    sock.close()


def test_accept_queue_full():
    sock = socket.create_server((OWN4, 0), backlog=1)
    port = sock.getsockname()[1]
    callers = [socket.create_connection((OWN4, port)) for _ in range(2)]
    document = trace(OWN4, port)
    assert "accept queue 2 of 1" in [entry for entry in document["stations"]
                                     if entry["station"] == "socket"][0]["text"], document
    lost("accept-queue-full", "socket", OWN4, port)
    accepted = [sock.accept()[0] for _ in callers]
    answered(OWN4, port)
    for each in callers + accepted + [sock]:
        each.close()


def test_receive_buffer_full():
    sock, port = listening(OWN4, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(64):
        caller.sendto(bytes(1000), (OWN4, port))
    for _ in range(64):
        caller.sendto(b"x", (OWN4, port))
    lost("receive-buffer-full", "socket", "-u", OWN4, port, kernel="SOCKET_RCVBUFF")
    sock.setblocking(False)
    try:
        while True:
            sock.recv(2000)
    except BlockingIOError:
        pass
    assert trace("-u", OWN4, port, status=0)["verdict"]["outcome"] == "arrived"
    sock.close()
    caller.close()


@changes_machine
def test_echoes_switched_off():
    sysctl("net.ipv4.icmp_echo_ignore_all", 1)
    mended("echo-ignored", "socket", "--icmp", OWN4)


def test_two_traces_at_once():
    sock, port = listening(OWN4)
    started = [harness.Peer("trace", "--json", "--from", f"198.18.7.{i + 1}", OWN4, port) for i in range(4)]
    for i, each in enumerate(started):
        each.close_stdin()
        result = each.wait().expect(0, lines=0)
        document = json.loads(result.out)
        assert f"SYN from 198.18.7.{i + 1}:" in document["stations"][0]["text"], document
        hooks = [entry["where"] for entry in document["stations"] if entry["station"] == "netfilter"]
        assert len(hooks) == len(set(hooks)), document
    sock.close()


# ---- other places ----

def program(addr):
    path = os.path.join(harness.directory, "server.py")
    with open(path, "w") as file:
        file.write(SERVER)
    os.chmod(path, 0o644)
    return PYTHON, path, addr


def test_in_isolation():
    result = peer("trace", "--json", "--isolate", "192.0.2.80", 8000, "--", *program("0.0.0.0"))
    document = json.loads(result.expect(0).out)
    assert document["verdict"]["outcome"] == "answered", document
    result = peer("trace", "--json", "--isolate", "-w", "1", "192.0.2.80", 8000, "--", *program("127.0.0.1"))
    document = json.loads(result.expect(1).out)
    assert document["verdict"]["reason"] == "listens-on-other-address", document


def test_without_privileges_what_is_not_seen_is_said():
    harness.own_node()
    result = peer("trace", "--json", "--isolate", "192.0.2.80", 8000, "--", *program("0.0.0.0"), nobody=True)
    if "namespace" in result.err:
        raise harness.Skip(result.err)
    document = json.loads(result.expect(0).out)
    unseen = [entry["text"] for entry in document["stations"] if entry["state"] == "unseen"]
    assert len(unseen) == 1 and "only root may see them" in unseen[0], document
    assert "input" in [entry["where"] for entry in document["stations"]], document


def test_in_another_namespace():
    need("ip")
    harness.need_root()
    run("ip", "netns", "add", "far")
    inside = ("ip", "netns", "exec", "far")
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "addr", "add", "10.77.0.1/32", "dev", "lo")
    run(*inside, "nft", "add table inet f; add chain inet f in { type filter hook input priority 0; policy drop; }")
    document = trace("--netns", "far", "10.77.0.1", 80, status=1)
    assert document["verdict"]["reason"] == "firewall-policy", document
    run(*inside, "sh", "-c", document["verdict"]["mend"])
    document = trace("--netns", "far", "10.77.0.1", 80, status=1)
    assert document["verdict"]["reason"] == "no-listener", document
    assert document["verdict"]["kernel_reason"] == "NO_SOCKET", document
    run("ip", "netns", "del", "far")


def test_bad_input():
    for args, err in (((OWN4,), "port is missing"), ((OWN4, "x"), '"x" is no port'), ((OWN4, 0), "is no port"),
                      (("--icmp", OWN4, 80), "echo request has no port"), (("--icmp",), "HOST is missing"),
                      (("-u", "--icmp", OWN4), "exclude each other"), ((OWN4, 80, 81), "too many arguments"),
                      (("--reply", "--forward", OWN4, 80), "exclude each other"), ((), "HOST and PORT are missing"),
                      (("--pcap", "-", OWN4, 80), "standard output"), (("--icpm", OWN4), "did you mean --icmp")):
        peer("trace", *args).refused(2, err)


if __name__ == "__main__":
    tracing.main()
