# SPDX-License-Identifier: BSD-3-Clause
"""What is left of root once a command runs: user, capabilities, system calls, descriptors."""
import contextlib
import ctypes
import os
import platform
import re
import signal
import socket
import struct

import harness
from harness import OWN4, PEER4, Peer, Server, until
from test_helpers import helper, kill_helper

NET_ADMIN, KILL, SYS_PTRACE = 1 << 12, 1 << 5, 1 << 19
DAC_OVERRIDE, DAC_READ_SEARCH = 1 << 1, 1 << 2


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def descriptors(pid):
    """Of what kind the open ones are, without those of stdio."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if int(name) > 2:
                found.append(re.sub(r"\d+", "", os.readlink(f"/proc/{pid}/fd/{name}")))
    return sorted(found)


def check_confined(pid, capabilities=0, user=None):
    status = status_of(pid)
    for name in ("CapEff", "CapPrm", "CapBnd"):
        if name == "CapBnd" and os.geteuid() != 0:
            continue
        assert int(status[name], 16) & ~capabilities == 0, (name, status)
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0, status
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status
    if user is not None and os.geteuid() == 0 and harness.options.outer_uid == 0:
        assert status["Uid"].split() == [str(user)] * 4 and status["Gid"].split() == [str(user)] * 4, status
        assert not status["Groups"].strip(), status
    if os.geteuid() == 0:
        assert os.readlink(f"/proc/{pid}/cwd") == "/"


NET = ["/dev/net/tun", "anon_inode:[signalfd]"] + ["socket:[]"] * 5  # netlink thrice, guardian, monitor
SOAK = ["/proc//task//net/netstat", "/proc//task//net/snmp", "/proc//schedstat", "/proc//statm"]


def without_counters(found):
    """Groups and connection tracking: not every machine has them."""
    return [name for name in found if not re.search(r"cpu\.stat|nf_conntrack", name)]


@contextlib.contextmanager
def running(command, *args, ready=None, **more):
    """A peer that has something to do, and the process that is confined."""
    server = Server(harness.echo_all) if command in ("connect", "soak") else None
    target = {"connect": [OWN4, server and server.port], "soak": [f"tcp://{OWN4}:{server and server.port}"],
              "ping": [OWN4], "listen": [7000], "application": [], "forward": [f"0:{OWN4}:7"]}[command]
    started = Peer(command, *args, *target, **more)
    if server:
        until("the caller", lambda: server.callers)
    until("the filter", lambda: status_of(started.pid)["Seccomp"] == "2")
    if ready:
        ready(started)
    yield started
    if command == "application":
        started.signal(signal.SIGTERM)
        started.wait()
    else:
        started.stop()
    started.close_stdin()
    if server:
        server.join()


COMMANDS = (("ping", NET), ("listen", NET), ("connect", sorted([*NET, "pipe:[]"])), ("soak", sorted([*NET, *SOAK])),
            ("forward", sorted([*NET, *["socket:[]"] * 2, "anon_inode:[eventpoll]"])))  # at both loopback addresses


def test_commands_keep_nothing_of_root():
    for command, kinds in COMMANDS:
        more = {"stdout": harness.subprocess.PIPE} if command == "connect" else {}
        with running(command, **more) as started:
            check_confined(started.pid, user=harness.NOBODY)
            if os.geteuid() == 0:
                found = until("all of it", lambda: "anon_inode:[signalfd]" in descriptors(started.pid) and
                              without_counters(descriptors(started.pid)))
                assert found == kinds, (command, found)


def test_an_application_keeps_nothing_of_root():
    started = Peer("application", "echo:7")
    until("the filter", lambda: status_of(started.pid)["Seccomp"] == "2")
    check_confined(started.pid, user=harness.NOBODY)
    with socket.create_connection((OWN4, 7), harness.LIMIT_S) as caller:
        caller.sendall(b"hello")
        assert harness.receive_count(caller, 5) == b"hello"
    started.signal(signal.SIGTERM)
    started.wait()


def test_helpers_keep_what_they_are_for():
    with running("listen") as started:
        for name, kinds in (("peer-guard", ["/dev/net/tun"] + ["socket:[]"] * 4), ("peer-monitor", ["socket:[]"] * 2)):
            pid = helper(name)
            check_confined(pid, NET_ADMIN)
            assert int(status_of(pid)["CapEff"], 16) == NET_ADMIN, name
            if os.geteuid() == 0:
                assert descriptors(pid) == kinds, (name, descriptors(pid))


def test_those_who_write_and_watch_keep_what_they_are_for():
    path = f"{harness.directory}/files"
    os.mkdir(path)
    with open(f"{path}/out", "w") as out:
        started = Peer("soak", "-d", 60, "--interval", "50ms", "--json-stream", "--journal", f"{path}/j", "--watch",
                       "--pcap", f"{path}/ring", "--pcap-rotate", "10G", "-R", 500, stdout=out)
    until("the run", lambda: os.path.getsize(f"{path}/out"))
    folder = [re.sub(r"\d+", "", path)]
    files = {"peer-capture": (DAC_OVERRIDE, [*folder, "pipe:[]", re.sub(r"\d+", "", f"{path}/ring"), "socket:[]"]),
             "peer-journal": (DAC_OVERRIDE, [*folder, "pipe:[]", re.sub(r"\d+", "", f"{path}/j"), "socket:[]"]),
             "peer-reopen": (DAC_OVERRIDE, [*folder, "socket:[]"]),
             "peer-watch": (SYS_PTRACE | DAC_READ_SEARCH, None)}
    for name, (capabilities, kinds) in files.items():
        pid = helper(name)
        check_confined(pid, capabilities)
        if kinds:
            assert descriptors(pid) == sorted(kinds), (name, descriptors(pid))
    check_confined(started.pid, 0)
    started.stop().expect(0)
    started.close_stdin()


def test_clients_programs_and_doors_too():
    """A program's front, and who resolves names, have no filter."""
    def check(pid, user, kept=0):
        status = until("no capability", lambda: int(status_of(pid)["CapPrm"], 16) & ~kept == 0 and status_of(pid))
        assert int(status["CapEff"], 16) & ~kept == 0 and status["NoNewPrivs"] == "1", status
        if os.geteuid() == 0 and harness.options.outer_uid == 0:
            assert status["Uid"].split() == [str(user)] * 4, status

    started = Peer("exec", "--", "sleep", "1000")
    check(started.pid, os.geteuid(), KILL)
    engine = helper("peer-engine")
    until("the filter", lambda: status_of(engine)["Seccomp"] == "2")
    check_confined(engine, user=harness.NOBODY)
    check_confined(helper("exec-sweeper"), KILL | SYS_PTRACE)
    check_confined(helper("peer-resolver"))
    started.signal(signal.SIGTERM)
    started.wait().expect(-signal.SIGTERM)
    started = Peer("proxy", "--listen", "127.0.0.1:0")
    started.wait_err("listening")
    check_confined(started.pid, user=harness.NOBODY)
    check(helper("peer-names"), harness.NOBODY)
    started.signal(signal.SIGINT)
    started.wait().expect(0, err="")
    started = Peer("forward", f"0:{OWN4}:7")
    started.wait_err("listening")
    check_confined(started.pid, user=harness.NOBODY)
    started.signal(signal.SIGINT)
    started.wait().expect(0, err="")


