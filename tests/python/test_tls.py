# SPDX-License-Identifier: BSD-3-Clause
"""TLS: of peers that call, that are called, and of soaks; the other side is Python's ssl."""

import shutil
import socket
import ssl
import subprocess
import threading

import pytest

import peer


@pytest.fixture
def net(peer_net):
    return peer_net(from_="203.0.113.0/24")


@pytest.fixture(scope="session")
def identity(tmp_path_factory):
    """A certificate for a.example, signed by itself, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    place = tmp_path_factory.mktemp("identity")
    cert, key = place / "cert.pem", place / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "1", "-subj", "/CN=a.example", "-addext", "subjectAltName=DNS:a.example", "-keyout", key, "-out", cert],
                   check=True, stderr=subprocess.DEVNULL)
    return str(cert), str(key)


class Server(threading.Thread):
    """HTTP over TLS, a connection at a time, until the listening socket is shut down."""

    def __init__(self, listening, identity):
        super().__init__()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*identity)
        self.context.set_alpn_protocols(["http/1.1"])
        self.listening, self.versions, self.resumed, self.failed = listening, [], 0, []
        self.connection = None

    def answer(self, connection):
        with self.context.wrap_socket(connection, server_side=True) as secured:
            self.versions.append(secured.version())
            self.resumed += secured.session_reused
            while secured.recv(65536):
                secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def run(self):
        while True:
            try:
                self.connection, _ = self.listening.accept()
            except OSError:
                return
            self.connection.settimeout(20)
            try:
                self.answer(self.connection)
            except (ssl.SSLError, OSError) as error:
                self.failed.append(str(error))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.join()


def test_a_peer_calls_over_tls(net, identity):
    with Server(net.listen_socket(443), identity) as server:
        flow = net.connect(None, 443, tls={"sni": "a.example", "versions": "1.3", "alpn": "h2,http/1.1"})
        flow.send(b"GET / HTTP/1.1\r\n\r\n")
        assert flow.recv_until(b"ok").endswith(b"ok")
        assert flow.tls["version"] == "TLSv1.3" and flow.tls["alpn"] == "http/1.1" and flow.tls["open"], flow.tls
        assert flow.tls["verified"] == "not verified"
        flow.close()
        with net.connect(None, 443, tls=True) as flow:
            assert flow.tls["open"]
    assert server.versions[0] == "TLSv1.3"


def test_a_certificate_is_judged(net, identity):
    with Server(net.listen_socket(443), identity):
        flow = net.connect(None, 443, tls={"verify": True, "ca_file": identity[0], "name": "a.example"})
        assert flow.tls["verified"] == "ok"
        flow.close()
        for wrong, words in (({"ca_file": identity[0], "name": "b.example"}, "hostname mismatch"),
                             ({"name": "a.example"}, "self-signed certificate")):
            with pytest.raises(peer.Ended) as ended:
                net.connect(None, 443, tls={"verify": True, **wrong})
            assert ended.value.end is peer.End.TLS and words in str(ended.value), ended.value
        with net.connect(None, 443) as flow:
            assert flow.tls is None


def test_peers_are_called_over_tls(net):
    listener = net.listen(443, serve="echo", tls=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def call(plain):
        plain.settimeout(20)
        plain.connect(("203.0.113.7", 443))
        with context.wrap_socket(plain) as secured:
            secured.sendall(b"who am I?")
            return secured.recv(100)

    assert net.call(call, net.socket()) == b"who am I?"
    listener.close()


def test_a_soak_over_tls(net, identity):
    with Server(net.listen_socket(443), identity) as server:
        report = net.soak(f"https://{net.address}/", total=40, requests_per_connection=4)
        assert report["counts"]["completed"] == 40 and report["errors"] == 0, report
        assert report["counts"]["tls"] == 10 == report["tls"]["count"], report
        settings = net.tls(resume=1.0, versions="1.2")
        for _ in range(2):
            report = net.soak(f"https://{net.address}/", total=300, requests_per_connection=1, tls=settings)
        assert report["counts"]["tls_resumed"] == 300, report
        assert server.resumed >= 300
        report = net.soak(f"https://{net.address}/", total=5, tls={"verify": True})
        assert report["errors"] == 5 == report["counts"]["tls_certificate"], report


def test_what_cannot_be_is_told(net):
    with pytest.raises(TypeError, match="verify"):
        net.tls(nonsense=1)
    with pytest.raises(peer.Error, match="nothing/here"):
        net.tls(cert="/nothing/here")
    with pytest.raises(peer.Error, match="https"):
        net.soak("gopher://192.0.2.80/")
