# SPDX-License-Identifier: BSD-3-Clause
"""peer trace: what drops packets on the device itself, on it from outside, and behind the route.

A device lives as long as its peer. So that something can happen to it before the packet is sent, the
capture is a FIFO: peer makes the device, and waits there until somebody reads.

The kernel's drop reasons that a peer's first packet can meet, and the test that makes each happen
(T: test_trace.py, else here):

    NO_SOCKET                  T nobody_listens, listens_on_...; udp_of_ipv6_without_a_listener
    TCP_CSUM UDP_CSUM ICMP_CSUM  bad_checksum ("corrupt" of the link changes the IP payload)
    IP_INADDRERRORS            T forwarding; ipv6_is_forwarded
    IP_INNOROUTES              T forwarding; ipv6_is_forwarded
    IP_INHDR (time to live)    time_to_live (a rule lowers it: peers send 64 or more)
    NEIGH_FAILED               a_neighbour_is_silent, ipv6_is_forwarded
    IP_LOCAL_SOURCE            own_source
    IP_LOCALNET (target)       T loopback_behind_a_translation
    IP_RPFILTER                T reverse_path_filter...
    no way back                T no_way_back, the_answer_leaves_elsewhere
    NETFILTER_DROP             T the firewall; netdev_ingress, rules_of_iptables_legacy
    accept queue full          T accept_queue_full
    SOCKET_RCVBUFF             T receive_buffer_full
    IPV6DISABLED               ipv6_off
    FULL_RING                  queue_of_the_device_is_full
    device down (EIO, DEV_READY)  device_down, wire_and_card_down
    XDP, TC_INGRESS, TC_EGRESS xdp..., tc..., tcx...

and those that it cannot:

    IP_CSUM PKT_TOO_SMALL HDR_TRUNC  the stack's headers are right, and "corrupt" leaves them alone
    IP_NOPROTO UNHANDLED_PROTO  trace sends TCP, UDP and echo in IPv4 and IPv6, nothing else
    IP_INVALID_SOURCE, source loopback  no peer has such an address: impossible_sources
    OTHERHOST                  the peer asks for the MAC just before; test_wire.py has the card's
    TCP_INVALID_SEQUENCE TCP_OLD_DATA TCP_ACK_UNSENT_DATA  of connections, and a SYN begins one
"""
import ctypes
import json
import os
import re
import shutil
import socket
import struct

import harness
from harness import OWN4, OWN6, PEER4, PEER6, changes_machine, listening, need, need_root, peer, run, until
from test_trace import BLIND, KINDS, Wire, answered, decisions, lost, mended, nft, sees_reasons, sysctl, trace

CARD4 = "10.9.0.7"  # of the card's own subnet


# ---- what happens to a device before the packet ----

def staged(setup, *args, addr=PEER4, blind=False, status=None):
    """The JSON document of a trace; `setup` (for sh, {dev} is the device) is done when the device is there."""
    program = [*BLIND, harness.PEER] if blind else None
    if blind and (not shutil.which("setpriv") or os.geteuid() != 0 or harness.options.outer_uid != 0):
        return None
    fifo = os.path.join(harness.directory, "fifo")
    if not os.path.exists(fifo):
        os.mkfifo(fifo)
    started = harness.Peer("trace", "--json", "--from", addr, "--pcap", fifo, *args, program=program)
    started.close_stdin()
    until("the peer at its capture", lambda: waits_for_reader(started))
    if started.process.poll() is None:
        if callable(setup):
            setup("peer0")
        else:
            run("sh", "-ec", setup.replace("{dev}", "peer0"))
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    result = started.wait()
    os.close(reader)
    if status is not None:
        result.expect(status, lines=0)
    assert result.out, result
    document = json.loads(result.out)
    document["result"] = result
    return document


def waits_for_reader(started):
    """In open(2) of the FIFO: openat is number 257 of x86-64 and 56 of the others."""
    if started.process.poll() is not None:
        return True
    with open(f"/proc/{started.pid}/syscall") as file:
        words = file.read().split()
    if words[0] not in ("257", "56"):
        return False
    return "peer0" in harness.link_names()


