# SPDX-License-Identifier: BSD-3-Clause
"""peer trace: what the route decision and the neighbours lose, is named, mended, and gone."""
import harness
import tracing
from harness import OWN4, OWN6, PEER4, PEER6, changes_machine, listening, need_root, peer, run
from tracing import Wire, answered, decisions, lost, mended, nft, sysctl, trace


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
    # Of another peer: the kernel tells one machine of five errors, and then of one a second (ip_error), and takes
    # from the same account for each ICMP message unless that limit is off.
    sysctl("net.ipv4.icmp_ratelimit", 0)
    lost("no-route", "route", "--allow-forward", "203.0.113.5", 80, outcome="refused", kernel="IP_INNOROUTES",
         addr="198.18.7.2", mend="ip route add 203.0.113.5 via GATEWAY dev DEVICE")
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


# ---- behind the route ----

PATIENT = ("-w", "20")  # a neighbour that was silent is asked again a second later


def on_the_wire(wire, *command):
    run("nsenter", "-t", str(wire.process.pid), "-n", *command)


def wire_with_both():
    """A machine behind eth0 that serves both families."""
    wire = Wire()
    run("ip", "addr", "add", "fe80::1/64", "dev", "eth0", "nodad")  # who has none solicits nobody
    on_the_wire(wire, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/wire/accept_dad")
    on_the_wire(wire, "ip", "addr", "add", "2001:db8:9::fe/64", "dev", "wire", "nodad")
    on_the_wire(wire, "ip", "-6", "route", "add", "2001:2::/48", "via", OWN6)
    return wire


@changes_machine
def test_a_neighbour_is_silent():
    need_root()
    wire = wire_with_both()
    sysctl("net.ipv4.ip_forward", 1)
    lost("neighbour-failed", "route", "--allow-forward", "10.9.0.77", 8000, silent="10.9.0.77",
         mend="^start 10.9.0.77, or name another")
    on_the_wire(wire, "ip", "addr", "add", "10.9.0.77/24", "dev", "wire")
    answered(*PATIENT, "--allow-forward", "10.9.0.77", 8000)
    run("ip", "route", "add", "203.0.113.0/24", "via", "10.9.0.78")
    mend = lost("neighbour-failed", "route", "--allow-forward", "203.0.113.5", 8000, silent="10.9.0.78",
                mend="^start 10.9.0.78, or ")
    on_the_wire(wire, "ip", "addr", "add", "203.0.113.5/32", "dev", "lo")
    run("sh", "-c", mend.split(": ")[1].replace("GATEWAY", "10.9.0.254").replace("DEVICE", "eth0"))
    answered(*PATIENT, "--allow-forward", "203.0.113.5", 8000)
    wire.end()


@changes_machine
def test_ipv6_is_forwarded():
    need_root()
    wire = wire_with_both()
    foreign = ("--icmp", "--allow-forward")  # the server over there knows IPv4 only
    mended("forwarding-off", "route", *foreign, "2001:db8:9::fe", addr=PEER6, kernel="IP_INADDRERRORS",
           mend=r"^sysctl -w net\.ipv6\.conf\.all\.forwarding=1$")
    run("ip", "-6", "route", "del", "default", check=False)
    mend = lost("no-route", "route", *foreign, "2001:db8:5::77", outcome="refused", addr=PEER6,
                kernel="IP_INNOROUTES", mend="^ip -6 route add 2001:db8:5::77 via GATEWAY dev DEVICE$")
    run("sh", "-c", mend.replace("GATEWAY", "2001:db8:9::fe").replace("DEVICE", "eth0"))
    on_the_wire(wire, "ip", "addr", "add", "2001:db8:5::77/128", "dev", "lo")
    answered(*foreign, "2001:db8:5::77", addr=PEER6)
    lost("neighbour-failed", "route", *foreign, "2001:db8:9::77", addr=PEER6, silent="2001:db8:9::77",
         mend="^start 2001:db8:9::77, or name another: ip -6 route replace ")
    on_the_wire(wire, "ip", "addr", "add", "2001:db8:9::77/64", "dev", "wire", "nodad")
    answered(*PATIENT, *foreign, "2001:db8:9::77", addr=PEER6)
    wire.end()


@changes_machine
def test_time_to_live():
    need_root()
    wire = wire_with_both()
    sysctl("net.ipv4.ip_forward", 1)
    sysctl("net.ipv6.conf.all.forwarding", 1)
    rules = "table {0} f {{\nchain pre {{\ntype filter hook prerouting priority 0\n{0} {1} set 1\n}}\n}}\n"
    nft(rules.format("ip", "ttl"))
    nft(rules.format("ip6", "hoplimit"))
    mended("ttl-over", "route", "--allow-forward", "10.9.0.254", 8000, outcome="refused", kernel="IP_INHDR",
           mend="^nft delete rule ip f pre handle 2$")
    mended("ttl-over", "route", "--icmp", "--allow-forward", "2001:db8:9::fe", outcome="refused", addr=PEER6,
           kernel="IP_INHDR", mend="^nft delete rule ip6 f pre handle 2$")
    wire.end()


@changes_machine
def test_routes_that_refuse():
    need_root()
    wire = wire_with_both()
    sysctl("net.ipv4.ip_forward", 1)
    on_the_wire(wire, "ip", "addr", "add", "203.0.113.5/32", "dev", "lo")
    for kind, reason in (("blackhole", "blackhole"), ("prohibit", "prohibited")):
        run("ip", "route", "add", kind, "203.0.113.0/24")
        mended(reason, "route", "--allow-forward", "203.0.113.5", 8000,
               outcome="lost" if kind == "blackhole" else "refused", mend=f"^ip route del {kind} 203.0.113.0/24$")
    wire.end()


if __name__ == "__main__":
    tracing.main()
