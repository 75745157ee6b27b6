# SPDX-License-Identifier: BSD-3-Clause
"""peer trace: what happens to the device itself, to the packet, and beside it.

The kernel's drop reasons that a peer's first packet can meet, and the test that makes each happen
(in test_trace*.py):

    NO_SOCKET                  nobody_listens, listens_on_...; udp_of_ipv6_without_a_listener
    TCP_CSUM UDP_CSUM ICMP_CSUM  bad_checksum ("corrupt" of the link changes the IP payload)
    IP_INADDRERRORS            forwarding; ipv6_is_forwarded
    IP_INNOROUTES              forwarding; ipv6_is_forwarded
    IP_INHDR (time to live)    time_to_live (a rule lowers it: peers send 64 or more)
    NEIGH_FAILED               a_neighbour_is_silent, ipv6_is_forwarded
    IP_LOCAL_SOURCE            own_source
    IP_LOCALNET (target)       loopback_behind_a_translation
    IP_RPFILTER                reverse_path_filter...
    no way back                no_way_back, the_answer_leaves_elsewhere
    NETFILTER_DROP             the firewall; netdev_ingress, rules_of_iptables_legacy
    accept queue full          accept_queue_full
    SOCKET_RCVBUFF             receive_buffer_full
    TCP_MINTTL                 minimum_ttl
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
import os
import signal
import socket
import subprocess

import harness
import tracing
from harness import OWN4, OWN6, PEER4, PEER6, changes_machine, listening, need_root, peer, run
from tracing import KINDS, PYTHON, lost, mended_staged, sees_reasons, sysctl, trace


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


# ---- beside it ----

FLOOD = """
import random, socket, subprocess, sys
for command in ("link add e type veth peer name f", "addr add 10.8.0.1/16 dev e", "link set e up", "link set f up"):
    subprocess.run(["ip", *command.split()], check=True)
for name, value in (("retrans_time_ms", 20), ("mcast_solicit", 1), ("ucast_solicit", 0)):
    with open(f"/proc/sys/net/ipv4/neigh/e/{name}", "w") as file:
        file.write(str(value))
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setblocking(False)
print("ready", flush=True)
while True:
    try:
        sock.sendto(b"x", (f"10.8.0.{random.randrange(2, 66)}", 9))
    except OSError:
        pass
"""


def test_what_others_lose_is_not_the_packets():
    """Another namespace on the same processor, whose neighbours never answer: its timers and queues run on top of
    whoever is at work there."""
    need_root()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    flood = subprocess.Popen(["unshare", "-n", PYTHON, "-c", FLOOD], stdout=subprocess.PIPE,
                             preexec_fn=lambda: harness.libc.prctl(harness.PR_SET_PDEATHSIG, signal.SIGKILL))
    assert flood.stdout.readline() == b"ready\n"
    for _ in range(8):
        document = trace("--allow-forward", "-w", "0.01", "10.9.0.254", 8000, status=1)
        said = document["verdict"]
        assert said["reason"] == "forwarding-off", document
        assert said["kernel_reason"] == "IP_INADDRERRORS" or not sees_reasons(), document
    flood.kill()
    flood.wait()


def test_minimum_ttl():
    for own, addr, level, option in ((OWN4, PEER4, socket.IPPROTO_IP, 21), (OWN6, PEER6, socket.IPPROTO_IPV6, 73)):
        sock, port = listening(own)
        sock.setsockopt(level, option, 255)
        if tracing.sees_reasons():
            said = tracing.verdict(tracing.trace(own, port, addr=addr))
            assert (said["reason"], said["station"], said["kernel_reason"]) == ("minimum-ttl", "socket", "TCP_MINTTL"), said
        sock.setsockopt(level, option, 0)
        tracing.answered(own, port, addr=addr)
        sock.close()


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


if __name__ == "__main__":
    tracing.main()
