# SPDX-License-Identifier: BSD-3-Clause
"""peer trace: each loss that a peer can meet is made to happen, named, mended, and gone.

As root every loss is traced twice: with the kernel's drop reasons, and without the capabilities that
they need, where counters and look-ups must lead to the same verdict.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import harness
from harness import OWN4, OWN6, PEER4, PEER6, changes_machine, listening, need, peer, run
from test_namespaces import PYTHON, SERVER

KINDS = (("tun4", OWN4, PEER4, ()), ("tun6", OWN6, PEER6, ()), ("tap4", OWN4, PEER4, ("--tap",)),
         ("tap6", OWN6, PEER6, ("--tap",)))
BLIND = ["setpriv", "--bounding-set", "-perfmon,-sys_admin,-bpf"]


def trace(*args, blind=False, addr=PEER4, status=None):
    """The JSON document."""
    program = None
    if blind:
        if not shutil.which("setpriv") or os.geteuid() != 0 or harness.options.outer_uid != 0:
            return None
        program = [*BLIND, harness.PEER]
    result = peer("trace", "--json", "--from", addr, *args, program=program)
    if status is not None:
        result.expect(status, lines=0)
    assert result.out, result
    document = json.loads(result.out)
    document["result"] = result
    return document


def verdict(document):
    found = dict(document["verdict"])
    found["status"] = document["result"].status
    return found


def sees_reasons():
    return harness.options.outer_uid == 0


def lost(reason, station, *args, outcome="lost", kernel=None, addr=PEER4, mend=None, silent=None):
    """Traces with and without privileges; returns the mend. `silent`: a neighbour that does not answer."""
    found = []
    for blind in (False, True):
        document = trace(*args, blind=blind, addr=addr)
        if document is None:
            continue
        if silent:
            forget_neighbour(silent)
        said = verdict(document)
        assert said["reason"] == reason and said["station"] == station, document
        assert said["outcome"] == outcome and said["status"] == 1, document
        if kernel and not blind and sees_reasons():
            assert said.get("kernel_reason") == kernel, document
        if blind:
            assert "kernel_reason" not in said, document
            assert any(entry["state"] == "unseen" and "root" in entry["text"]
                       for entry in document["stations"]), document
        if mend:
            assert re.search(mend, said["mend"]), document
        found.append(said["mend"])
    return found[0]


def forget_neighbour(addr):
    """The kernel goes on asking for it, and tells whoever sends next that the asking failed: off with the entry, and
    with its timer and what waits for it."""
    run("ip", "neigh", "del", addr, "dev", "eth0", check=False)
    assert addr not in run("ip", "neigh", "show", "dev", "eth0", "nud", "incomplete").split()


def answered(*args, addr=PEER4):
    document = trace(*args, addr=addr, status=0)
    assert document["verdict"]["outcome"] == "answered", document
    return document


def mended(reason, station, *args, **more):
    """The mend is a command: it is run, and the packet arrives."""
    command = lost(reason, station, *args, **more)
    run("sh", "-c", command)
    return answered(*args, addr=more.get("addr", PEER4))


def nft(rules):
    need("nft")
    run("nft", "-f", "-", input=rules)


def sysctl(name, value):
    with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
        file.write(str(value))


def decisions(document, way="there"):
    """(where, text) of what netfilter decided."""
    return [(entry["where"], entry["text"]) for entry in document["stations"]
            if entry["station"] == "netfilter" and entry["way"] == way and entry["text"] != "no rules here"]


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


# ---- routes ----

def mislead(action):
    """A rule for the way back that comes before the device's own route."""
    run("ip", "route", "add", "default", "via", "10.9.0.254", "dev", "eth0", "table", "77")
    run("ip", "rule", "add", "to", "198.18.0.0/15", *action)


@changes_machine
def test_reverse_path_filter():
    sock, port = listening(OWN4)
    mislead(("lookup", "77"))
    sysctl("net.ipv4.conf.all.rp_filter", 1)
    mended("rp-filter", "route", OWN4, port, kernel="IP_RPFILTER", mend="^ip rule add to 198.18.7.1 lookup main pref 1$")
    sock.close()


