# SPDX-License-Identifier: BSD-3-Clause
"""Private namespaces, and processes whose CPU time is known.

run() puts a function into a network, mount and process namespace of its own (and a user namespace,
unless root calls): nothing it starts or changes is left when it ends, whatever way it ends, since
the kernel ends all processes of a process namespace with its first. A tmpfs over /run takes the
files. Space is a second network namespace joined to the first by a veth pair with the defaults of
both.
"""
import ctypes
import os
import resource
import select
import signal
import socket
import stat
import subprocess
import sys
import time
import traceback

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
SYS_PIDFD_GETFD = 438  # on every architecture
FILES = "/run"  # the tmpfs
START_S = 10  # for a server to come up, and for a client to end

libc = ctypes.CDLL(None, use_errno=True)


class CannotRun(Exception):
    """This machine cannot do it; the text says what is missing."""


def check(status, what):
    if status < 0:
        raise CannotRun(f"{what}: {os.strerror(ctypes.get_errno())}")


def write_file(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def read_file(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


# ---- the first namespace ----

def enter_namespaces():
    uid, gid = os.getuid(), os.getgid()
    user = CLONE_NEWUSER if uid != 0 else 0
    check(libc.unshare(user | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID), "no private namespaces")
    if user:
        write_file("/proc/self/setgroups", "deny")
        write_file("/proc/self/uid_map", f"0 {uid} 1")
        write_file("/proc/self/gid_map", f"0 {gid} 1")


def mount(kind, target, flags):
    check(libc.mount(kind, target.encode(), kind, flags, None), f"cannot mount at {target}")


def become_first(function):
    """Of the process namespace: what remains when this returns is killed by the kernel."""
    def leave(number, _frame):
        raise SystemExit(128 + number)

    os.setpgid(0, 0)
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, leave)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    mount(None, "/", MS_REC | MS_PRIVATE)
    mount(b"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(b"tmpfs", FILES, MS_NOSUID | MS_NODEV)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ip("link set lo up")
    return function()


def run(function):
    """Runs `function` in namespaces of its own; returns its status. Signals are passed on to it."""
    sys.stdout.flush()
    try:
        enter_namespaces()
    except CannotRun as error:
        print(f"peer: {error}", file=sys.stderr)
        return 3
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = become_first(function)
        except CannotRun as error:
            print(f"peer: {error}", file=sys.stderr)
            status = 3
        except SystemExit as error:
            status = error.code
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda signum, _frame: os.kill(child, signum))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# ---- commands ----

def command(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode:
        raise CannotRun(f"{' '.join(words)}: {done.stdout.strip()}")


def ip(text):
    command("ip", *text.split())


def sysctl(name, value):
    write_file("/proc/sys/" + name.replace(".", "/"), str(value))


# ---- processes ----

class Process:
    """A program in one of the namespaces. It dies with us."""

    def __init__(self, words, netns=None, **more):
        self.words = [str(word) for word in words]
        self.error_path = f"{FILES}/stderr.{time.monotonic_ns()}"
        with open(self.error_path, "w", encoding="utf-8") as errors:
            self.popen = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, text=True,
                                          stdout=subprocess.PIPE, stderr=errors,
                                          preexec_fn=lambda: self.prepare(netns), **more)
        self.pid = self.popen.pid
        self.pending, self.at_end = "", False
        self.cpu_s = None  # once it has ended

    @staticmethod
    def prepare(netns):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if netns is not None and libc.setns(netns, CLONE_NEWNET) < 0:
            os._exit(127)

    def fail(self, why):
        errors = read_file(self.error_path).strip()
        raise CannotRun(f"{' '.join(self.words)}: {why}" + (f": {errors}" if errors else ""))

    def read_line(self, timeout_s):
        """The next line of its output; "" at the end of it, with `at_end`."""
        deadline = time.monotonic() + timeout_s
        file = self.popen.stdout.fileno()
        while "\n" not in self.pending:
            if not select.select([file], [], [], max(0, deadline - time.monotonic()))[0]:
                self.fail(f"said nothing for {timeout_s} s")
            data = os.read(file, 65536).decode()
            if not data:
                line, self.pending, self.at_end = self.pending, "", True
                return line
            self.pending += data
        line, self.pending = self.pending.split("\n", 1)
        return line

    def read_rest(self, timeout_s):
        """All it has still to say; it has ended then."""
        deadline = time.monotonic() + timeout_s
        lines = []
        while not self.at_end:
            lines.append(self.read_line(max(0, deadline - time.monotonic())))
        self.wait()
        return "\n".join(lines)

    def wait(self):
        if self.popen.returncode is None:
            _, status, usage = os.wait4(self.pid, 0)
            self.popen.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_s = usage.ru_utime + usage.ru_stime
            self.popen.stdout.close()
        return self.popen.returncode

    def used_cpu_s(self):
        """Of a running process, with all the kernel did on its behalf."""
        try:
            return int(read_file(f"/proc/{self.pid}/schedstat").split()[0]) / 1e9
        except OSError:
            fields = read_file(f"/proc/{self.pid}/stat").rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        for line in read_file(f"/proc/{self.pid}/status").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def kill(self, number=signal.SIGKILL):
        if self.popen.returncode is None:
            os.kill(self.pid, number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.wait()


def list_files(pid):
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:  # it has ended
        return []


def find_listener(process):
    """The listening socket of a process, as one of ours; None while it has none."""
    pidfd = os.pidfd_open(process.pid)
    try:
        for entry in list_files(process.pid):
            fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(entry), 0)
            if fd < 0:
                continue
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.close(fd)
                continue
            candidate = socket.socket(fileno=fd)
            if candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return candidate
            candidate.close()
    finally:
        os.close(pidfd)
    return None


def machine_cpu_s():
    """What all processors did since the start: user, nice, system, irq, softirq."""
    fields = [int(field) for field in read_file("/proc/stat").split("\n", 1)[0].split()[1:]]
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / os.sysconf("SC_CLK_TCK")


# ---- the second namespace ----

class Space:
    """The kernel client's namespace: 10.9.0.2, beside the application's 10.9.0.1."""
    SERVER, CLIENT = "10.9.0.1", "10.9.0.2"

    def __init__(self):
        self.holder = None
        self.netns = None

    def __enter__(self):
        def prepare():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if libc.unshare(CLONE_NEWNET) < 0:
                os._exit(127)

        self.holder = subprocess.Popen(["sleep", "infinity"], preexec_fn=prepare)
        self.netns = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        ip(f"link add app0 type veth peer name cli0 netns {self.holder.pid}")
        ip(f"addr add {self.SERVER}/24 dev app0")
        ip("link set app0 up")
        self.tune()
        self.inside(self.set_up_client)
        return self

    @staticmethod
    def tune():
        """Room for the many; what carries the bytes is left as it is."""
        sysctl("net.core.somaxconn", 2000000)
        sysctl("net.ipv4.tcp_max_syn_backlog", 2000000)

    @classmethod
    def set_up_client(cls):
        ip("link set lo up")
        ip(f"addr add {cls.CLIENT}/24 dev cli0")
        ip("link set cli0 up")
        # Unlike the sysctl this is allowed where cubic is not for everyone.
        ip(f"route replace 10.9.0.0/24 dev cli0 src {cls.CLIENT} congctl cubic")
        sysctl("net.ipv4.ip_local_port_range", "1024\t65535")

    def inside(self, function):
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        check(libc.setns(self.netns, CLONE_NEWNET), "cannot enter the client's namespace")
        try:
            function()
        finally:
            check(libc.setns(own, CLONE_NEWNET), "cannot come back")
            os.close(own)

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()
        os.close(self.netns)
