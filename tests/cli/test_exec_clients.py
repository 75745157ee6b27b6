#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Programs that people have, under peer exec: by their own commands, and the servers' books are the judge."""
import hashlib
import json
import os
import re
import subprocess
import sys
import threading

import harness
import servers
from harness import OWN4, OWN6, peer
from servers import PEERS4, PEERS6, assert_peers


def run_as_peers(*command, options=(), status=0, peers=PEERS4, data=b""):
    return peer("exec", "--from", peers, *options, "--", *command, data=data).expect(status)


def out_of(*command, **more):
    return run_as_peers(*command, **more).out.decode(errors="replace")


def many():
    """Requests: what takes seconds is less with sanitizers."""
    return 1000 if harness.options.sanitized else 10000


# ---- http ----

def test_curl():
    with servers.Nginx() as nginx:
        assert out_of("curl", "-sS", f"http://{OWN4}/") == "hello"
        assert_peers(nginx.until_lines(1), 1)


def test_curl_over_ipv6():
    with servers.Nginx() as nginx:
        urls = f"http://[{OWN6}]/?[1-40]"
        assert out_of("curl", "-sS", "-H", "Connection: close", urls, peers=PEERS6).count("hello") == 40
        assert_peers(nginx.until_lines(40), 40, PEERS6)


def test_curl_with_many_at_once():
    with servers.Nginx() as nginx:
        said = out_of("curl", "-sS", "-Z", "--parallel-max", "40", "-H", "Connection: close",
                      f"http://{OWN4}/?[1-400]")
        assert said.count("hello") == 400, said[:200]
        assert_peers(nginx.until_lines(400), 400)


def test_curl_moves_long_bodies_whole():
    data = hashlib.shake_256(b"body").digest(harness.size_of_transfer() >> 4)
    with servers.Nginx(server=f"root {harness.directory};") as nginx:
        path = os.path.join(harness.directory, "file")
        with open(path, "wb") as file:
            file.write(data)
        assert run_as_peers("curl", "-sS", f"http://{OWN4}/file").out == data
        server = harness.Server(take_upload)
        said = out_of("curl", "-sS", "-H", "Expect:", "--data-binary", f"@{path}", f"http://{OWN4}:{server.port}/")
        server.join()
        assert said == hashlib.sha256(data).hexdigest(), said
        assert_peers([caller[0] for caller in server.callers], 1)
        assert_peers(nginx.until_lines(1), 1)


def take_upload(connection, _address):
    """Answers a POST with the hash of its body."""
    with connection.makefile("rb") as lines:
        length = 0
        while (line := lines.readline().strip()):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        said = hashlib.sha256(lines.read(length)).hexdigest().encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))


# Its main thread sleeps for the time that was asked for, unless a signal comes.
STOP_AFTER = """
local ffi = require("ffi")
ffi.cdef("int kill(int, int); int getpid(void);")
local count = 0
function response(status)
    count = count + 1
    if count == %d then ffi.C.kill(ffi.C.getpid(), 2) end
end
"""


def test_wrk_comes_from_as_many_addresses_as_it_has_requests():
    harness.need("wrk")
    count = many()
    with servers.Nginx() as nginx:
        script = nginx.write("stop.lua", STOP_AFTER % count)
        said = out_of("wrk", "-t1", "-c50", "-d300s", "-s", script, "-H", "Connection: close", f"http://{OWN4}/")
        assert "Non-2xx" not in said and "Socket errors" not in said, said
        books = nginx.until_lines(count)
        assert_peers(books, len(books))


def test_wrk_keeps_its_connections():
    harness.need("wrk")
    with servers.Nginx() as nginx:
        script = nginx.write("stop.lua", STOP_AFTER % many())
        said = out_of("wrk", "-t1", "-c20", "-d300s", "-s", script, f"http://{OWN4}/")
        assert "Non-2xx" not in said and "Socket errors" not in said, said
        assert_peers(nginx.until_lines(many()), 20)


def test_h2load_over_http2():
    harness.need("h2load")
    with servers.Nginx(listen="http2", log="$remote_addr $server_protocol") as nginx:
        said = out_of("h2load", "-n", "2000", "-c", "40", "-m", "10", f"http://{OWN4}/")
        assert "2000 succeeded, 0 failed" in said, said
        rows = [line.split() for line in nginx.until_lines(2000)]
        assert_peers([row[0] for row in rows], 40)
        assert {row[1] for row in rows} == {"HTTP/2.0"}


def test_busybox_which_is_static():
    harness.need("busybox")
    with servers.Nginx() as nginx:
        assert out_of("busybox", "wget", "-q", "-O", "-", f"http://{OWN4}/") == "hello"
        assert_peers(nginx.until_lines(1), 1)


# ---- others over TCP ----

def test_redis_benchmark():
    harness.need("redis-benchmark")
    with servers.Redis() as redis:
        monitor = redis.watch()
        said = out_of("redis-benchmark", "-h", OWN4, "-n", "2000", "-c", "20", "-t", "set,lpush", "-q")
        assert "SET" in said and "LPUSH" in said and "Error" not in said, said
        assert re.search(r"cmdstat_set:calls=2000\b.*", redis.ask("info", "commandstats")), said
        harness.until("the monitor has all", lambda: len(redis.callers("lpush")) >= 2000)
        monitor.terminate()
        monitor.wait()
        for command in "set", "lpush":
            callers = redis.callers(command)
            assert_peers([caller.rpartition(":")[0] for caller in callers], 20)