@changes_machine
def test_reverse_path_filter_without_any_way_back():
    sock, port = listening(OWN4)
    mislead(("unreachable",))
    sysctl("net.ipv4.conf.all.rp_filter", 1)
    mended("rp-filter", "route", OWN4, port, kernel="IP_RPFILTER")
    sock.close()


@changes_machine
def test_no_way_back():
    sock, port = listening(OWN4)
    mislead(("unreachable",))
    sysctl("net.ipv4.conf.all.rp_filter", 0)
    sysctl("net.ipv4.conf.default.rp_filter", 0)
    mended("no-way-back", "route", OWN4, port, outcome="no answer")
    sock.close()


@changes_machine
def test_the_answer_leaves_elsewhere():
    sock, port = listening(OWN4)
    mislead(("lookup", "77"))
    sysctl("net.ipv4.conf.all.rp_filter", 0)
    sysctl("net.ipv4.conf.default.rp_filter", 0)
    document = trace(OWN4, port)
    assert "leaves by eth0 rather than by peer" in document["verdict"]["text"], document
    mended("answer-elsewhere", "route", OWN4, port, outcome="no answer")
    sock.close()


@changes_machine
def test_loopback_behind_a_translation():
    sock, port = listening("127.0.0.1")
    nft("table ip n {\nchain pre {\ntype nat hook prerouting priority -100\n"
        f"tcp dport 8080 dnat to 127.0.0.1:{port}\n}}\n}}\n")
    document = mended("loopback-from-outside", "route", OWN4, 8080, kernel="IP_LOCALNET",
                      mend=r"^sysctl -w net\.ipv4\.conf\.all\.route_localnet=1$")
    assert f"arrived at 127.0.0.1:{port}" in document["verdict"]["text"], document
    run("nft", "delete", "table", "ip", "n")
    sock.close()


def test_loopback_itself_is_not_sent_to():
    document = trace("127.0.0.1", 80, status=1)
    assert document["verdict"]["reason"] == "loopback-from-outside", document
    assert "nothing is sent" in document["stations"][0]["text"], document


class Wire:
    """A machine at the other end of eth0, 10.9.0.254, with a server and a route back to the peers."""

    def __init__(self):
        need("unshare", "nsenter")
        path = os.path.join(harness.directory, "server.py")
        with open(path, "w") as file:
            file.write(SERVER)
        self.process = subprocess.Popen(
            ["unshare", "-n", PYTHON, path, "0.0.0.0"], stderr=subprocess.DEVNULL,
            preexec_fn=lambda: harness.libc.prctl(harness.PR_SET_PDEATHSIG, signal.SIGKILL))
        own = os.readlink("/proc/self/ns/net")
        harness.until("the other namespace", lambda: self.namespace() not in (None, own))
        run("ip", "link", "set", "wire", "netns", str(self.process.pid))
        for command in ("link set lo up", "addr add 10.9.0.254/24 dev wire", "link set wire up",
                        "route add 198.18.0.0/15 via 10.9.0.1"):
            run("nsenter", "-t", str(self.process.pid), "-n", "ip", *command.split())
        harness.until("the server on the wire", self.serves)

    def namespace(self):
        try:
            return os.readlink(f"/proc/{self.process.pid}/ns/net")
        except OSError:
            return None

    def serves(self):
        with open(f"/proc/{self.process.pid}/net/tcp") as file:
            return ":1F40 " in file.read()

    def end(self):
        self.process.kill()
        self.process.wait()