def lost_staged(setup, reason, station, *args, outcome="lost", kernel=None, addr=PEER4, mend=None,
                blind_reason=None, after=None):
    """As test_trace.lost(), for what happens to the device; `after` takes back what outlives it."""
    found = []
    for blind in (False, True):
        document = staged(setup, *args, addr=addr, blind=blind)
        if document is None:
            continue
        if after:
            run("sh", "-c", after)
        said = document["verdict"]
        assert said["reason"] == (blind_reason if blind and blind_reason else reason), document
        assert said["station"] == station and said["outcome"] == outcome, document
        document["result"].expect(1, lines=0)
        assert [entry for entry in document["stations"]
                if entry["station"] == station and entry["state"] == "lost"], document
        if kernel and not blind and sees_reasons():
            assert said.get("kernel_reason") == kernel, document
        if mend and not (blind and blind_reason):
            assert re.search(mend, said["mend"]), document
        found.append(said["mend"])
    return found[0]


def mended_staged(setup, reason, station, *args, addr=PEER4, **more):
    """The mend is a command: it is run behind what broke the device, and the packet arrives."""
    command = lost_staged(setup, reason, station, *args, addr=addr, **more)

    def both(dev):
        if callable(setup):
            setup(dev)
        else:
            run("sh", "-ec", setup.replace("{dev}", dev))
        run("sh", "-ec", command)

    document = staged(both, *args, addr=addr, status=0)
    assert document["verdict"]["outcome"] == "answered", document
    return command


# ---- programs of the kernel ----

SYS_BPF = {"x86_64": 321, "aarch64": 280}
BPF_PROG_LOAD, BPF_OBJ_PIN, BPF_LINK_CREATE = 5, 6, 28
SCHED_CLS, XDP = 3, 6
XDP_DROP, XDP_PASS, TC_ACT_SHOT, TC_ACT_OK = 1, 2, 2, 0
TCX_INGRESS = 46


def bpf(command, attributes):
    """bpf(2), or Skip where it may not be asked."""
    number = SYS_BPF.get(os.uname().machine)
    if not number:
        raise harness.Skip("the number of bpf(2) is not known here")
    buf = ctypes.create_string_buffer(attributes, 128)
    done = harness.libc.syscall(number, command, buf, 128)
    if done < 0:
        raise harness.Skip(f"bpf(2): {os.strerror(ctypes.get_errno())}")
    return done


def load(kind, returns):
    """A program of two instructions, r0 = returns; exit. Its descriptor."""
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, returns, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    return bpf(BPF_PROG_LOAD, struct.pack("<IIQQ", kind, 2, ctypes.addressof(code), ctypes.addressof(licence)))


def pinned(kind, returns):
    """The path of such a program, for ip(8) and tc(8)."""
    place = os.path.join(harness.directory, "bpf")
    if not os.path.isdir(place):
        os.mkdir(place)
        harness.mount("none", place, "bpf")
    path = os.path.join(place, f"p{kind}_{returns}")
    program = load(kind, returns)
    name = ctypes.create_string_buffer(path.encode())
    bpf(BPF_OBJ_PIN, struct.pack("<QII", ctypes.addressof(name), program, 0))
    os.close(program)
    return path


def attach_tcx(fds, dev, returns=TC_ACT_SHOT):
    program = load(SCHED_CLS, returns)
    fds.append(bpf(BPF_LINK_CREATE, struct.pack("<IIII", program, socket.if_nametoindex(dev), TCX_INGRESS, 0)))
    os.close(program)


# ---- XDP and tc ----

@changes_machine
def test_xdp_drops():
    need_root()
    path = pinned(XDP, XDP_DROP)
    for kind, own, addr, more in KINDS:
        sock, port = listening(own)
        for mode in ("xdpgeneric", "xdpdrv") if "--tap" in more else ("xdpgeneric",):
            mended_staged(f"ip link set dev {{dev}} {mode} pinned {path}", "xdp", "ingress", *more, own, port,
                          addr=addr, mend=f"^ip link set peer0 {mode} off$")
        sock.close()


