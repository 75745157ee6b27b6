#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""TLS: real servers, whose books agree with ours; certificates that should not be trusted; servers that misbehave."""
import json
import os
import socket
import ssl
import subprocess
import threading

import harness
from harness import OWN4, Peer, peer
from servers import Certificates, HaproxyTLS, NginxTLS, Server, Stunnel


def soak(*args, status=0):
    result = peer("soak", "--json", *args, limit=60)
    result.expect(status)
    return json.loads(result.out)


class OpensslServer(Server):
    """openssl s_server at 4433."""

    programs = ("openssl",)
    ports = (4433,)

    def __init__(self, identity, *more):
        super().__init__()
        self.words = ["openssl", "s_server", "-accept", "4433", "-cert", identity[0], "-key", identity[1], *more]

    def command(self):
        return self.words


def mine(certificates):
    return certificates.make("mine", f"DNS:a.example,IP:{OWN4}")


# ---- as it should be ----

def test_a_servers_books_agree():
    certificates = Certificates()
    for versions, word in (("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")):
        with NginxTLS(mine(certificates)) as nginx:
            report = soak(f"https://{OWN4}/", "-c", 5, "-n", 60, "--tls-version", versions)
            assert nginx.until_lines(60) == [f"{word} ."] * 60
            assert report["tls"]["handshakes"] == 5 and report["tls"]["resumed"] == 0, report["tls"]
            assert report["tls"]["agreed"].startswith(word), report["tls"]
            assert report["latency_us"]["tls"]["min"] > 0
            report = soak(f"https://{OWN4}/", "-c", 3, "-n", 60, "--tls-version", versions, "--no-keep-alive",
                          "--tls-resume", "all")
            lines = nginx.until_lines(120)[60:]
            assert lines.count(f"{word} r") == report["tls"]["resumed"] >= 50, report["tls"]
            assert len(lines) == report["tls"]["handshakes"] == 60
            assert report["errors"]["total"] == 0


def test_each_peer_keeps_its_own_ticket():
    with NginxTLS(mine(Certificates()), log="$remote_addr $ssl_session_reused") as nginx:
        report = soak(f"https://{OWN4}/", "-c", 1, "-n", 12, "--no-keep-alive", "--tls-resume", "all", "--from",
                      "198.18.7.0/30")
        lines = nginx.until_lines(12)
        peers = len({line.split()[0] for line in lines})
        assert [line.split()[1] for line in lines] == ["."] * peers + ["r"] * (12 - peers), lines
        assert report["tls"]["resumed"] == 12 - peers


def test_versions_ciphers_and_names_are_as_asked():
    certificates = Certificates()
    log = "$ssl_protocol $ssl_cipher $ssl_server_name $ssl_alpn_protocol"
    with NginxTLS(mine(certificates), log=log) as nginx:
        soak(f"https://{OWN4}/", "-n", 1, "--tls-version", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256",
             "--sni", "b.example")
        soak(f"https://{OWN4}/", "-n", 1, "--tls-version", "1.3", "--ciphers", "TLS_CHACHA20_POLY1305_SHA256")
        assert nginx.until_lines(2) == ["TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 b.example http/1.1",
                                        "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 - http/1.1"]
    for wrong, words in ((("--tls-version", "1.9"), "is no version of TLS"), (("--ciphers", "none"), "are no ciphers"),
                         (("--cert", "/no/file"), "cannot read /no/file"), (("--key", "x"), "--key goes with --cert"),
                         (("--tls-resume", "7"), "is no share")):
        result = peer("soak", f"https://{OWN4}/", *wrong)
        result.expect(2, err=words)
    peer("soak", f"http://{OWN4}/", "--verify").expect(2, err="go with https:// and tls:// targets")
    peer("connect", OWN4, 443, "--alpn", "h2").expect(2, err="go with --tls")


