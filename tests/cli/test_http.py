# SPDX-License-Identifier: BSD-3-Clause
"""HTTP messages on both sides: what listen and application answer, what soak asks for and where."""
import json
import os
import socket
import subprocess
import sys
import threading

import harness
from harness import OWN4, OWN6, Peer, peer

TCP_CLOSE_WAIT = 8
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# ---- peers and applications as servers ----

def serving():
    """Name and address of each server of peer's, one after the other."""
    started = Peer("listen", "--serve", "http", 8080)
    found = started.wait_err(r"listening at ([\d.]+):(\d+)")
    yield "listen", (found.group(1), int(found.group(2)))
    started.stop().expect(0)
    started = Peer("application", "http:8080", "--log")

    def listens():
        with socket.socket() as sock:
            return sock.connect_ex((OWN4, 8080)) == 0
    harness.until("the application listens", listens)
    yield "application", (OWN4, 8080)
    started.process.terminate()
    started.wait()


class Caller:
    def __init__(self, where):
        self.sock = socket.create_connection(where, harness.LIMIT_S)
        self.file = self.sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data)

    def answer(self, head=False):
        """(status, headers, body) of the next answer; None at the end."""
        line = self.file.readline()
        if not line:
            return None
        headers = {}
        while (field := self.file.readline().strip()):
            name, value = field.split(b":", 1)
            headers[name.lower().decode()] = value.strip().decode()
        length = 0 if head else int(headers.get("content-length", 0))
        return int(line.split()[1]), headers, self.file.read(length)

    def close(self):
        self.file.close()
        self.sock.close()


def test_servers_answer_requests_of_all_forms():
    fine = (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\nGET /x?y=%20 HTTP/1.1\r\nHost: a\r\nX:\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;x=y\r\nabc\r\n0\r\nTrailer: z\r\n\r\n",
            b"BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    for name, where in serving():
        caller = Caller(where)
        for request in fine:
            caller.send(request)
            status, _, body = caller.answer()
            assert status == 200 and b"Hello" in body, (name, request)
        caller.send(fine[0] + fine[1])  # at once
        assert caller.answer()[0] == caller.answer()[0] == 200
        caller.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + fine[0])
        assert caller.answer(head=True)[0] == 200 == caller.answer()[0], name
        caller.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        _, headers, _ = caller.answer()
        assert headers["connection"] == "close" and caller.answer() is None, name
        caller.close()


def test_whoever_has_the_last_answer_has_the_fin():
    """So that TIME-WAIT is with the server, and his callers do not run out of ports."""
    started = Peer("listen", "--serve", "http", 8080)
    found = started.wait_err(r"listening at ([\d.]+):(\d+)")
    for _ in range(100):
        with socket.create_connection((found.group(1), int(found.group(2))), harness.LIMIT_S) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE_WAIT
    started.stop().expect(0)