@changes_machine
def test_xdp_that_lets_pass_is_only_noted():
    need_root()
    sock, port = listening(OWN4)
    document = staged(f"ip link set dev {{dev}} xdpgeneric pinned {pinned(XDP, XDP_PASS)}", OWN4, port, status=0)
    noted = [entry for entry in document["stations"] if entry["station"] == "ingress"][0]
    assert noted["state"] == "note" and "generic XDP" in noted["text"], document
    sock.close()


@changes_machine
def test_tc_drops():
    need("tc")
    need_root()
    path = pinned(SCHED_CLS, TC_ACT_SHOT)
    for kind, own, addr, more in KINDS:
        sock, port = listening(own)
        protocol = "ipv6" if ":" in own else "ip"
        mended_staged("tc qdisc add dev {dev} clsact; tc filter add dev {dev} ingress "
                      f"protocol {protocol} prio 1 bpf da pinned {path}", "tc", "ingress", *more, own, port,
                      addr=addr, kernel="TC_INGRESS", mend="^tc filter del dev peer0 ingress$")
        sock.close()


@changes_machine
def test_tc_sends_elsewhere():
    need("tc")
    sock, port = listening(OWN4)
    mended_staged("tc qdisc add dev {dev} clsact; tc filter add dev {dev} ingress protocol ip prio 1 "
                  "u32 match ip dport %d 0xffff action mirred egress redirect dev eth0" % port,
                  "tc", "ingress", OWN4, port, mend="^tc filter del dev peer0 ingress$")
    sock.close()


@changes_machine
def test_tc_behind_xdp():
    need("tc")
    need_root()
    sock, port = listening(OWN4)
    tc = "tc qdisc add dev {dev} clsact; tc filter add dev {dev} ingress prio 1 bpf da pinned "
    xdp = "ip link set dev {dev} xdpgeneric pinned "
    mended_staged(f"{xdp}{pinned(XDP, XDP_DROP)}; {tc}{pinned(SCHED_CLS, TC_ACT_OK)}", "xdp", "ingress",
                  OWN4, port, blind_reason="xdp-or-tc")
    mended_staged(f"{xdp}{pinned(XDP, XDP_PASS)}; {tc}{pinned(SCHED_CLS, TC_ACT_SHOT)}", "tc", "ingress",
                  OWN4, port, blind_reason="xdp-or-tc", kernel="TC_INGRESS")
    sock.close()


@changes_machine
def test_tcx_drops():
    need_root()
    fds = []
    os.close(load(SCHED_CLS, TC_ACT_SHOT))  # skips where it may not
    sock, port = listening(OWN4)
    lost_staged(lambda dev: attach_tcx(fds, dev), "tcx", "ingress", OWN4, port, kernel="TC_INGRESS",
                mend="^end what attached the program")

    def attached_and_ended(dev):
        attach_tcx(fds, dev)
        os.close(fds.pop())

    assert staged(attached_and_ended, OWN4, port, status=0)["verdict"]["outcome"] == "answered"
    for fd in fds:
        os.close(fd)
    sock.close()


@changes_machine
def test_tc_drops_the_answer():
    need("tc")
    need_root()
    if not sees_reasons():
        raise harness.Skip("only the kernel's reasons tell of it")
    sock, port = listening(OWN4)
    setup = (f"tc qdisc add dev {{dev}} clsact; tc filter add dev {{dev}} egress prio 1 "
             f"bpf da pinned {pinned(SCHED_CLS, TC_ACT_SHOT)}")
    document = staged(setup, OWN4, port, status=1)
    said = document["verdict"]
    assert (said["reason"], said["station"], said["outcome"]) == ("tc", "egress", "no answer"), document
    assert said["kernel_reason"] == "TC_EGRESS" and said["mend"] == "tc filter del dev peer0 egress", document
    document = staged(f"{setup}; {said['mend']}", OWN4, port, status=0)
    sock.close()