def test_in_isolation_too():
    started = Peer("listen", 7000, "--isolate", "--", "sleep", "1000")

    def programs():
        return [pid for pid in harness.descendants() if harness.command_line(pid) == f"{pid} sleep 1000 "]
    (program,) = until("the program", programs)
    check_confined(started.pid, user=harness.NOBODY)
    check_confined(helper("peer-monitor"), NET_ADMIN | KILL | SYS_PTRACE)
    until("the filter", lambda: status_of(helper("peer-isolate"))["Seccomp"] == "2")
    check_confined(helper("peer-isolate"), KILL)
    status = status_of(program)  # which is another matter
    assert status["Seccomp"] == "0" and status["NoNewPrivs"] == "0" and int(status["CapEff"], 16), status
    started.stop()
    started.close_stdin()


def test_a_namespace_without_a_program_is_held_with_little():
    started = Peer("listen", 7000, "--isolate")
    started.wait_err("listening")
    check_confined(helper("peer-isolate"), KILL)
    if os.geteuid() == 0:
        assert descriptors(helper("peer-isolate")) == ["anon_inode:[signalfd]", "anon_inode:[timerfd]", "socket:[]"]
    started.stop()
    started.close_stdin()


# NET_ADMIN, SYS_ADMIN, PERFMON, BPF, SYSLOG, IPC_LOCK, SYS_PTRACE, DAC_READ_SEARCH
OBSERVERS = sum(1 << number for number in (12, 21, 38, 39, 34, 14, 19, 2))
TRIALS = sum(1 << number for number in (5, 6, 7, 8))  # KILL, SETGID, SETUID, SETPCAP


def test_trace_keeps_what_it_observes_by():
    sock, port = harness.listening(OWN4, socket.SOCK_DGRAM)
    with sock:
        started = Peer("trace", "-u", "-w", "1000", OWN4, port)
        until("the filter", lambda: status_of(started.pid)["Seccomp"] == "2")
        check_confined(started.pid, OBSERVERS)
        check_confined(helper("peer-monitor"), NET_ADMIN)
        started.signal(signal.SIGTERM)
        started.wait()
        started.close_stdin()
    harness.await_guardians()


