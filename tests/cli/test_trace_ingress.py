# SPDX-License-Identifier: BSD-3-Clause
"""peer trace: programs on the device, and on the card behind which it is: XDP, tc, tcx, netdev chains."""
import os

import harness
import tracing
from harness import OWN4, PEER4, changes_machine, listening, need, need_root, run, until
from tracing import (CARD4, KINDS, SCHED_CLS, TC_ACT_OK, TC_ACT_SHOT, XDP, XDP_DROP, XDP_PASS, answered, attach_tcx, bpf,
                     decisions, load, lost, lost_staged, mended, mended_staged, nft, pinned, sees_reasons, staged, sysctl, trace)


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
def test_arp_is_not_answered():
    sock, port = listening(OWN4)
    sysctl("net.ipv4.conf.all.arp_ignore", 8)
    lost("arp-unanswered", "ingress", "--tap", OWN4, port, mend="arp_ignore")
    sysctl("net.ipv4.conf.all.arp_ignore", 0)
    answered("--tap", OWN4, port)
    nft("table arp a {\nchain i {\ntype filter hook input priority 0\ndrop\n}\n}\n")
    lost("arp-unanswered", "ingress", "--tap", OWN4, port, mend="nft list ruleset arp")
    run("nft", "delete", "table", "arp", "a")
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
    tracing.main()
