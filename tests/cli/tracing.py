# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of peer trace share.

As root every loss is traced twice: with the kernel's drop reasons, and without the capabilities that
they need, where counters and look-ups must lead to the same verdict.

A device lives as long as its peer. So that something can happen to it before the packet is sent, the
capture is a FIFO: peer makes the device, and waits there until somebody reads (staged()).
"""
import ctypes
import errno
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess

import harness
from harness import OWN4, OWN6, PEER4, PEER6, need, peer, run, sysctl, until
from test_namespaces import PYTHON, SERVER

KINDS = (("tun4", OWN4, PEER4, ()), ("tun6", OWN6, PEER6, ()), ("tap4", OWN4, PEER4, ("--tap",)),
         ("tap6", OWN6, PEER6, ("--tap",)))
BLIND = ["setpriv", "--bounding-set", "-perfmon,-sys_admin,-bpf"]


def document_of(result, status):
    if status is not None:
        result.expect(status, lines=0)
    assert result.out, result
    document = json.loads(result.out)
    document["result"] = result
    return document


def trace(*args, blind=False, addr=PEER4, status=None):
    """The JSON document."""
    program = None
    if blind:
        if not shutil.which("setpriv") or os.geteuid() != 0 or harness.options.outer_uid != 0:
            return None
        program = [*BLIND, harness.PEER]
    result = peer("trace", "--json", "--from", addr, *args, program=program)
    return document_of(result, status)


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


def decisions(document, way="there"):
    """(where, text) of what netfilter decided."""
    return [(entry["where"], entry["text"]) for entry in document["stations"]
            if entry["station"] == "netfilter" and entry["way"] == way and entry["text"] != "no rules here"]


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


CARD4 = "10.9.0.7"  # of the card's own subnet


# ---- what happens to a device before the packet ----

def opened_by_reader(fifo, started):
    """The writing end, once somebody waits at the other; None when peer has ended."""
    def look():
        if started.process.poll() is not None:
            return [None]
        try:
            return [os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)]
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return None
    return until("the peer at its halt", look)[0]


def staged(setup, *args, addr=PEER4, blind=False, status=None):
    """The JSON document of a trace; `setup` (for sh, {dev} is the device) is done when the device is there."""
    if blind and (not shutil.which("setpriv") or os.geteuid() != 0 or harness.options.outer_uid != 0):
        return None
    fifo = os.path.join(harness.directory, "fifo")
    if not os.path.exists(fifo):
        os.mkfifo(fifo)
    program = ["env", f"PEER_TEST_HALT={fifo}", *(BLIND if blind else []), harness.PEER]
    started = harness.Peer("trace", "--json", "--from", addr, *args, program=program)
    started.close_stdin()
    writer = opened_by_reader(fifo, started)
    if writer is None and started.result().out:
        raise harness.Skip("this build has no hooks for tests")
    if writer is not None:
        if callable(setup):
            setup("peer0")
        else:
            run("sh", "-ec", setup.replace("{dev}", "peer0"))
        os.close(writer)
    result = started.wait()
    return document_of(result, status)


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


# ---- the kernel's tracepoints ----

SYS_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 430, 431, 432
TRACEPOINTS = ("skb/kfree_skb", "skb/consume_skb", "net/netif_receive_skb_entry", "net/net_dev_queue",
               "fib/fib_table_lookup", "fib6/fib6_table_lookup", "sock/sk_data_ready")


def tracefs():
    """A directory of tracefs that nobody sees; -1 where it may not be."""
    context = harness.libc.syscall(SYS_FSOPEN, b"tracefs", 1)
    if context < 0 or harness.libc.syscall(SYS_FSCONFIG, context, 6, None, None, 0) < 0:
        return -1
    directory = harness.libc.syscall(SYS_FSMOUNT, context, 1, 0)
    os.close(context)
    return directory


def hold_tracepoints():
    """The last one to close a tracepoint waits 30 ms for the kernel, and a trace has six of them: while this process
    has them too (switched off), traces end at once."""
    number = SYS_PERF_EVENT_OPEN.get(os.uname().machine)
    directory = tracefs() if number and os.geteuid() == 0 else -1
    for name in TRACEPOINTS if directory >= 0 else ():
        try:
            file = os.open(f"events/{name}/id", os.O_RDONLY, dir_fd=directory)
        except OSError:
            continue
        attributes = ctypes.create_string_buffer(struct.pack("<IIQ", 2, 112, int(os.read(file, 20))), 112)
        attributes[40] = 1  # disabled
        harness.libc.syscall(number, attributes, 0, -1, -1, 8)  # stays open until the end
        os.close(file)


def main():
    hold_tracepoints()
    harness.main()
