# SPDX-License-Identifier: BSD-3-Clause
"""peer trace: policy routing. Rules look at source, protocol, ports, mark, user and device, and may be about the
packet or about its answer; whatever they look at, the verdict is that of the packet."""
import contextlib
import os
import socket
import threading

import tracing
from harness import OWN4, OWN6, PEER4, PEER6, changes_machine, listening, need_root, run
from tracing import answered, lost, mended, nft, sysctl, trace

SO_MARK, IP_TRANSPARENT = 36, 19


def other_way(*rule, family="-4"):
    """A table 77 that leads out by eth0, and a rule for it. Nothing checks the way back."""
    gateway = "2001:db8:9::fe" if family == "-6" else "10.9.0.254"
    run("ip", family, "route", "replace", "default", "via", gateway, "dev", "eth0", "table", "77")
    run("ip", family, "rule", "add", *rule, "lookup", "77", "pref", "10")
    sysctl("net.ipv4.conf.all.rp_filter", 0)
    sysctl("net.ipv4.conf.default.rp_filter", 0)


def all_errors():
    """The kernel sends one error a second to each machine; here every one is wanted."""
    sysctl("net.ipv4.icmp_ratelimit", 0)
    sysctl("net.ipv6.icmp.ratelimit", 0)


def elsewhere(*args, addr=PEER4, **more):
    """The answer leaves by eth0; the mend brings it back."""
    document = mended("answer-elsewhere", "route", *args, addr=addr, outcome="no answer", **more)
    run("ip", "-6" if ":" in addr else "-4", "rule", "del", "pref", "1")
    return document


# ---- the way back ----

@changes_machine
def test_rules_about_the_own_address():
    """Multi-homing: who is asked at an address answers by that address' provider."""
    for own, addr, family in ((OWN4, PEER4, "-4"), (OWN6, PEER6, "-6")):
        sock, port = listening(own)
        other_way("from", own, family=family)
        elsewhere(own, port, addr=addr)
        sock.close()


@changes_machine
def test_reverse_path_filter_of_a_rule_about_the_own_address():
    sock, port = listening(OWN4)
    other_way("from", OWN4)
    sysctl("net.ipv4.conf.all.rp_filter", 1)
    mended("rp-filter", "route", OWN4, port, kernel="IP_RPFILTER")
    sock.close()


@changes_machine
def test_rules_about_ports_and_protocols():
    sock, port = listening(OWN4)
    other_way("ipproto", "tcp", "sport", str(port))
    elsewhere(OWN4, port)
    answered("--icmp", OWN4)
    run("ip", "rule", "del", "pref", "10")
    other_way("ipproto", "icmp")
    answered(OWN4, port)
    elsewhere("--icmp", OWN4)
    sock.close()


@changes_machine
def test_rules_about_the_user():
    sock, port = listening(OWN4)
    other_way("uidrange", f"{os.geteuid()}-{os.geteuid()}", "to", "198.18.0.0/15")
    elsewhere(OWN4, port)
    sock.close()


@changes_machine
def test_marks_of_output_chains():
    """A chain of type route has the kernel decide again, one of type filter does not."""
    sock, port = listening(OWN4)
    other_way("fwmark", "5")
    table = "table ip m {{\nchain o {{\ntype {0} hook output priority -150\ntcp sport {1} meta mark set 5\n}}\n}}\n"
    nft(table.format("filter", port))
    answered(OWN4, port)
    run("nft", "delete", "table", "ip", "m")
    nft(table.format("route", port))
    lost("answer-elsewhere", "route", OWN4, port, outcome="no answer", mend="^ip rule add to 198.18.7.1 lookup main")
    sock.close()


@changes_machine
def test_marks_of_output_chains_that_lead_nowhere():
    """The kernel says that netfilter dropped it: it was the route that was asked for again."""
    for own, addr, family, table in ((OWN4, PEER4, "-4", "ip"), (OWN6, PEER6, "-6", "ip6")):
        sock, port = listening(own)
        nft(f"table {table} m {{\nchain o {{\ntype route hook output priority -150\ntcp sport {port} meta mark set 5\n"
            "}\n}\n")
        for kind in ("blackhole", "prohibit") if family == "-4" else ("blackhole",):
            run("ip", family, "rule", "add", "fwmark", "5", kind, "pref", "10")
            mended("no-way-back", "route", own, port, addr=addr, outcome="no answer", kernel="NETFILTER_DROP",
                   mend=f"rule add to {addr} lookup main pref 1$")
            run("ip", family, "rule", "del", "pref", "10")
            run("ip", family, "rule", "del", "pref", "1")
        sock.close()


@changes_machine
def test_answers_that_rules_swallow():
    """Nothing counts what a blackhole of IPv6 takes."""
    for own, addr, family in ((OWN4, PEER4, "-4"), (OWN6, PEER6, "-6")):
        sock, port = listening(own)
        run("ip", family, "rule", "add", "from", own, "blackhole", "pref", "10")
        mended("no-way-back", "route", own, port, addr=addr, outcome="no answer")
        sock.close()


@changes_machine
def test_marks_of_the_socket_and_of_the_packet():
    need_root()
    sock, port = listening(OWN4)
    other_way("fwmark", "7")
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, 7)
    elsewhere(OWN4, port)
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, 0)
    nft("table ip m {\nchain p {\ntype filter hook prerouting priority -150\nmeta mark set 7\n}\n}\n")
    document = answered(OWN4, port)
    route = [entry for entry in document["stations"] if entry["station"] == "route"][0]
    assert route["text"].endswith(", mark 0x7"), document
    sysctl("net.ipv4.tcp_fwmark_accept", 1)
    elsewhere(OWN4, port)
    sock.close()


