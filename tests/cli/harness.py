# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the built program share.

A test file defines functions test_*() and ends with harness.main(). Each function runs in a child
process of its own, in a private network and mount namespace (as an ordinary user: in a user
namespace too), on a small machine that the harness makes there:

    eth0   10.9.0.1/24, 2001:db8:9::1/64, default routes to its other end, `wire`
    lo     up
    /run   empty, so that "ip netns" has names of its own

After each test the harness checks what must always hold: no process of the test's is left, devices,
addresses, routes, neighbours, rules, nft tables and sysctls are as before, and no sanitizer
complained. There are no fixed ports and no sleeps: servers listen before they are named, and
until() polls with a time limit that fails loudly.

usage: test_x.py --peer PROGRAM [--sanitized] [--only NAME]
Exit status: 0 passed, 1 failed, 77 nothing in the file could run here.
"""
import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback

SKIPPED = 77
NOBODY = 65534
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_REC, MS_PRIVATE, MS_BIND = 16384, 1 << 18, 4096
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SIOCGIFFLAGS, IFF_RUNNING = 0x8913, 0x40
LIMIT_S = 60  # nothing here takes so long unless it hangs; sanitizers are slow

OWN4, OWN6 = "10.9.0.1", "2001:db8:9::1"
PEER4, PEER6 = "198.18.7.1", "2001:2:0:7::1"

libc = ctypes.CDLL(None, use_errno=True)
options = None  # of the command line
directory = None  # of the test at hand
PEER = None  # the program, where every user may run it


class Skip(Exception):
    """The test cannot run here; the text says what is missing."""


# ---- system calls that Python 3.11 lacks ----

def unshare(flags):
    if libc.unshare(flags) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def mount(source, target, kind, flags=0, data=None):
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, data and data.encode()) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


# ---- the private machine ----

def run(*command, check=True, text=True, **more):
    """Another program, to its end."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=text,
                          timeout=LIMIT_S, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")


def need_root():
    if options.outer_uid != 0:
        raise Skip("needs root (to make a device node, or to become another user)")


def enter_private_namespaces():
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        unshare(CLONE_NEWNET | CLONE_NEWNS)
    else:
        unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
        for path, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{path}", "w") as file:
                file.write(text)
    mount("none", "/", "none", MS_REC | MS_PRIVATE)
    resolver = os.path.realpath("/etc/resolv.conf")
    mount("none", "/run", "tmpfs")
    take_resolver(resolver)


def take_resolver(path):
    """A resolver where nobody answers: an error at once. `path` is what /etc/resolv.conf leads to."""
    text = "nameserver 127.0.0.1\n"
    if path.startswith("/run/"):  # systemd-resolved's; it was below the mount that is now /run
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    elif os.path.exists(path):
        own = os.path.join(directory, "resolv.conf")
        with open(own, "w") as file:
            file.write(text)
        mount(own, path, "none", MS_BIND)
    # Without a file the C library asks 127.0.0.1 by itself.


def make_machine():
    batch = f"""link set lo up
link add eth0 type veth peer name wire
addr add {OWN4}/24 dev eth0
addr add {OWN6}/64 dev eth0 nodad
link set eth0 addrgenmode none
link set wire addrgenmode none
link set eth0 up
link set wire up
route add default via 10.9.0.254
route add default via 2001:db8:9::fe
"""
    with open("/proc/sys/net/ipv6/conf/default/accept_dad", "w") as file:
        file.write("0")
    run("ip", "-batch", "-", input=batch)
    until("the carrier of eth0", lambda: link_flags("eth0") & IFF_RUNNING)
    until("the local route of eth0's IPv6 address", has_local_route6)


def has_local_route6():
    """A work queue of the kernel's adds it, a moment after the address."""
    wanted = socket.inet_pton(socket.AF_INET6, OWN6).hex() + " 80 "
    with open("/proc/net/ipv6_route", encoding="ascii") as file:
        return any(line.startswith(wanted) for line in file)


def sysctl(name, value):
    with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
        file.write(str(value))


VOLATILE = ("nf_conntrack_count", "fib_sync_mem")


