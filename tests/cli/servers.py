# SPDX-License-Identifier: BSD-3-Clause
"""Real servers for tests of the built program, each with its own books: what it read of whom.

A server is a context manager: it listens when the block begins, and is gone after it. What it logs is
complete then, or by until_lines().
"""
import os
import signal
import subprocess

import harness


def listens(port, kind="t"):
    return f":{port} " in harness.run("ss", f"-Hln{kind}")


class Server:
    """command(place) gives the words; `place` is a directory of its own."""

    programs = ()
    stop_signal = signal.SIGTERM
    ports = ()  # "80", or ("53", "u")

    def __init__(self):
        harness.need(*self.programs)
        self.place = os.path.join(harness.directory, f"{type(self).__name__.lower()}.{id(self)}")
        os.mkdir(self.place)
        self.process = None

    def path(self, name):
        return os.path.join(self.place, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        return all(listens(*port) if isinstance(port, tuple) else listens(port) for port in self.ports)

    def __enter__(self):
        words = self.command()
        with open(self.path("output"), "wb") as output:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, start_new_session=True)

        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"{words[0]} ended: {self.process.returncode}\n{self.read('output')}")
            return self.is_ready()

        harness.until(f"{words[0]} listens", look)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(harness.LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.programs[0]} does not end") from None


class Nginx(Server):
    """http at `port`: what stands in `server`. Its books have a line a request, of `log`."""

    programs = ("nginx",)
    stop_signal = signal.SIGQUIT

    def __init__(self, server='location / { return 200 "hello"; }', log="$remote_addr", listen="", port=80,
                 more=""):
        super().__init__()
        self.port, self.ports, self.log_path = port, (port,), self.path("books")
        user = "user root;" if os.geteuid() == 0 else ""
        parts = "".join(f"{name}_temp_path {self.place}/{name};\n"
                        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.write("nginx.conf", f"""daemon off; worker_processes 1; pid {self.place}/pid; {user}
worker_rlimit_nofile 65536; error_log {self.place}/errors;
events {{ worker_connections 30000; }}
http {{ log_format books '{log}'; access_log {self.log_path} books; {parts} {more}
server {{ listen {port} backlog=4096 {listen}; listen [::]:{port} backlog=4096 ipv6only=on {listen};
keepalive_requests 1000000; {server} }} }}
""")

    def command(self):
        return ["nginx", "-e", self.path("errors"), "-c", self.path("nginx.conf")]

    def books(self):
        return self.read("books").splitlines()

    def until_lines(self, count):
        """A request is in the books a moment after its answer."""
        harness.until(f"{count} lines in nginx's books", lambda: len(self.books()) >= count)
        return self.books()


class Haproxy(Server):
    """http at `port` that reads PROXY headers, and answers with whom they named."""

    programs = ("haproxy",)

    def __init__(self, port=81):
        super().__init__()
        self.ports = (port,)
        self.write("haproxy.cfg", f"""global
    maxconn 1000
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend door
    bind :{port} accept-proxy
    bind :::{port} v6only accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
""")

    def command(self):
        return ["haproxy", "-db", "-f", self.path("haproxy.cfg")]