def test_ssh_and_scp():
    with servers.Sshd() as sshd:
        data = os.urandom(5 << 20)
        path = sshd.path("file")
        with open(path, "wb") as file:
            file.write(data)
        said = out_of("ssh", *sshd.options(), f"root@{OWN4}", 'cat; echo "$SSH_CONNECTION"', data=b"stdin\n")
        assert said.startswith("stdin\n"), said
        assert_peers([said.split()[1]], 1)
        run_as_peers("scp", "-q", *sshd.options(), path, f"root@{OWN4}:{path}.up")
        run_as_peers("scp", "-q", *sshd.options(), f"root@{OWN4}:{path}.up", f"{path}.down")
        with open(f"{path}.down", "rb") as file:
            assert file.read() == data
        assert_peers(sshd.callers())
        assert len(sshd.callers()) == 3, sshd.callers()


def test_ssh_by_a_proxy_command():
    with servers.Sshd() as sshd:
        command = f"ProxyCommand={harness.PEER} connect --from 198.18.7.9 %h %p"
        said = harness.run("ssh", *sshd.options(), "-o", command, f"root@{OWN4}", 'echo "$SSH_CONNECTION"',
                           stdin=subprocess.DEVNULL)
        assert said.split()[0] == "198.18.7.9", said
        path = sshd.write("file", "content")
        harness.run("scp", "-q", *sshd.options(), "-o", command, path, f"root@{OWN4}:{path}.up",
                    stdin=subprocess.DEVNULL)
        assert sshd.read("file.up") == "content" and sshd.callers() == ["198.18.7.9"] * 2


def iperf(*words):
    with servers.Iperf() as server:
        said = json.loads(out_of("iperf3", "-c", OWN4, "-J", *words))
        report = server.report()
    assert "error" not in said and "error" not in report, (said.get("error"), report.get("error"))
    assert_peers([stream["remote_host"] for stream in report["start"]["connected"]])
    assert_peers([report["start"]["accepted_connection"]["host"]])
    return said, report


def test_iperf_over_tcp():
    harness.need("iperf3")
    said, report = iperf("-n", "40M", "-P", "4")
    assert said["end"]["sum_sent"]["bytes"] >= 40 << 20, said["end"]
    assert report["end"]["sum_received"]["bytes"] > 0, report["end"]  # what came before the client's last word
    said, report = iperf("-n", "40M", "-R")
    assert said["end"]["sum_received"]["bytes"] >= 40 << 20, said["end"]


def test_iperf_over_udp():
    harness.need("iperf3")
    for more in ([], ["-R"]):
        said, _ = iperf("-u", "-b", "5M", "-n", "500K", *more)
        end = said["end"]["sum"]
        assert end["packets"] > 0 and end["lost_packets"] < end["packets"] / 10, end


def test_nmap_finds_what_listens():
    harness.need("nmap")
    listeners = [harness.listening(OWN4)[0] for _ in range(3)]
    ports = sorted(sock.getsockname()[1] for sock in listeners)
    said = out_of("nmap", "-sT", "-Pn", "-n", "--reason", "-p", ",".join(map(str, [*ports, 9, 11])), OWN4)
    assert [int(port) for port in re.findall(r"(\d+)/tcp +open .*syn-ack", said)] == ports, said
    assert re.findall(r"(\d+)/tcp +closed .*(?:conn-refused|reset)", said) == ["9", "11"], said
    callers = [sock.accept()[1][0] for sock in listeners]
    assert_peers(callers, 3)


# ---- datagrams ----

@harness.changes_machine
def test_dig():
    harness.need("dig")
    with servers.Dnsmasq() as dns:
        names = dns.write("names", "".join(f"name{i}.example A\n" for i in range(50)))
        said = out_of("dig", "+short", f"@{OWN4}", "-f", names)
        assert said.split() == ["192.0.2.7"] * 50, said
        callers = {name: address for address, _, name in dns.callers()}
        # dig takes a port at random, and two that take the same one soon after each other are one flow.
    found = {callers[f"name{i}.example"] for i in range(50)}
    assert len(found) >= 47, found


@harness.changes_machine
def test_dig_over_tcp():
    harness.need("dig")
    with servers.Dnsmasq() as dns:
        assert out_of("dig", "+short", "+tcp", f"@{OWN4}", "tcp.example").split() == ["192.0.2.7"]
        assert_peers([address for address, _, _ in dns.callers()], 1)


@harness.changes_machine
def test_dig_takes_an_answer_of_fragments():
    harness.need("dig")
    with servers.Dnsmasq():
        for at, peers in (OWN4, PEERS4), (OWN6, PEERS6):
            said = out_of("dig", "+short", "+ignore", "+bufsize=4096", f"@{at}", "big.example", "TXT", peers=peers)
            assert said.count("t") == 3000, (at, said)


# ---- a program of no library's ----

def test_python_with_a_thousand_connections_at_once():
    """All open at the same time, each from another peer, and each hears its own bytes."""
    count = 1000
    program = f"""
import socket, sys
calls = [socket.create_connection(("{OWN4}", int(sys.argv[1]))) for _ in range({count})]
for number, call in enumerate(calls):
    call.sendall(b"%08d" % number)
for number, call in enumerate(calls):
    assert call.recv(8, socket.MSG_WAITALL) == b"%08d" % number
"""
    sock, port = harness.listening(OWN4)
    sock.listen(count)
    callers = []

    def serve():
        connections = [sock.accept() for _ in range(count)]
        callers.extend(address[0] for _, address in connections)
        for connection, _ in connections:
            connection.sendall(connection.recv(8, 0x100))  # MSG_WAITALL
        for connection, _ in connections:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    run_as_peers(sys.executable, "-c", program, str(port))
    thread.join(harness.LIMIT_S)
    assert_peers(callers, count)


if __name__ == "__main__":
    harness.main()