def read_sysctls():
    """{path: bytes} of all of the network's. There are a thousand, twice a test: nothing is done with one that need
    not be."""
    found, folders = {}, ["/proc/sys/net"]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                path = entry.path
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "stat":
                        folders.append(path)
                    continue
                try:
                    file = os.open(path, os.O_RDONLY)
                    try:
                        found[path] = os.read(file, 1 << 16)
                    finally:
                        os.close(file)
                except OSError as error:
                    found[path] = error.strerror.encode()
    return {path: value for path, value in found.items() if not path.endswith(VOLATILE)}


# Addresses with "-details" are links too, with all that is to be known of them. A process for each would be
# half of the time that a short test takes.
STATE_COMMANDS = (("links, addresses, routes, rules and neighbours", ("ip", "-details", "-batch", "-"),
                   "addr\nroute show table all\nrule\nneigh show nud all\n"),
                  ("routes and rules of IPv6", ("ip", "-6", "-details", "-batch", "-"), "route show table all\nrule\n"),
                  ("nftables", ("nft", "list", "ruleset"), ""))
# What the kernel remembers of devices that were there before.
NEIGHBOUR = re.compile(r" dev (lo|eth0|wire) .*\b(NONE|INCOMPLETE|REACHABLE|STALE|DELAY|PROBE|FAILED|NOARP|PERMANENT)\b")


def machine_state():
    """All that peer may touch by what it is about, as text; sysctls apart."""
    state = {}
    for name, command, batch in STATE_COMMANDS:
        if shutil.which(command[0]):
            state[name] = "\n".join(line for line in run(*command, input=batch).splitlines()
                                    if not NEIGHBOUR.search(line))
    state["sysctls"] = read_sysctls()
    return state


def in_lines(state):
    if isinstance(state, str):
        return state.splitlines()
    return [f"{name} = {value.decode(errors='replace').strip()}" for name, value in state.items()]


def assert_same_state(before, after):
    for name, state in before.items():
        if state == after[name]:
            continue
        old, new = set(in_lines(state)), set(in_lines(after[name]))
        raise AssertionError(f"{name} changed:\n" + "\n".join(f"  - {line}" for line in sorted(old - new)) +
                             "\n" + "\n".join(f"  + {line}" for line in sorted(new - old)))


def until(what, condition, limit=LIMIT_S):
    """Polls until condition() is true and returns what it returned."""
    end = time.monotonic() + limit
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit} s: {what}")
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def own_node():
    """A device node of mode 0666 in place of the system's, in this test's mount namespace only."""
    need_root()
    node = os.path.join(directory, "tun-for-all")
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
    except PermissionError:
        raise Skip("device nodes may not be made here")
    os.chmod(node, 0o666)
    with contextlib.suppress(OSError):
        with open(node, "r+b", buffering=0):
            pass
    mount(node, "/dev/net/tun", "none", MS_BIND)


def link_names():
    return [name for _, name in socket.if_nameindex()]


