# SPDX-License-Identifier: BSD-3-Clause
"""peer ping, peer doctor, --help and --version."""
import json
import os
import re
import signal

import harness
from harness import OWN4, OWN6, PEER4, PEER6, Peer, peer, run

COMMANDS = ("connect", "listen", "ping", "soak", "doctor")


def test_ping_prints_a_summary():
    for own, addr, more in ((OWN4, PEER4, ()), (OWN6, PEER6, ()), (OWN4, PEER4, ("--tap",)), (OWN6, PEER6, ("--tap",))):
        result = peer("ping", "-c", "3", "-i", "50ms", *more, "--from", addr, own).expect(0, lines=0)
        text = result.out.decode()
        assert f"ping {own} from {addr}: 56 bytes of payload" in text, result
        lines = re.findall(rf"^64 bytes from {own}: seq=(\d) ttl=64 time=[\d.]+ [mu]s$", text, re.MULTILINE)
        assert lines == ["1", "2", "3"], result
        assert "3 sent, 3 received, 0% lost" in text, result
        low, mean, high, _ = map(float, re.search(r"min/avg/max/mdev = ([\d.]+)/([\d.]+)/([\d.]+)/([\d.]+) ms",
                                                  text).groups())
        assert 0 < low <= mean <= high, result


def test_ping_sizes():
    for size in (0, 1, 1472, 1473, 20000, 65507):
        peer("ping", "-c", "1", "--size", size, OWN4).expect(0, out=f"{size + 8} bytes from {OWN4}: seq=1", lines=0)
    for size in (0, 1452, 1453, 20000):
        peer("ping", "-c", "1", "--size", size, OWN6).expect(0, out=f"{size + 8} bytes from {OWN6}: seq=1", lines=0)


def test_ping_quiet():
    result = peer("ping", "--quiet", "-c", "2", "-i", "10ms", OWN4).expect(0, out="2 sent, 2 received", lines=0)
    assert "seq=" not in result.out.decode(), result


def test_ping_json():
    result = peer("ping", "--json", "-c", "3", "-i", "10ms", "--seed", "7", "--from", PEER4, OWN4).expect(0, lines=0)
    document = json.loads(result.out)
    assert document["command"] == "ping" and document["target"] == OWN4 and document["from"] == PEER4, document
    assert document["seed"] == 7 and document["requests"] == {"sent": 3, "completed": 3}, document
    latency = document["latency_us"]["request"]
    assert 0 < latency["min"] <= latency["mean"] <= latency["max"], document
    assert document["device"]["kind"] == "tun" and document["device"]["mtu"] == 1500, document


@harness.changes_machine
def test_ping_without_an_answer():
    harness.need("nft")
    run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; "
        "add rule inet t in meta l4proto { icmp, ipv6-icmp } drop")
    peer("ping", "-c", "2", "-i", "10ms", "-w", "0.2", OWN4).expect(1, out="2 sent, 0 received, 100% lost", lines=0)
    result = peer("ping", "-c", "1", "-w", "0.2", "--json", OWN4).expect(1, lines=0)
    document = json.loads(result.out)
    assert document["requests"] == {"sent": 1, "completed": 0} and "latency_us" not in document, document


def test_ping_until_ctrl_c():
    started = Peer("ping", "-i", "20ms", OWN4)
    started.wait_out(rb"seq=3 ")
    started.stop().expect(0, out=r"\d+ sent, \d+ received, 0% lost", lines=0)
    started = Peer("ping", "--json", OWN4)
    harness.until("the device", harness.peer_links)
    started.signal(signal.SIGTERM)
    result = started.wait()
    assert result.status in (0, 1, -signal.SIGTERM), result


def test_doctor_finds_nothing_wrong_here():
    harness.need_root()
    harness.own_node()
    result = peer("doctor").expect(0, out="This machine can run peer", lines=0)
    names = re.findall(r"^(?:ok|note|problem) +([a-z0-9-]+) ", result.out.decode(), re.MULTILINE)
    assert {"kernel", "device-node", "capability", "user-namespaces", "exec", "ipv6", "rp-filter", "routes",
            "conntrack"} <= set(names), names


def test_doctor_json():
    document = json.loads(peer("doctor", "--json").expect(0, lines=0).out)
    assert document["command"] == "doctor" and document["problems"] == 0, document
    for check in document["checks"]:
        assert check["status"] in ("ok", "note", "problem") and check["name"] and check["text"], check


@harness.changes_machine
def test_doctor_finds_problems():
    run("ip", "route", "add", "198.18.0.0/16", "via", "10.9.0.254")
    peer("doctor").expect(3, out=r"problem +routes .*198\.18\.0\.0/1[56].*\n.*--from")
    peer("doctor", "--from", "203.0.113.0/24").expect(0)
    peer("doctor", "--from", "nonsense").expect(3, out="nonsense")
    harness.mount("none", "/dev/net", "tmpfs")
    result = peer("doctor", "--json", "--from", "203.0.113.0/24").expect(3)
    checks = {check["name"]: check for check in json.loads(result.out)["checks"]}
    assert checks["device-node"]["status"] == "problem" and "modprobe tun" in checks["device-node"]["mend"], checks


def test_doctor_for_an_ordinary_user():
    harness.need_root()
    harness.own_node()
    peer("doctor", nobody=True).expect(0, out="note +capability .*--isolate").expect(
        0, out="ok +exec +exec works with --isolate")
    os.chmod("/dev/net/tun", 0o600)
    peer("doctor", nobody=True).expect(3, out=r"problem +device-node .*permission denied\n.*chmod 0666")


def without_namespaces():
    """In a user namespace of its own, whose limits are its own too."""
    harness.unshare(harness.CLONE_NEWUSER)
    for path, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        with open(f"/proc/self/{path}", "w") as file:
            file.write(text)
    harness.sysctl("user.max_net_namespaces", 0)


def test_doctor_names_what_bars_exec():
    harness.need_root()
    harness.own_node()
    peer("doctor", prepare=without_namespaces).expect(
        0, out=r"note +exec +cannot make an isolated network namespace: network namespaces are switched off\n"
        r" +try \"sudo sysctl -w user\.max_net_namespaces=10000\"")
    os.chmod("/dev/net/tun", 0o600)
    peer("doctor", nobody=True).expect(3, out=r"problem +exec +/dev/net/tun may not be opened.*\n.*chmod 0666")


def test_help():
    text = peer("--help").expect(0, lines=0).out.decode()
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", text, re.MULTILINE), text
        for args in ((command, "--help"), (command, "-h"), ("help", command)):
            help_text = peer(*args).expect(0, lines=0).out.decode()
            assert help_text.startswith(f"usage: peer {command} "), help_text
            assert re.search(r"^  -h, --help", help_text, re.MULTILINE), help_text
            assert max(map(len, help_text.splitlines())) <= 110, help_text
            groups = help_text.count(":\n  -") + help_text.count(":\n      --")
            assert groups >= (8 if command == "soak" else 0), help_text
    assert peer("-h").out == peer("help").out == peer("--help").out


def test_help_of_what_does_not_exist():
    peer("help", "conect").refused(2, 'unknown command "conect"')


def test_version():
    for option in ("--version", "-V"):
        peer(option).expect(0, out=r"^peer \d+\.\d+\.\d+\n$", lines=0)


if __name__ == "__main__":
    harness.main()