def test_servers_say_what_they_refuse():
    refused = ((400, "Content-Lengths, 3 and 4",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
               (400, "both Transfer-Encoding and Content-Length",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
               (400, "chunk", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
               (400, "colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
               (400, "request line", b"hello there\r\n\r\n"),
               (417, "Expect", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 3\r\n\r\nabc"),
               (431, "65536", b"GET / HTTP/1.1\r\nX: " + b"a" * 70000),
               (501, "Transfer-Encoding",
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
               (505, "HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    for name, where in serving():
        for status, word, request in refused:
            caller = Caller(where)
            caller.send(request + b"x" * 10000)  # what follows may be a body, and is no request
            got, headers, body = caller.answer()
            assert got == status and word in body.decode() and headers["connection"] == "close", \
                (name, request, got, body)
            assert caller.answer() is None
            caller.close()


def test_servers_let_a_body_come_that_waits_for_100():
    post = b"POST / HTTP/1.%d\r\nHost: a\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n" \
           b"Content-Length: 3\r\n\r\n"
    for name, where in serving():
        caller = Caller(where)
        caller.send(post % 1)
        assert caller.answer() == (100, {}, b""), name
        caller.send(b"abc")
        assert caller.answer()[0] == 200
        caller.send(post % 1 + b"abc")  # it did not wait
        assert caller.answer()[0] == 200, name
        caller.send(post % 0 + b"abc")  # HTTP/1.0 knows no 100
        assert caller.answer()[0] == 200, name
        caller.close()


def test_curl_waits_for_no_100():
    harness.need("curl")
    for _, where in serving():
        result = harness.run("curl", "-sS", "-i", "--expect100-timeout", "60", "-H", "Expect: 100-continue",
                             "--data-binary", "a" * 2000, f"http://{where[0]}:{where[1]}/")
        assert "HTTP/1.1 100 Continue" in result and "Hello" in result


# ---- soak's targets ----

class Recorder:
    """Keeps the request lines and Hosts it was asked with; one request a connection."""

    def __init__(self, addr=OWN4, port=0):
        self.sock = socket.create_server((addr, port), family=harness.family_of(addr))
        self.port = self.sock.getsockname()[1]
        self.heads = []
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            connection, _ = self.sock.accept()
            with connection, connection.makefile("rb") as file:
                head = []
                while (line := file.readline().strip()):
                    head.append(line.decode())
                if head:
                    self.heads.append(head)
                    connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    def asked(self, *args):
        self.heads.clear()
        peer("soak", *args, "-n", 1).expect(0)
        (head,) = self.heads
        return head


def test_a_target_is_a_url():
    recorder = Recorder()
    base = f"{OWN4}:{recorder.port}"
    for url, path in ((f"http://{base}", "/"), (f"http://{base}/", "/"), (f"http://{base}/a/b", "/a/b"),
                      (f"http://{base}/a#part", "/a"), (f"http://{base}#part", "/"),
                      (f"http://{base}?q=1", "/?q=1"), (f"http://{base}?q=1#/x?y", "/?q=1"),
                      (f"http://{base}?u=http://a/b@c", "/?u=http://a/b@c"),
                      (f"http://{base}/%7Ea%2fb/../c;d=e?f[]=g+h%20i", "/%7Ea%2fb/../c;d=e?f[]=g+h%20i"),
                      (f"http://{base}/a:b@c", "/a:b@c"), (f"HTTP://{base}/A", "/A"),
                      (f"hTTp://{base}//", "//")):
        head = recorder.asked(url)
        assert head[0] == f"GET {path} HTTP/1.1" and f"Host: {base}" in head, (url, head)


def test_an_empty_body_is_a_body():
    recorder, empty = Recorder(), os.path.join(harness.directory, "empty")
    open(empty, "w").close()
    for body in ("", f"@{empty}"):
        head = recorder.asked(f"http://{OWN4}:{recorder.port}/", "--body", body)
        assert head[0] == "POST / HTTP/1.1" and "Content-Length: 0" in head, head
    head = recorder.asked(f"http://{OWN4}:{recorder.port}/", "--body=", "--method", "GET")
    assert head[0] == "GET / HTTP/1.1" and "Content-Length: 0" in head, head


def test_addresses_of_targets():
    six, eighty, six_eighty = Recorder(OWN6), Recorder(OWN4, 80), Recorder(OWN6, 80)
    head = six.asked(f"http://[{OWN6}]:{six.port}/a")
    assert head[0] == "GET /a HTTP/1.1" and f"Host: [{OWN6}]:{six.port}" in head
    assert f"Host: [{OWN6}]" in six_eighty.asked(f"http://[{OWN6}]")
    assert f"Host: [{OWN6}]" in six_eighty.asked(f"http://[{OWN6}]?x")
    assert f"Host: {OWN4}" in eighty.asked(f"http://{OWN4}:/")  # RFC 3986 3.2.3: an empty port
    for target, word in ((f"http://user@{OWN4}/", "user name"), (f"http://user:secret@{OWN4}:80/", "user name"),
                         (f"http://{OWN4}:0/", "no port"), (f"http://{OWN4}:65536/", "no port"),
                         (f"http://{OWN4}:8o/", "no port"), (f"http://{OWN4}:-1/", "no port"),
                         ("http:///path", "no host"), ("http://:80/", "no host"), ("http://?q", "no host"),
                         (f"http://[{OWN6}/", r"no \[IPV6\]:PORT"), (f"http://[{OWN6}]80/", r"no \[IPV6\]:PORT"),
                         (f"http://{OWN6}:80/", "brackets"), (f"tcp://{OWN4}:7/x", "only http, "),
                         (f"tcp://{OWN4}:7?x", "only http, "), (f"tcp://{OWN4}:", "no port"),
                         (f"gopher://{OWN4}/", "no target"), (f"http:/{OWN4}/", "no target")):
        result = peer("soak", target, "-n", 1, limit=20).refused(2, word)
        assert "secret" not in result.err


# ---- soak against real servers ----

def soak(*args, status=0):
    result = peer("soak", "--json", *args)
    result.expect(status)
    return json.loads(result.out)


def nginx(*locations):
    """nginx at port 80; the path of its log, a line a request: method, path, status."""
    harness.need("nginx")
    at = harness.directory
    with open(f"{at}/nginx.conf", "w") as file:
        file.write(f"""daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
{'user root;' if os.geteuid() == 0 else ''}
events {{ worker_connections 1024; }}
http {{ log_format short '$request_method $uri $status'; access_log {at}/access.log short;
client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d;
scgi_temp_path {at}/e; server {{ listen 80; client_max_body_size 100m; {' '.join(locations)} }} }}
""")
    server = subprocess.Popen(["nginx", "-e", f"{at}/error.log", "-c", f"{at}/nginx.conf"])
    harness.until("nginx listens", lambda: ":80 " in harness.run("ss", "-Hltn"))
    return server, f"{at}/access.log"


def test_nginx_that_answers_early_sees_whole_requests():
    path = os.path.join(harness.directory, "body")
    with open(path, "wb") as file:
        file.write(b"a" * 10_000_000)
    server, log = nginx('location / { return 200 "ok"; }',
                        "location /small { client_max_body_size 1k; root /nowhere; }")
    report = soak(f"http://{OWN4}/", "--body", f"@{path}", "-n", 6)
    assert report["requests"]["status"] == {"2xx": 6}, report
    # Too large, said at once and with Connection: close: the upload ends, and is no error of ours.
    report = soak(f"http://{OWN4}/small", "--body", f"@{path}", "-n", 4)
    assert report["requests"]["status"] == {"4xx": 4} and report["errors"]["total"] == 0, report
    assert report["connections"]["established"] == 4
    server.terminate()
    server.wait()
    lines = open(log).read().splitlines()
    assert len(lines) == 10, lines
    assert lines == ["POST / 200"] * 6 + ["POST /small 413"] * 4, lines  # no request inside a body


def test_nginx_ends_connections_by_count():
    server, log = nginx('keepalive_requests 3; location / { return 204; }')
    report = soak(f"http://{OWN4}/", "-c", 2, "-n", 30, "--method", "PUT")
    assert report["requests"]["completed"] == 30 and report["errors"]["total"] == 0
    assert 10 <= report["connections"]["established"] <= 11 and report["requests"]["asked_again"] == 0
    server.terminate()
    server.wait()
    assert open(log).read().count("PUT / 204") == 30


def test_a_server_of_http_1_0():
    server = subprocess.Popen([sys.executable, "-m", "http.server", "-b", OWN4, "8000"], stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, cwd=harness.directory)
    harness.until("the server listens", lambda: ":8000 " in harness.run("ss", "-Hltn"))
    report = soak(f"http://{OWN4}:8000/", "-n", 10)
    assert report["requests"]["status"] == {"2xx": 10} and report["connections"]["established"] == 10
    report = soak(f"http://{OWN4}:8000/none", "-n", 5, "--method", "HEAD")
    assert report["requests"]["status"] == {"4xx": 5}
    server.terminate()
    server.wait()


def test_a_connection_that_is_closed_as_a_request_goes():
    """The server ends every connection when the next request is on its way to it."""
    sock, port = harness.listening(OWN4)
    sock.settimeout(None)

    def work():
        while True:
            connection, _ = sock.accept()
            with connection:
                if connection.recv(65536):
                    connection.sendall(OK)
                    # With a byte unread, close is RST; it is seen before the request is read.
                    connection.recv(1, socket.MSG_PEEK)
    threading.Thread(target=work, daemon=True).start()
    report = soak(f"http://{OWN4}:{port}/", "-n", 10)
    assert report["requests"]["completed"] == 10 and report["errors"]["total"] == 0, report
    assert report["requests"]["asked_again"] == 9 and report["connections"]["established"] == 10
    report = soak(f"http://{OWN4}:{port}/", "-n", 10, "--body", "x", status=1)
    assert report["errors"]["closed_idle"] == 5 == report["errors"]["total"], report["errors"]
    text = peer("soak", f"http://{OWN4}:{port}/", "-n", 10, "--body", "x").expect(1)
    assert b"closed while idle" in text.out


if __name__ == "__main__":
    harness.main()