def link_flags(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return struct.unpack_from("16xh", fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16s16x", name.encode())))[0]


def peer_links():
    return [name for name in link_names() if name not in ("lo", "eth0", "wire", "sit0", "ip6tnl0")]


# ---- running peer ----

def as_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


class Result:
    def __init__(self, args, status, out, err):
        self.args_text = " ".join(map(str, args))
        self.status, self.out, self.err = status, out, err

    def __str__(self):
        return (f"peer {self.args_text}\n  status {self.status}\n  stdout {self.out[-2000:]!r}\n"
                f"  stderr {self.err[-4000:]!r}")

    def expect(self, status, err=None, out=None, lines=None):
        """Checks exit status, patterns in stderr and stdout, and how many lines stderr has."""
        if self.status != status:
            raise AssertionError(f"status {status} was expected\n{self}")
        if err is not None and not re.search(err, self.err):
            raise AssertionError(f"stderr lacks /{err}/\n{self}")
        if out is not None and not re.search(out, self.out.decode(errors="replace")):
            raise AssertionError(f"stdout lacks /{out}/\n{self}")
        if lines is not None and (len(self.err.splitlines()) != lines or
                                  (lines and not self.err.endswith("\n"))):
            raise AssertionError(f"{lines} lines on stderr were expected\n{self}")
        return self

    def refused(self, status, err):
        """One clear line, nothing on stdout."""
        self.expect(status, err, lines=1)
        if not self.err.startswith("peer: ") or self.out:
            raise AssertionError(f"one line \"peer: ...\" was expected\n{self}")
        return self


class Peer:
    """A running peer. stdin is a pipe unless given; stdout and stderr are collected."""

    def __init__(self, *args, stdin=subprocess.PIPE, stdout=None, stderr=None, nobody=False, prepare=None,
                 program=None, pass_fds=(), env=None):
        """`env` is added to our own environment."""
        self.args = args
        self.err_path = tempfile.mkstemp(dir=directory, prefix="err.")[1]
        self.out_path = tempfile.mkstemp(dir=directory, prefix="out.")[1]

        def before_exec():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if prepare:
                prepare()
            if nobody:
                as_nobody()

        with open(self.err_path, "wb") as err, open(self.out_path, "wb") as out:
            self.process = subprocess.Popen(
                [*(program or [PEER]), *map(str, args)], stdin=stdin, stdout=out if stdout is None else stdout,
                stderr=err if stderr is None else stderr, preexec_fn=before_exec, pass_fds=pass_fds,
                env={**os.environ, **env} if env else None)
        self.stdin = self.process.stdin
        self.pid = self.process.pid

    def err(self):
        with open(self.err_path, errors="replace") as file:
            return file.read()

    def out(self):
        with open(self.out_path, "rb") as file:
            return file.read()

    def wait_err(self, pattern, limit=LIMIT_S):
        """Until stderr has the pattern; fails when peer ends without it."""
        def look():
            ended = self.process.poll() is not None  # before the look: nothing comes after it
            found = re.search(pattern, self.err())
            if ended and not found:
                raise AssertionError(f"peer ended without /{pattern}/\n{self.result()}")
            return found
        try:
            return until(f"/{pattern}/ on stderr", look, limit)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.result()}")

    def wait_out(self, pattern):
        return until(f"{pattern!r} on stdout of {self.args}", lambda: re.search(pattern, self.out()))

    def result(self):
        return Result(self.args, self.process.poll(), self.out(), self.err())

    def send(self, data, close=True):
        """To stdin; peer may end before it has read all."""
        try:
            self.stdin.write(data)
            self.stdin.flush()
        except BrokenPipeError:
            pass
        if close:
            self.close_stdin()

    def close_stdin(self):
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit=LIMIT_S):
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            result = self.result()
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"peer did not end within {limit} s\n{result}")
        return self.result()

    def stop(self):
        """Ctrl-C, and the end."""
        self.signal(signal.SIGINT)
        return self.wait()


def peer(*args, data=b"", limit=LIMIT_S, **more):
    """Runs peer to its end with `data` on stdin."""
    started = Peer(*args, **more)
    if started.stdin:
        started.send(data)
    return started.wait(limit)