@changes_machine
def test_netdev_ingress():
    sock, port = listening(OWN4)
    need("nft")
    mended_staged("nft 'add table netdev f; add chain netdev f c { type filter hook ingress device \"{dev}\" "
                  "priority 0; }; add rule netdev f c tcp dport %d drop'" % port, "firewall-rule", "netfilter",
                  OWN4, port, kernel="NETFILTER_DROP", after="nft delete table netdev f",
                  mend=f"^nft insert rule netdev f c ip saddr {PEER4} tcp dport {port} accept$")
    sock.close()


# ---- the device ----

@changes_machine
def test_device_down():
    for kind, own, addr, more in KINDS:
        sock, port = listening(own)
        mended_staged("ip link set {dev} down", "device-down", "device", *more, own, port, addr=addr,
                      mend="^ip link set peer0 up && ")
        sock.close()


@changes_machine
def test_ipv6_off():
    for kind, own, addr, more in KINDS:
        if ":" not in own:
            continue
        sock, port = listening(own)
        mended_staged("echo 1 >/proc/sys/net/ipv6/conf/{dev}/disable_ipv6", "ipv6-off", "device", *more, own, port,
                      addr=addr, kernel="IPV6DISABLED",
                      mend=r"^sysctl -w net\.ipv6\.conf\.peer0\.disable_ipv6=0 && ")
        sock.close()


@changes_machine
def test_ipv6_off_for_all_new_devices_is_refused():
    sock, port = listening(OWN6)
    sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    for more in ((), ("--tap",)):
        peer("trace", "--from", PEER6, *more, OWN6, port).refused(3, "IPv6 is disabled on")
    sock.close()


@changes_machine
def test_queue_of_the_device_is_full():
    sock, port = listening(OWN4)
    caller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def fill(dev):
        run("ip", "link", "set", dev, "txqueuelen", "1")
        for _ in range(3):
            caller.sendto(b"x", (PEER4, 9))

    mended_staged(fill, "ring-full", "device", OWN4, port, outcome="no answer", kernel="FULL_RING",
                  mend="^ip link set peer0 txqueuelen 20000$")
    caller.close()
    sock.close()


@changes_machine
def test_own_source():
    for own, addr, outcome, kernel in ((OWN4, PEER4, "lost", "IP_LOCAL_SOURCE"), (OWN6, PEER6, "no answer", None)):
        sock, port = listening(own)
        length = 128 if ":" in own else 32
        mended_staged(f"ip addr add {addr}/{length} dev eth0 {'nodad' if ':' in own else ''}", "own-source", "route",
                      own, port, addr=addr, outcome=outcome, kernel=kernel,
                      after=f"ip addr del {addr}/{length} dev eth0", mend=f"^ip addr del {addr}/{length} dev eth0$")
        run("ip", "addr", "add", f"{addr}/{length}", "dev", "eth0")
        peer("trace", "--from", addr, own, port).refused(3, "is this machine's own address, on eth0")
        run("ip", "addr", "del", f"{addr}/{length}", "dev", "eth0")
        sock.close()


def test_impossible_sources():
    for addr, target in (("224.0.0.1", OWN4), ("127.0.0.1", OWN4), ("0.0.0.0", OWN4), ("255.255.255.255", OWN4),
                         ("ff02::1", OWN6), ("::1", OWN6), ("::", OWN6)):
        peer("trace", "--from", addr, target, 80).refused(2, "no peer can have it")


# ---- checksums, listeners ----