@changes_machine
def test_forwarding():
    harness.need_root()
    wire = Wire()
    target = ("--allow-forward", "10.9.0.254", 8000)
    sysctl("net.ipv4.ip_forward", 0)
    document = mended("forwarding-off", "route", *target, kernel="IP_INADDRERRORS",
                      mend=r"^sysctl -w net\.ipv4\.ip_forward=1$")
    route = [entry for entry in document["stations"] if entry["station"] == "route"][0]
    assert "forwarded to a neighbour" in route["text"] and route["where"] == "eth0", document
    nft("table inet f {\nchain through {\ntype filter hook forward priority 0\npolicy drop\n}\n}\n")
    run("sh", "-c", lost("firewall-policy", "netfilter", *target, kernel="NETFILTER_DROP",
                         mend=f"ip saddr {PEER4} tcp dport 8000 accept"))
    document = mended("firewall-policy", "netfilter", *target, outcome="no answer",
                      mend=f"ip daddr {PEER4} tcp sport 8000 accept")
    assert decisions(document)[0][0] == "forward inet/f/through 0", document
    run("nft", "delete", "table", "inet", "f")
    run("ip", "route", "del", "default")
    lost("no-route", "route", "--allow-forward", "203.0.113.5", 80, outcome="refused", kernel="IP_INNOROUTES",
         mend="ip route add 203.0.113.5 via GATEWAY dev DEVICE")
    run("ip", "route", "add", "203.0.113.5", "via", "10.9.0.254")
    run("nsenter", "-t", str(wire.process.pid), "-n", "ip", "addr", "add", "203.0.113.5/32", "dev", "lo")
    answered("--allow-forward", "203.0.113.5", 8000)
    lost("neighbour-failed", "route", "--allow-forward", "10.9.0.77", 8000, silent="10.9.0.77")
    wire.end()


def test_foreign_hosts_need_forward():
    peer("trace", "203.0.113.5", 80).refused(3, "is no address of this machine")
    document = trace("--forward", "203.0.113.5", 80, status=1)
    assert document["verdict"]["reason"] == "forwarding-off", document
    assert document["verdict"]["mend"] == "sysctl -w net.ipv4.ip_forward=1"


@changes_machine
def test_forward_lists_what_would_be_asked():
    sysctl("net.ipv4.ip_forward", 1)
    nft("table inet f {\nchain through {\ntype filter hook forward priority 7\npolicy drop\n}\n}\n")
    document = trace("--forward", "203.0.113.5", 80, status=0)
    assert ("forward inet/f/through 7", "filter chain, policy drop: would be asked") in decisions(document), document
    assert document["verdict"]["text"] == "it would be forwarded by eth0", document


# ---- the firewall ----

@changes_machine
def test_rules_with_sets_and_jumps():
    sock, port = listening(OWN4)
    nft(f"""table inet f {{
set bad {{
type ipv4_addr
flags interval
elements = {{ 198.18.7.0/24 }}
}}
chain web {{
ip saddr @bad counter drop comment "bad people"
}}
chain in {{
type filter hook input priority 0
tcp dport {{ 9, {port} }} jump web
}}
}}
""")
    document = trace(OWN4, port)
    ports = ", ".join(map(str, sorted((9, port))))
    assert decisions(document) == [
        ("input inet/f/in 0", f"rule 4: tcp dport {{ {ports} }} jump web"),
        ("input inet/f/web", 'rule 3: ip saddr @bad counter drop comment "bad people"')] or \
        [text.split(": ", 1)[1] for _, text in decisions(document)] == [
            f"tcp dport {{ {ports} }} jump web", 'ip saddr @bad counter drop comment "bad people"'], document
    document = mended("firewall-rule", "netfilter", OWN4, port, kernel="NETFILTER_DROP",
                      mend=f"^nft insert rule inet f web ip saddr {PEER4} tcp dport {port} accept$")
    assert len(decisions(document)) == 2, document
    sock.close()


@changes_machine
def test_every_hook_that_drops_is_named():
    sock, port = listening(OWN4)
    for hook, match in (("prerouting", f'iifname "peer*" tcp dport {port}'), ("input", f"tcp dport {port}"),
                        ("output", f"tcp sport {port}"), ("postrouting", f'oifname "peer*" tcp sport {port}')):
        back = hook in ("output", "postrouting")
        for priority in (-300, 200):
            nft(f"table ip f {{\nchain c {{\ntype filter hook {hook} priority {priority}\n{match} drop\n}}\n}}\n")
            document = mended("firewall-rule", "netfilter", OWN4, port, kernel="NETFILTER_DROP",
                              outcome="no answer" if back else "lost")
            where = decisions(document, "back" if back else "there")[0][0]
            assert where == f"{hook} ip/f/c {priority}", document
            run("nft", "delete", "table", "ip", "f")
    sock.close()