def example(page, target):
    """The words of the manual's example with that target, behind "peer", at an address that is ours. What
    stands before "peer" is put into the environment."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "cli", "man", page)
    with open(path, encoding="utf-8") as file:
        lines = file.read().replace("\\e\n", " ").splitlines()
    found = [line for line in lines if target in line and "peer " in line and not line.startswith(".")]
    assert len(found) == 1, (target, found)
    words = shlex.split(found[0].replace("192.0.2.80", OWN4))
    at = words.index("peer")
    os.environ.update(word.split("=", 1) for word in words[:at])
    return words[at + 1:]


# ---- applications ----

def family_of(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def listening(addr, kind=socket.SOCK_STREAM):
    """A bound (and listening) socket and its port."""
    sock = socket.socket(family_of(addr), kind)
    sock.settimeout(LIMIT_S)
    sock.bind((addr, 0))
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    return sock, sock.getsockname()[1]


class Server:
    """handle(connection, address) for each caller, in a thread. What it raises is raised by join()."""

    def __init__(self, handle, addr=OWN4, callers=1):
        self.sock, self.port = listening(addr)
        self.addr, self.failure, self.callers = addr, None, []

        def work():
            try:
                for _ in range(callers):
                    connection, address = self.sock.accept()
                    connection.settimeout(LIMIT_S)
                    self.callers.append(address)
                    with connection:
                        handle(connection, address)
            except BaseException as error:  # for the main thread
                self.failure = error

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def join(self):
        self.thread.join(LIMIT_S)
        if self.thread.is_alive():
            raise AssertionError("the server did not come to its end")
        self.sock.close()
        if self.failure:
            raise self.failure


def receive_all(connection):
    parts = []
    while True:
        part = connection.recv(1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


def receive_count(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise AssertionError(f"the end after {len(data)} of {count} bytes")
        data += part
    return data


def echo_all(connection, _address):
    """What comes goes back, and the end too."""
    while True:
        data = connection.recv(1 << 16)
        if not data:
            return
        connection.sendall(data)


def answer_after_eof(connection, _address):
    connection.sendall(receive_all(connection)[::-1])


class UdpEcho:
    def __init__(self, addr=OWN4, copies=1):
        self.sock, self.port = listening(addr, socket.SOCK_DGRAM)
        self.callers = []
        self.copies = copies
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        with contextlib.suppress(OSError):
            while True:
                data, address = self.sock.recvfrom(65536)
                self.callers.append(address)
                for _ in range(self.copies):
                    self.sock.sendto(data, address)


class Stream:
    """Bytes without end that do not repeat, and their hash."""

    def __init__(self, seed):
        self.block = hashlib.shake_256(str(seed).encode()).digest(1 << 20)
        self.count, self.hash = 0, hashlib.sha256()

    def next(self, most):
        data = (self.count.to_bytes(8, "big") + self.block[8:])[:most]
        self.count += 1
        self.hash.update(data)
        return data


def send_stream(write, total, seed):
    """Returns the hash of `total` bytes given to write()."""
    stream = Stream(seed)
    left = total
    while left:
        data = stream.next(left)
        write(data)
        left -= len(data)
    return stream.hash.hexdigest()


def hash_of(read):
    """Count and hash of all that read() gives until its end."""
    total, digest = 0, hashlib.sha256()
    while True:
        data = read()
        if not data:
            return total, digest.hexdigest()
        digest.update(data)
        total += len(data)


def open_sockets():
    """TCP sockets that are more than remembered."""
    text = run("ss", "-Htan")
    return [line for line in text.splitlines() if not line.startswith(("TIME-WAIT", "LISTEN"))]


# ---- captures ----

class Capture:
    """Reads pcapng strictly: what is not as the draft says is an error."""

    def __init__(self, data):
        self.interfaces, self.packets = [], []
        at = 0
        while at < len(data):
            kind, length = struct.unpack_from("<II", data, at)
            assert length >= 12 and length % 4 == 0, f"block of {length} bytes at {at}"
            assert at + length <= len(data), f"block at {at} is cut"
            assert struct.unpack_from("<I", data, at + length - 4)[0] == length, "lengths differ"
            self.block(kind, data[at + 8:at + length - 4])
            at += length

    @staticmethod
    def options(body):
        found, at = {}, 0
        while at + 4 <= len(body):
            code, length = struct.unpack_from("<HH", body, at)
            if code == 0:
                break
            found[code] = body[at + 4:at + 4 + length]
            at += 4 + (length + 3) // 4 * 4
        return found

    def block(self, kind, body):
        if kind == 0x0A0D0D0A:
            magic, major, minor = struct.unpack_from("<IHH", body)
            assert magic == 0x1A2B3C4D and (major, minor) == (1, 0)
        elif kind == 1:
            link, _, _snap = struct.unpack_from("<HHI", body)
            self.interfaces.append((link, self.options(body[8:])))
        elif kind == 6:
            interface, high, low, captured, original = struct.unpack_from("<IIIII", body)
            assert interface < len(self.interfaces) and captured <= original
            more = self.options(body[20 + (captured + 3) // 4 * 4:])
            direction = struct.unpack("<I", more[2])[0] & 3 if 2 in more else 0
            self.packets.append((high << 32 | low, direction, body[20:20 + captured], original))


# ---- the runner ----

def descendants():
    """Processes below this one that are alive."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    parents[int(name)] = int(fields[1])
    found, queue = [], [os.getpid()]
    while queue:
        parent = queue.pop()
        below = [pid for pid, up in parents.items() if up == parent]
        found += below
        queue += below
    return found