def test_haproxy_and_stunnel_too():
    certificates = Certificates()
    with HaproxyTLS(mine(certificates), port=444):
        report = soak(f"https://{OWN4}:444/", "-c", 3, "-n", 30, "--no-keep-alive", "--tls-resume", "all")
        assert report["requests"]["completed"] == 30 and report["tls"]["resumed"] >= 24, report["tls"]
    echo = subprocess.Popen([harness.PEER, "application", "echo:9"])
    harness.until("the echo listens", lambda: ":9 " in harness.run("ss", "-Hltn"))
    with Stunnel(mine(certificates), echo=9):
        report = soak(f"tls://{OWN4}:7", "-c", 4, "-n", 40, "--size", "100k")
        assert report["requests"]["completed"] == 40 and report["errors"]["total"] == 0, report
        assert report["bytes"]["received"] == 40 * 102400
        report = soak(f"tls://{OWN4}:7", "-c", 20, "-d", "1s", "--idle")
        assert report["tls"]["handshakes"] == 20 and report["errors"]["total"] == 0, report
    echo.terminate()
    echo.wait()


def test_a_session_carries_plain_bytes():
    certificates = Certificates()
    with OpensslServer(mine(certificates), "-rev", "-alpn", "echo"):
        session = Peer("connect", "--tls", "-v", "--alpn", "echo", "--verify", certificates.authority[0], OWN4, 4433)
        session.send(b"hello\n", close=False)
        session.wait_out(rb"olleh")
        session.wait_err(r"TLSv1.3 in .*, ALPN echo")
        session.wait_err(r"certificate of CN=mine, by CN=authority, until .*: ok")
        session.stop()
    # The end of input is not said: nginx would cut the answer.
    with NginxTLS(mine(certificates), more=f"root {certificates.place}; location /large {{ }}"):
        large = os.urandom(3 << 20)
        with open(certificates.path("large"), "wb") as file:
            file.write(large)
        result = peer("connect", "--tls", OWN4, 443, data=b"GET /large HTTP/1.0\r\n\r\n")
        result.expect(0)
        assert result.out.endswith(large)


def test_certificates_of_both_sides():
    certificates = Certificates()
    authority = certificates.authority[0]
    log = "$remote_addr $ssl_client_s_dn"
    for i in (1, 2, 3):
        certificates.make(f"peer{i}")
    pattern = (certificates.path("peer%d.cert"), certificates.path("peer%d.key"))
    with NginxTLS(mine(certificates), more=f"ssl_client_certificate {authority}; ssl_verify_client on;",
                  log=log) as nginx:
        report = soak(f"https://{OWN4}/", "-c", 1, "-n", 4, "--no-keep-alive", "--from", "198.18.7.0/29", "--cert",
                      pattern[0], "--key", pattern[1])
        lines = [line.split() for line in nginx.until_lines(4)]
        assert len({address for address, _ in lines}) == 4
        assert [name for _, name in lines] == ["CN=peer1", "CN=peer2", "CN=peer3", "CN=peer1"], lines
        assert report["errors"]["total"] == 0
        report = soak(f"https://{OWN4}/", "-n", 2, "--no-keep-alive", "--expect", "2xx", status=1)
        assert report["requests"]["status_codes"] == {"400": 2}, report["requests"]  # nginx's way
    with OpensslServer(mine(certificates), "-Verify", "2", "-CAfile", authority, "-verify_return_error", "-rev"):
        report = soak(f"tls://{OWN4}:4433", "-n", 2, "--no-keep-alive", "--tls-version", "1.3", status=1)
        assert report["errors"]["tls_certificate"] == 2, report["errors"]


# ---- as it should not be ----

def test_certificates_that_are_not_to_be_trusted():
    certificates = Certificates()
    authority = certificates.authority[0]
    other = Certificates()
    cases = ((mine(certificates), authority, None),
             (certificates.make("old", f"IP:{OWN4}", days=-1), authority, "certificate has expired"),
             (certificates.make("wrong", "DNS:other.example"), authority, "IP address mismatch"),
             (certificates.make("alone", f"IP:{OWN4}", sign=False), authority, "self-signed certificate"),
             (mine(certificates), other.authority[0], "unable to get local issuer certificate"))
    for identity, trusted, words in cases:
        with NginxTLS(identity):
            report = soak(f"https://{OWN4}/", "-n", 3, "--verify", trusted, status=1 if words else 0)
            assert report["tls"]["verified"] is True
            assert report["errors"]["tls_certificate"] == (3 if words else 0), report["errors"]
            assert not words or words in report["first_error"], report["first_error"]
            result = peer("connect", "--tls", "-z", f"--verify={trusted}", OWN4, 443)
            result.expect(1 if words else 0, err=words)
            soak(f"https://{OWN4}/", "-n", 3)  # not verified