@changes_machine
def test_rejecting_rules_are_told_from_silence():
    sock, port = listening(OWN4)
    nft("table inet f {\nchain in {\ntype filter hook input priority 0\n"
        "meta l4proto tcp reject with tcp reset\n}\n}\n")
    document = trace(OWN4, port)
    assert "rejects it" in document["verdict"]["text"], document
    mended("firewall-rule", "netfilter", OWN4, port, outcome="refused")
    sock.close()


@changes_machine
def test_ipv6_and_policies():
    sock, port = listening(OWN6)
    nft("table ip6 f {\nchain in {\ntype filter hook input priority 0\npolicy drop\n}\n}\n")
    mended("firewall-policy", "netfilter", OWN6, port, addr=PEER6, kernel="NETFILTER_DROP",
           mend=f"^nft insert rule ip6 f in ip6 saddr {PEER6} tcp dport {port} accept$")
    sock.close()


@changes_machine
def test_rules_of_iptables():
    need("iptables-nft")
    sock, port = listening(OWN4)
    rule = ("-p", "tcp", "--dport", str(port), "-m", "comment", "--comment", "why not", "-j", "DROP")
    run("iptables-nft", "-N", "WEB")
    run("iptables-nft", "-A", "WEB", *rule)
    run("iptables-nft", "-A", "INPUT", "-i", "peer+", "-j", "WEB")
    document = trace(OWN4, port)
    texts = [text.split(": ", 1)[1] for _, text in decisions(document)]
    assert texts == ['iifname "peer*" counter jump WEB',
                     f'tcp dport {port} comment "why not" counter drop'], document
    command = lost("firewall-rule", "netfilter", OWN4, port, kernel="NETFILTER_DROP",
                   mend=f"^iptables -t filter -I WEB -s {PEER4} -p tcp --dport {port} -j ACCEPT$")
    run("sh", "-c", command.replace("iptables", "iptables-nft", 1))
    answered(OWN4, port)
    sock.close()


@changes_machine
def test_translations_are_followed_to_the_socket():
    sock, port = listening("0.0.0.0")
    for rule, arrives in ((f"redirect to :{port}", f"10.66.0.1:{port}"), (f"dnat to {OWN4}:{port}", f"{OWN4}:{port}")):
        nft("table ip n {\nchain pre {\ntype nat hook prerouting priority -100\n"
            f"tcp dport 8080 {rule}\n}}\n}}\n")
        document = answered("--local", "10.66.0.1/32", OWN4, 8080)
        assert decisions(document)[0][1].endswith(f": tcp dport 8080 {rule}"), document
        assert document["verdict"]["text"].startswith(f"arrived at {arrives}:"), document
        where = [entry["where"] for entry in document["stations"] if entry["station"] == "socket"]
        assert where == [f"0.0.0.0:{port}"], document
        run("nft", "delete", "table", "ip", "n")
    sock.close()


@changes_machine
def test_a_redirection_needs_an_address_to_lead_to():
    sock, port = listening("0.0.0.0")
    nft("table ip n {\nchain pre {\ntype nat hook prerouting priority -100\n"
        f"tcp dport 8080 redirect to :{port}\n}}\n}}\n")
    lost("redirect-without-address", "netfilter", OWN4, 8080, kernel="NETFILTER_DROP", mend="--local")
    answered("--local", "10.66.0.1/32", OWN4, 8080)
    sock.close()


@changes_machine
def test_counters_and_conntrack_of_others_stay():
    need("nft")
    sock, port = listening(OWN4)
    nft("table inet f {\nchain in {\ntype filter hook input priority 0\n"
        'iifname "lo" counter\n}\n}\n')
    before = run("nft", "list", "ruleset")
    answered(OWN4, port)
    assert run("nft", "list", "ruleset") == before
    assert not os.path.exists("/proc/net/nf_conntrack") or not open("/proc/net/nf_conntrack").read()
    sock.close()


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
    harness.main()
