# SPDX-License-Identifier: BSD-3-Clause
"""What services speak today: TLS, HTTP/2, DNS, beside the clients that people use for them.

One nginx worker and one unbound thread are the applications; wrk, h2load and dnsperf are over veth.
"""
import re
import resource
import socket
import subprocess
import sys
import time

from measures import PEERS, Held, Row, held_sample, measure, picked, read_soak, read_wrk
from sandbox import FILES, START_S, Process, Space, write_file

TLS_PORT, DNS_PORT = 8443, 5353
HTTPS = f"https://{Space.SERVER}:{TLS_PORT}/"
HELD = 20000

TLS_SERVER = """
    ssl_certificate {files}/cert.pem; ssl_certificate_key {files}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off; ssl_session_tickets off; http2_max_concurrent_streams 512;
    server {{ listen {server}:{port} ssl http2 backlog=65535; location / {{ return 200 "hello\\n"; }} }}
"""

UNBOUND = """
server:
    interface: {server}@{port}
    username: ""
    chroot: ""
    directory: "{files}"
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    num-threads: 1
    access-control: 0.0.0.0/0 allow
    so-rcvbuf: 4m
    local-zone: "example." static
    local-data: "www.example. A 192.0.2.1"
remote-control:
    control-enable: no
"""


def make_certificate():
    """Of P-256, signed by itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "1", "-subj", "/CN=bench", "-keyout", f"{FILES}/key.pem", "-out", f"{FILES}/cert.pem"],
                   check=True, stderr=subprocess.DEVNULL)


def start_nginx(bench):
    """As for the other measures, and it speaks TLS beside."""
    make_certificate()
    return bench.start_nginx(TLS_SERVER.format(files=FILES, server=Space.SERVER, port=TLS_PORT))


def h2load(bench, target, *options):
    return Process(["h2load", "-t1", *options, target], bench.space.netns)


def read_h2load(output):
    """Requests a second of what was answered, and what was not."""
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", output)
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", output)
    if not rate or not failed:
        raise ValueError(f"h2load said nothing known: {output[-300:]}")
    return {"per_s": float(rate[1]), "errors": sum(map(int, failed.groups()))}


def compare(bench, row, start, peer, other, name):
    """`peer` and `other`: (process, reader of its output)."""
    sides = {"peer": lambda server: bench.observe(peer(), server, picked(read_soak, "per_s")),
             name: lambda server: bench.observe(other[0](), server, picked(other[1], "per_s"))}
    with start() as server:
        return [bench.compare(row, server, sides)]


def seconds(bench):
    return str(max(1, round(bench.seconds)))


@measure("https")
def https(bench):
    """Beside wrk, and beside h2load."""
    rows = []
    for name, other in (("wrk", (lambda: bench.wrk(HTTPS, "-c64"), read_wrk)),
                        ("h2load", (lambda: h2load(bench, HTTPS, "--h1", "-c64", "-D", seconds(bench)), read_h2load))):
        row = Row(f"https-{name}", "https keep-alive requests/s, 64 flows, HTTP/1.1", "/s", 1.2, 1.5, {})
        rows += compare(bench, row, lambda: start_nginx(bench),
                        lambda: bench.soak(HTTPS, "-c", "64", "--http1"), other, name)
    return rows


@measure("handshakes")
def handshakes(bench):
    """A full one for each request. h2load opens as many as it is told to, 64 at once."""
    row = Row("handshakes", "full TLS handshakes/s with a request each, 64 at once", "/s", 1.0, 1.2, {})
    count = str(int(600 * bench.seconds))
    return compare(bench, row, lambda: start_nginx(bench),
                   lambda: bench.soak(HTTPS, "-c", "64", "--http1", "--no-keep-alive"),
                   (lambda: h2load(bench, HTTPS, "--h1", "-n", count, "-c", count), read_h2load), "h2load")


@measure("http2")
def http2(bench):
    row = Row("http2", "HTTP/2 requests/s over TLS, -c 64 -m 10", "/s", 1.0, 1.2, {})
    return compare(bench, row, lambda: start_nginx(bench),
                   lambda: bench.soak(HTTPS, "-c", "64", "-m", "10", "--http2"),
                   (lambda: h2load(bench, HTTPS, "-c64", "-m10", "-D", seconds(bench)), read_h2load), "h2load")


# ---- DNS ----

def start_unbound():
    write_file(f"{FILES}/unbound.conf", UNBOUND.format(files=FILES, server=Space.SERVER, port=DNS_PORT))
    write_file(f"{FILES}/queries", "www.example A\n")
    server = Process(["unbound", "-c", f"{FILES}/unbound.conf"])
    deadline = time.monotonic() + START_S
    while subprocess.run(["dig", "+time=1", "+tries=1", f"@{Space.SERVER}", "-p", str(DNS_PORT), "www.example"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        if time.monotonic() > deadline or server.popen.poll() is not None:
            server.fail("did not start")
    return server


def read_dnsperf(output):
    rate = re.search(r"Queries per second:\s+([\d.]+)", output)
    lost = re.search(r"Queries lost:\s+(\d+)", output)
    if not rate or not lost:
        raise ValueError(f"dnsperf said nothing known: {output[-300:]}")
    return {"per_s": float(rate[1]), "errors": int(lost[1])}


@measure("dns")
def dns(bench):
    row = Row("dns", "DNS queries/s over UDP, 100 under way", "/s", 1.0, 1.2, {})
    return compare(bench, row, start_unbound,
                   lambda: bench.soak(f"dns://{Space.SERVER}:{DNS_PORT}/www.example?type=A", "-c", "100"),
                   (lambda: Process(["dnsperf", "-s", Space.SERVER, "-p", DNS_PORT, "-d", f"{FILES}/queries", "-c", "10",
                                     "-q", "100", "-l", seconds(bench)], bench.space.netns), read_dnsperf), "dnsperf")


# ---- held connections ----

# As many processes as that takes: each may have so many descriptors.
HOLDER = """
daemon off; worker_processes {workers}; user root; pid {files}/nginx.pid; error_log {files}/nginx.log;
worker_rlimit_nofile {limit}; events {{ worker_connections {connections}; }}
http {{
    access_log off; client_header_timeout 3600s; keepalive_timeout 3600s;
    client_body_temp_path {files}/body; proxy_temp_path {files}/proxy;
    fastcgi_temp_path {files}/fastcgi; uwsgi_temp_path {files}/uwsgi; scgi_temp_path {files}/scgi;
    ssl_certificate {files}/cert.pem; ssl_certificate_key {files}/key.pem; ssl_session_cache off;
    server {{ listen {server}:{port} ssl reuseport backlog=65535; location / {{ return 200 "hello\n"; }} }}
}}
"""


def start_holder():
    make_certificate()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    connections = limit - 100
    workers = -(-HELD * 5 // (4 * connections))  # the kernel's hash is not quite even
    if workers > 1:
        print(f"idle-tls: nginx has {workers} processes, since each may have {limit} descriptors", file=sys.stderr)
    write_file(f"{FILES}/holder.conf", HOLDER.format(files=FILES, workers=workers, limit=limit, connections=connections,
                                                     server=Space.SERVER, port=TLS_PORT))
    server = Process(["nginx", "-p", FILES, "-c", f"{FILES}/holder.conf"])
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection((Space.SERVER, TLS_PORT)).close()
            return server
        except OSError:
            if time.monotonic() > deadline or server.popen.poll() is not None:
                server.fail("did not start")
            time.sleep(0.01)


class HeldTls(Held):
    """Connections whose handshake of TLS is done. Slowly: a machine that others use is no less a measure of memory."""

    def __init__(self, bench, count, *options):  # pylint: disable=super-init-not-called
        self.count, self.start_s = count, time.monotonic()
        self.peer = Process([bench.peer, "soak", f"tls://{Space.SERVER}:{TLS_PORT}", "--from", PEERS, "--idle",
                             "-c", count, "--connect-rate", "400", "-w", "60s", "-d", "3600s", "--json-stream", "--tolerate",
                             *options])
        self.established = self.completed = self.errors = 0


@measure("idle-tls")
def idle_tls(bench):
    """nginx keeps them open for an hour; what is measured is resident memory beyond that of one."""
    with start_holder() as server:
        residents = []
        for count in 1, HELD:
            with HeldTls(bench, count) as held:
                held.wait_open()
                for _ in range(3):
                    held.next()
                residents.append(held.peer.resident_bytes())
                held.close()
        sample = held_sample((residents[1] - residents[0]) / HELD, held, server, {"resident_bytes": residents[1]})
    return [Row("idle-tls", f"resident memory per idle TLS connection, of {HELD}", "B", 40960, 30720,
                {"peer": [sample]}, higher=False, ratio=False, absolute=True)]