def answering(script):
    """A server at a free port that does that with each connection: its port."""
    listener = socket.create_server((OWN4, 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=script, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def test_servers_that_misbehave():
    certificates = Certificates()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*mine(certificates))

    def garbage(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def closes(connection):
        connection.recv(4096)
        connection.close()

    def resets(connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    def hangs(connection):
        connection.recv(4096)
        threading.Event().wait()

    def alerts(connection):
        connection.recv(4096)
        connection.sendall(bytes((21, 3, 3, 0, 2, 2, 40)))

    def cuts(connection):
        """An answer that only the end ends, without close_notify."""
        tls = context.wrap_socket(connection, server_side=True)
        tls.recv(4096)
        tls.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")
        os.close(tls.detach())

    def breaks(connection):
        """A record in the middle that is none."""
        copy = connection.dup()
        tls = context.wrap_socket(connection, server_side=True)
        tls.recv(4096)
        copy.sendall(bytes((23, 3, 3, 0, 40)) + bytes(40))
        threading.Event().wait()

    cases = ((garbage, "tls_protocol", "wrong version number"),
             (closes, "tls_closed", "closed in the middle of the handshake"),
             (resets, "tls_closed", "reset in the middle of the handshake"),
             (hangs, "timeout", "no answer to the handshake of TLS"),
             (alerts, "tls_protocol", 'the other side says "handshake failure"'),
             (cuts, "closed_early", "without close_notify"),
             (breaks, "tls_protocol", "decryption failed or bad record mac"))
    for script, kind, words in cases:
        report = soak(f"https://{OWN4}:{answering(script)}/", "-n", 1, "-w", "5s" if script is hangs else "30s",
                      status=1)
        assert report["errors"][kind] == report["errors"]["total"] == 1, (script, report["errors"])
        assert words in report["first_error"], report["first_error"]
    result = peer("connect", "--tls", OWN4, answering(hangs), "-w", "2")
    result.expect(1, err="no answer to the handshake of TLS")


# ---- manners ----

def test_handshakes_that_are_not_finished_hurt_nobody_else():
    with NginxTLS(mine(Certificates()), more="client_header_timeout 1s;") as nginx:
        names = ("tls-silent", "tls-half-hello", "tls-garbage", "tls-no-finish")
        report = soak(f"https://{OWN4}/", "-c", 8, "-d", "4s", *(word for name in names for word in
                                                               ("--manner", f"{name}:12.5%")))
        assert report["errors"]["total"] == 0 and report["requests"]["completed"] > 0, report["errors"]
        for manner in report["manners"]:
            # The server ends them: by its time limit, or at once since it is no TLS.
            assert manner["begun"] >= 1 and manner["ended"]["closed"] + manner["ended"]["reset"] >= 1, manner
            assert manner["requests"]["completed"] == 0 and manner["connections"]["established"] == 0, manner
        assert nginx.books()
    peer("soak", f"http://{OWN4}/", "--manner", "tls-silent").expect(2, err="is a manner of TLS")
    peer("listen", 8080, "--manner", "tls-silent").expect(2, err="a caller's manner")


# ---- captures ----

def tshark(path, display):
    return [line for line in harness.run("tshark", "-r", path, "-Y", display, "-T", "fields", "-e", "frame.number")
            .splitlines() if line.strip().isdigit()]


def test_a_capture_is_read_with_what_is_in_it():
    harness.need("tshark")
    with NginxTLS(mine(Certificates())) as nginx:
        # A link delays frames between the device and who has the secrets.
        for versions, more in (("1.2", ()), ("1.3", ()), ("1.3", ("--link", "delay 20ms"))):
            path = os.path.join(nginx.place, "frames")
            report = soak(f"https://{OWN4}/", "-c", 3, "-n", 30, "--no-keep-alive", "--tls-version", versions,
                          "--pcap", path, *more)
            assert report["requests"]["completed"] == 30
            assert len(tshark(path, "http.request.method == GET")) == 30, (versions, more)
            assert len(tshark(path, "http.response.code == 200")) == 30, (versions, more)
            assert not tshark(path, "_ws.malformed"), (versions, more)
        # A peer that is called has secrets, too.
        path = nginx.path("called")
        started = Peer("listen", "--tls", "--serve", "http", "--pcap", path, 8443)
        found = started.wait_err(r"listening at ([\d.]+):(\d+)")
        harness.run("curl", "-sk", f"https://{found.group(1)}:8443/")
        started.stop().expect(0)
        assert len(tshark(path, "http.request")) == 1


def test_secrets_go_to_the_file_that_the_environment_names():
    with NginxTLS(mine(Certificates())) as nginx:
        os.environ["SSLKEYLOGFILE"] = nginx.path("secrets")
        soak(f"https://{OWN4}/", "-n", 1, "--tls-version", "1.2")
        soak(f"https://{OWN4}/", "-n", 1, "--tls-version", "1.3")
        words = [line.split()[0] for line in nginx.read("secrets").splitlines()]
        assert words[0] == "CLIENT_RANDOM" and "CLIENT_TRAFFIC_SECRET_0" in words, words
        assert os.stat(nginx.path("secrets")).st_mode & 0o077 == 0
        os.environ["SSLKEYLOGFILE"] = "/no/such/folder/file"
        peer("soak", f"https://{OWN4}/", "-n", 1).expect(3, err="SSLKEYLOGFILE")
        del os.environ["SSLKEYLOGFILE"]


# ---- peers as servers ----

def test_a_peer_is_the_server():
    harness.need("curl")
    certificates = Certificates()
    cert, key = certificates.make("server", "DNS:b.example")
    started = Peer("listen", "--tls", "--serve", "http", 8443)
    found = started.wait_err(r"listening at ([\d.]+):(\d+)")
    out = harness.run("curl", "-sk", f"https://{found.group(1)}:8443/")
    assert "Hello from the peer" in out, out
    assert "CN=peer" in harness.run("sh", "-c", f"openssl s_client -connect {found.group(1)}:8443 </dev/null 2>&1").replace(" ", "")
    started.stop().expect(0)
    started = Peer("listen", "--tls", "--cert", cert, "--key", key, "--serve", "http", 8443)
    found = started.wait_err(r"listening at ([\d.]+):(\d+)")
    out = harness.run("curl", "-s", "--cacert", certificates.authority[0], "--resolve",
                      f"b.example:8443:{found.group(1)}", "https://b.example:8443/")
    assert "Hello from the peer" in out, out
    started.stop().expect(0)


def test_an_application_speaks_tls():
    certificates = Certificates()
    cert, key = mine(certificates)
    started = subprocess.Popen([harness.PEER, "application", "--tls", "--cert", cert, "--key", key, "http:443",
                                "echo:7", "source:9", "discard:10"])
    harness.until("it listens", lambda: all(f":{port} " in harness.run("ss", "-Hltn") for port in (443, 7, 9, 10)))
    report = soak(f"https://{OWN4}/", "-c", 4, "-n", 40, "--verify", certificates.authority[0])
    assert report["requests"]["completed"] == 40, report
    report = soak(f"tls://{OWN4}:7", "-c", 2, "-n", 10, "--size", "200k")
    assert report["requests"]["completed"] == 10, report
    report = soak(f"tls://{OWN4}:9", "--workload", "receive", "-d", "1s")
    assert report["bytes"]["received"] > 100000, report["bytes"]
    report = soak(f"tls://{OWN4}:10", "--workload", "send", "-d", "1s")
    assert report["bytes"]["sent"] > 100000, report["bytes"]
    started.terminate()
    started.wait()


if __name__ == "__main__":
    harness.main()