def test_bad_checksum():
    """The mend is to take the impairment off: then it arrives."""
    for own, addr in ((OWN4, PEER4), (OWN6, PEER6)):
        sock, port = listening(own)
        silent, silent_port = listening(own, socket.SOCK_DGRAM)
        for more, kernel in (((own, port), "TCP_CSUM"), (("-u", own, silent_port), "UDP_CSUM"),
                             (("--icmp", own), "ICMP_CSUM")):
            lost("bad-checksum", "socket", "--uplink", "corrupt 100%", "--seed", 7, *more, addr=addr, kernel=kernel,
                 mend='^take "corrupt" off the link$')
            outcome = trace(*more, addr=addr, status=0)["verdict"]["outcome"]
            assert outcome == ("arrived" if "-u" in more else "answered"), more
        silent.close()
        sock.close()


def test_udp_of_ipv6_without_a_listener():
    sock, port = listening(OWN6, socket.SOCK_DGRAM)
    sock.close()
    lost("no-listener", "socket", "-u", OWN6, port, outcome="refused", kernel="NO_SOCKET", addr=PEER6)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind((OWN6, port))
    assert trace("-u", OWN6, port, addr=PEER6, status=0)["verdict"]["outcome"] == "arrived"
    sock.close()


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


# ---- rules that nftables does not show ----

@changes_machine
def test_rules_of_iptables_legacy():
    need("iptables-legacy", "ip6tables-legacy")
    need_root()
    for own, addr, tables in ((OWN4, PEER4, "iptables-legacy"), (OWN6, PEER6, "ip6tables-legacy")):
        sock, port = listening(own)
        for chain, which, way, outcome in (("INPUT", "dport", "s", "lost"), ("OUTPUT", "sport", "d", "no answer")):
            run(tables, "-A", chain, "-p", "tcp", f"--{which}", str(port), "-j", "DROP")
            mended("other-hook", "netfilter", own, port, addr=addr, kernel="NETFILTER_DROP", outcome=outcome,
                   mend=f"^{tables} -I {chain} -{way} {addr} -p tcp --{which} {port} -j ACCEPT$")
            run(tables, "-F", chain)
        sock.close()


# ---- on the wire of a card ----

@changes_machine
def test_xdp_and_tc_on_the_card():
    need("tc")
    need_root()
    server = harness.Server(lambda connection, address: None, callers=64)
    args = ("--wire", "eth0", OWN4, server.port)
    run("ip", "link", "set", "dev", "eth0", "xdpgeneric", "pinned", pinned(XDP, XDP_DROP))
    # What mirred redirects (and not tcx, where bpf(2) is not permitted) does not see generic XDP.
    document = trace(*args, addr=CARD4, status=1)
    said = document["verdict"]
    assert said["reason"] == "xdp" and said["mend"] == "ip link set eth0 xdpgeneric off", document
    run("sh", "-c", said["mend"])
    answered(*args, addr=CARD4)
    run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    run("tc", "filter", "add", "dev", "eth0", "ingress", "prio", "1", "bpf", "da", "pinned",
        pinned(SCHED_CLS, TC_ACT_SHOT))
    mended("tc", "ingress", *args, addr=CARD4, mend="^tc filter del dev eth0 ingress$")
    nft("table netdev f {\nchain c {\ntype filter hook ingress device eth0 priority 0\n"
        f"tcp dport {server.port} drop\n}}\n}}\n")
    document = mended("firewall-rule", "netfilter", *args, addr=CARD4)
    assert decisions(document)[0][0] == "ingress netdev/f/c 0", document


@changes_machine
def test_wire_and_card_down():
    server = harness.Server(lambda connection, address: None, callers=64)
    args = ("--wire", "eth0", OWN4, server.port)
    for down in ("{dev}", "eth0"):
        name = down.replace("{dev}", "peer0")
        command = lost_staged(f"ip link set {down} down", "device-down", "device", *args, addr=CARD4,
                              mend=f"^ip link set {name} up$", after="ip link set eth0 up")

        def both(dev):
            run("ip", "link", "set", name, "down")
            run("sh", "-ec", command)
            until("the carrier of eth0", lambda: "NO-CARRIER" not in run("ip", "link"))

        assert staged(both, *args, addr=CARD4, status=0)["verdict"]["outcome"] == "answered"


if __name__ == "__main__":
    harness.main()