@changes_machine
def test_datagrams_answered_from_another_address():
    sock, port = listening("0.0.0.0", socket.SOCK_DGRAM)
    run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")

    def echo():
        with contextlib.suppress(OSError):
            while True:
                data, caller = sock.recvfrom(100)
                sock.sendto(data, caller)

    threading.Thread(target=echo, daemon=True).start()
    document = trace("-u", OWN4, port, status=1)
    said = document["verdict"]
    assert said["reason"] == "answers-from-other-address" and said["station"] == "socket", document
    assert "the answer comes from 192.0.2.1 rather than from 10.9.0.1" in said["text"], document
    answered("-u", "192.0.2.1", port)
    sock.close()


# ---- the way there ----

@changes_machine
def test_rules_that_refuse():
    """Whether the kernel says so, or "no address of ours" since it does not forward: it was the rule."""
    sock, port = listening(OWN4)
    all_errors()
    run("ip", "rule", "add", "pref", "100", "lookup", "local")
    run("ip", "rule", "del", "pref", "0")
    nft("table ip m {\nchain p {\ntype filter hook prerouting priority -150\nmeta mark set 7\n}\n}\n")
    for forwards in (0, 1):
        sysctl("net.ipv4.ip_forward", forwards)
        for kind, reason in (("blackhole", "blackhole"), ("prohibit", "prohibited"), ("unreachable", "unreachable")):
            run("ip", "rule", "add", "fwmark", "7", kind, "pref", "10")
            mended(reason, "route", OWN4, port, mend="^ip rule del pref 10$",
                   outcome="lost" if kind == "blackhole" or not forwards else "refused")
    sock.close()


@changes_machine
def test_an_own_address_is_never_called_foreign():
    sock, port = listening(OWN4)
    run("ip", "rule", "add", "pref", "100", "lookup", "local")
    run("ip", "rule", "del", "pref", "0")
    other_way("from", "198.18.0.0/15")
    mended("address-hidden", "route", OWN4, port, kernel="IP_INADDRERRORS", mend="^ip rule add pref 0 lookup local$")
    run("ip", "rule", "del", "pref", "10")
    run("ip", "route", "del", "local", OWN4, "table", "local")
    mended("address-unrouted", "route", "--allow-forward", OWN4, port, kernel="IP_INADDRERRORS",
           mend=f"^ip route add local {OWN4} dev eth0 table local$")
    sock.close()


@changes_machine
def test_routes_that_refuse_in_both_families():
    all_errors()
    for addr, target, prefix, forward in ((PEER4, "203.0.113.5", "203.0.113.0/24", "net.ipv4.ip_forward"),
                                          (PEER6, "2001:db8:77::5", "2001:db8:77::/48", "net.ipv6.conf.all.forwarding")):
        sysctl(forward, 1)
        family = "-6" if ":" in addr else "-4"
        for kind, reason in (("blackhole", "blackhole"), ("prohibit", "prohibited"), ("unreachable", "unreachable")):
            run("ip", family, "route", "add", kind, prefix)
            command = lost(reason, "route", "--allow-forward", target, 80, addr=addr,
                           outcome="lost" if kind == "blackhole" else "refused", mend=f"route del {kind} {prefix}$")
            run("sh", "-c", command)
            assert kind not in run("ip", family, "route"), command


# ---- transparent proxies, queues, listeners ----

@changes_machine
def test_a_transparent_proxy():
    need_root()
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    sock.bind(("0.0.0.0", 0))
    sock.listen(8)
    nft("table ip t {\nchain p {\ntype filter hook prerouting priority -150\nip daddr 203.0.113.5 tcp dport 80 "
        f"tproxy to 127.0.0.1:{sock.getsockname()[1]} meta mark set 1 accept\n}}\n}}\n")
    document = mended("tproxy-unrouted", "route", "--allow-forward", "203.0.113.5", 80,
                      mend="^ip rule add fwmark 1 lookup 100; ip route add local default dev lo table 100$")
    socket_line = [entry for entry in document["stations"] if entry["station"] == "socket"][0]
    assert socket_line["text"] == "given to a transparent proxy by a rule", document
    sock.close()


def test_a_listener_of_ipv4_only():
    sock, port = listening("0.0.0.0")
    lost("listens-on-ipv4-only", "socket", OWN6, port, outcome="refused", kernel="NO_SOCKET", addr=PEER6)
    sock.close()


def test_one_full_queue_of_several_at_a_port():
    """SO_REUSEPORT: the ports choose the socket, so that is the one to show."""
    first = socket.socket()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    first.bind((OWN4, 0))
    port = first.getsockname()[1]
    second = socket.socket()
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    second.bind((OWN4, port))
    first.listen(0)
    caller = socket.create_connection((OWN4, port))
    second.listen(64)
    seen = set()
    for seed in range(1, 13):
        document = trace("--seed", seed, OWN4, port)
        said = document["verdict"]
        text = [entry["text"] for entry in document["stations"] if entry["station"] == "socket"][0]
        full = said.get("reason") == "accept-queue-full"
        assert full == ("accept queue 1 of 0" in text) and full != ("of 64" in text), document
        assert full or said["outcome"] == "answered", document
        seen.add(full)
    assert seen == {False, True}, seen
    for each in (caller, first, second):
        each.close()


if __name__ == "__main__":
    tracing.main()