def guardians():
    """Processes that tidy up behind a peer."""
    found = []
    for pid in descendants():
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/comm") as file:
                if file.read().strip() in ("peer-wire", "peer-guard"):
                    found.append(pid)
    return found


def await_guardians():
    """They have done their work some milliseconds after the end of the peer that they watched."""
    until("the end of the guardians", lambda: not guardians())
    until("the end of their devices", lambda: not peer_links())


def command_line(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return f"{pid} {file.read().replace(bytes(1), b' ').decode(errors='replace')}"
    return str(pid)


def check_no_process():
    left = [command_line(pid) for pid in descendants()]
    for pid in descendants():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    if left:
        raise AssertionError(f"processes are left: {left}")


def check_sanitizers():
    for name in sorted(os.listdir(directory)):
        if name.startswith("sanitizer."):
            with open(os.path.join(directory, name), errors="replace") as file:
                raise AssertionError(f"a sanitizer complained:\n{file.read()[:8000]}")


def work(test):
    """In the child: the status to exit with."""
    try:
        enter_private_namespaces()
        make_machine()
    except (OSError, AssertionError) as error:
        print(f"skipped: no private namespaces here: {error}")
        return SKIPPED
    try:
        if not os.path.exists("/dev/net/tun"):
            raise Skip("there is no /dev/net/tun")
        before = None if getattr(test, "changes_machine", False) else machine_state()
        test()
        until("the end of all processes", lambda: not descendants(), 20)
        until("the end of all devices", lambda: not peer_links(), 20)
        check_sanitizers()
        if before:
            assert_same_state(before, machine_state())
        return 0
    except Skip as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        with contextlib.suppress(AssertionError):
            check_sanitizers()
        return 1
    finally:
        try:
            check_no_process()
        except AssertionError as error:
            print(error)


def run_test(name, test):
    global directory
    directory = tempfile.mkdtemp(prefix=f"peer-{name}.")
    os.chmod(directory, 0o1777)
    os.environ["TMPDIR"] = directory
    log = f"log_path={directory}/sanitizer"
    for sanitizer in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        own = [part for part in os.environ.get(sanitizer, "").split(":")
               if part and not part.startswith("log_path=")]
        if sanitizer == "ASAN_OPTIONS":
            own.append("detect_leaks=1")
        os.environ[sanitizer] = ":".join([*own, log])
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        status = work(test)
        sys.stdout.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    shutil.rmtree(directory, ignore_errors=True)
    return status


def changes_machine(test):
    """For a test that leaves changes of its own behind (its namespace ends with it)."""
    test.changes_machine = True
    return test


def size_of_transfer():
    full = not options.sanitized or os.environ.get("PEER_TEST_FULL") == "1"
    return 1 << 30 if full else 64 << 20


def main():
    global options, PEER
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True)
    parser.add_argument("--sanitized", action="store_true")
    parser.add_argument("--only")
    options = parser.parse_args()
    options.outer_uid = os.geteuid()
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that goes on meanwhile ignores these for us
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    os.environ["LC_ALL"] = "C.UTF-8"
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"

    # Every user can reach it there, wherever the build directory is.
    with tempfile.TemporaryDirectory(prefix="peer-program.") as place:
        os.chmod(place, 0o755)
        PEER = shutil.copy(options.peer, os.path.join(place, "peer"))
        tests = [(name, value) for name, value in sys.modules["__main__"].__dict__.items()
                 if name.startswith("test_") and (not options.only or options.only in name)]
        results = {}
        for name, test in tests:
            start = time.monotonic()
            results[name] = run_test(name, test)
            word = {0: "ok", SKIPPED: "skipped"}.get(results[name], "FAILED")
            print(f"{word:8} {name} ({time.monotonic() - start:.2f} s)", flush=True)
    failed = [name for name, status in results.items() if status not in (0, SKIPPED)]
    if failed or not results:
        print(f"failed: {' '.join(failed) or 'there is no such test'}")
        sys.exit(1)
    sys.exit(SKIPPED if all(status == SKIPPED for status in results.values()) else 0)