def test_doctor_keeps_what_it_tries_by():
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writes, bytes(1))
    os.set_blocking(writes, True)
    started = Peer("doctor", stdout=writes)
    until("the filter", lambda: status_of(started.pid)["Seccomp"] == "2")
    check_confined(started.pid, OBSERVERS | TRIALS)
    os.set_blocking(reads, False)

    def drained():
        with contextlib.suppress(BlockingIOError):
            while os.read(reads, 1 << 16):
                pass
        return started.process.poll() is not None
    until("its end", drained)
    started.close_stdin()


def test_doctor_tells_what_is_left():
    user = harness.NOBODY if harness.options.outer_uid == 0 else 0
    harness.peer("doctor").expect(
        0, out=f"(?m)^ok +privileges +what reads packets has user {user}, no capability, no_new_privs, a filter")


def test_another_user_is_chosen():
    harness.need_root()
    with running("ping", "--user", "1") as started:
        check_confined(started.pid, user=1)
    with running("ping", "--user", "daemon") as started:
        check_confined(started.pid, user=1)
    with running("ping", program=["env", "SUDO_UID=12345", "SUDO_GID=12345", harness.PEER]) as started:
        check_confined(started.pid, user=12345)
    with running("ping", "--user", "root") as started:
        check_confined(started.pid, user=0)
    harness.peer("ping", "-c", 1, "--user", "no such user", OWN4).refused(2, 'no user "no such user" for --user')


def test_inherited_descriptors_are_closed_unless_named():
    reads, writes = os.pipe()
    path = os.path.join(harness.directory, "capture")
    with open(path, "wb") as file:
        with running("ping", "--pcap", f"/dev/fd/{file.fileno()}", pass_fds=(writes, file.fileno())) as started:
            os.close(writes)
            assert os.read(reads, 1) == b"", "somebody still has the pipe"
            if os.geteuid() == 0:  # once: the one that was opened by the path
                opened = [name for name in os.listdir(f"/proc/{started.pid}/fd")
                          if os.readlink(f"/proc/{started.pid}/fd/{name}") == path]
                assert len(opened) == 1, opened
            started.wait_out(b"seq=1 ")
    with open(path, "rb") as file:
        assert harness.Capture(file.read()).packets


def forbid(how, *args):
    return harness.peer(*args, program=["env", f"PEER_TEST_FORBIDDEN={how}", harness.PEER])


def test_a_forbidden_call_ends_peer_and_is_named():
    if forbid("named", "ping", "-c", 1, OWN4).status == 0:
        raise harness.Skip("this build has no hooks for tests")
    for args in (("ping", OWN4), ("listen", 7000), ("application", "echo:7")):
        forbid("named", *args).expect(-signal.SIGSYS, "^peer: the system call execveat is forbidden here, and ends peer$")
        forbid("as-released", *args).expect(-signal.SIGSYS)
    harness.await_guardians()


def forbid_filters():
    """In a child, as old containers do: seccomp(2) and prctl(PR_SET_SECCOMP) are refused."""
    seccomp, prctl = {"x86_64": (317, 157), "aarch64": (277, 167)}[platform.machine()]
    code = ((0x20, 0, 0, 0), (0x15, 3, 0, seccomp), (0x15, 0, 3, prctl), (0x20, 0, 0, 16), (0x15, 0, 1, 22),
            (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000))
    words = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(words)))
    if harness.libc.prctl(38, 1, 0, 0, 0) < 0 or harness.libc.prctl(22, 2, program) < 0:
        raise OSError("no filter can be set")


def test_where_no_filter_can_be_set_peer_says_so_and_goes_on():
    if platform.machine() not in ("x86_64", "aarch64"):
        raise harness.Skip("the numbers of system calls are not known here")
    harness.peer("ping", "-c", 1, OWN4, prepare=forbid_filters).expect(
        0, "^peer: cannot set a filter of system calls: .*; it goes on without one$", out="1 received", lines=1)
    harness.peer("doctor", prepare=forbid_filters).expect(
        0, out="(?m)^note +privileges +what reads packets has .*no capability, no_new_privs, and no filter: ")


@harness.changes_machine
def test_without_its_monitor_peer_goes_on_and_says_what_it_cannot_do():
    with running("ping", "--from", PEER4, "--dev", "peer3") as started:
        pid = kill_helper("peer-monitor")
        started.wait_err(rf"killed the process that keeps privileges for peer3 \({pid}\)")
        harness.run("ip", "link", "set", "peer3", "down")
        started.wait_err("peer3 is down")
        harness.run("ip", "link", "set", "peer3", "up")
        started.wait_err("peer3 was down and is up again, but: the process that had the privileges for it is gone")


if __name__ == "__main__":
    harness.main()
