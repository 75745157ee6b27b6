# SPDX-License-Identifier: BSD-3-Clause
"""Nets, flows and sockets: servers in the test's own process, and programs."""

import http.server
import os
import pickle
import socket
import subprocess
import sys
import threading
import time

import pytest

import peer


@pytest.fixture
def net(peer_net):
    return peer_net(from_="203.0.113.0/24")


def test_ten_peers_call_one_vanishes_one_resets(net):
    server = net.listen_socket(80)
    flows, connections = [], []
    for _ in range(10):
        flows.append(net.connect(net.address, 80))
        connection, who = server.accept()
        assert who == flows[-1].peer
        connections.append(connection)
    assert len({flow.peer[0] for flow in flows}) == 10

    flows[3].vanish()
    flows[4].reset()
    with pytest.raises(ConnectionResetError):
        connections[4].recv(1)
    assert flows[4].end is peer.End.LOCAL
    connections[3].settimeout(0.3)
    connections[3].sendall(b"is anybody there?")
    with pytest.raises(TimeoutError):
        connections[3].recv(1)
    for flow, connection in zip(flows, connections):
        if flow not in (flows[3], flows[4]):
            flow.send(b"hello\n")
            assert connection.recv(100) == b"hello\n"
            connection.close()
            assert flow.recv() == b""
            flow.close()
            assert flow.wait_end() is peer.End.CLOSED


def test_reading_takes_what_it_was_asked_for(net):
    server = net.listen_socket(80)
    flow = net.connect(*server.getsockname())
    connection, _ = server.accept()
    connection.sendall(b"one\r\ntwo\r\n12345" + b"x" * 200000)
    assert flow.recv_until(b"\r\n") == b"one\r\n"
    assert flow.recv_until(b"\r\n") == b"two\r\n"
    assert flow.recv(3) == b"123"
    assert flow.recv_exactly(2) == b"45"
    net.run_until(lambda: flow.info["unread"] > 1000)
    with pytest.raises(peer.Error, match="no b'!' in"):
        flow.recv_until(b"!", most=1000)
    connection.close()
    assert flow.recv_all() == b"x" * 200000
    assert flow.eof and flow.recv() == b""
    with pytest.raises(peer.Ended, match="ended after 0 bytes"):
        flow.recv_until(b"\n")


def test_what_is_sent_arrives_with_a_slow_link_and_a_server_in_this_thread(peer_net):
    net = peer_net(from_="203.0.113.7", link="delay 20ms", seed=3)
    server = net.listen_socket(80)
    flow = net.connect(None, 80)
    connection, _ = server.accept()
    flow.send(b"q" * 50000)
    flow.shutdown()
    data = bytearray()
    while more := connection.recv(65536):
        data += more
    assert data == b"q" * 50000
    connection.sendall(b"a" * 50000)
    connection.close()
    assert flow.recv_all() == b"a" * 50000
    net.set_link((None, "delay 0ms"))


def test_a_server_in_a_thread_is_called(net):
    server = net.listen_socket(0)

    def serve():
        for _ in range(3):
            connection, who = server.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(who[0].encode() + b" " + lines.readline())

    thread = threading.Thread(target=serve)
    thread.start()
    for number in range(3):
        with net.connect(*server.getsockname(), from_=number + 6) as flow:
            flow.send(b"hello\n")
            assert flow.recv_all() == f"203.0.113.{number + 7} hello\n".encode()
    thread.join()


def test_nothing_waits_for_ever_in_the_thread_of_the_net(net):
    net.timeout = 0.2
    server = net.listen_socket(80)
    with pytest.raises(peer.Timeout):
        server.accept()
    flow = net.connect(None, 80)
    connection, _ = server.accept()
    with pytest.raises(peer.Timeout, match="nothing to read within 0.2 s"):
        flow.recv()
    with pytest.raises(peer.Timeout):
        connection.sendall(bytes(32 << 20))  # nobody reads
    with pytest.raises(peer.Timeout, match="find no room"):
        flow.send(bytes(32 << 20))
    with pytest.raises(peer.Timeout, match="was not true"):
        net.run_until(lambda: False)


def test_refusals_and_resets_have_words(net):
    with pytest.raises(peer.Ended, match=r"203\.0\.113\.1:\d+ -> 192\.0\.2\.80:81: refused") as caught:
        net.connect(None, 81, from_="203.0.113.1")
    assert caught.value.end is peer.End.REFUSED and isinstance(caught.value, ConnectionError)
    assert pickle.loads(pickle.dumps(caught.value)).end is peer.End.REFUSED
    with pytest.raises(peer.Error, match="no manner") as caught:
        net.connect(None, 80, manners="sing")
    assert caught.value.kind is peer.Kind.USAGE
    with pytest.raises(peer.Error, match="'nowhere' is no address"):
        net.connect("nowhere", 80)
    with pytest.raises(TypeError, match="from_prt"):
        net.connect(None, 80, from_prt=1)
    server = net.listen_socket(80)
    flow = net.connect(None, 80)
    server.accept()[0].close()
    flow.send(b"too late")
    assert flow.wait_end() is peer.End.RESET
    with pytest.raises(peer.Ended, match="reset"):
        flow.send(b"x")


def test_flows_tell_after_the_end_of_their_net(peer_net):
    net = peer_net()
    server = net.listen_socket(80)
    flow = net.connect(None, 80)
    server.accept()
    net.close()
    net.close()
    assert flow.info["to_port"] == 80 and flow.end is None
    with pytest.raises(peer.Error, match="the net is closed"):
        flow.send(b"x")
    assert peer_net().address == "192.0.2.80"


def test_one_net_in_one_process_in_one_thread(net):
    with pytest.raises(peer.Error, match=r"a net in this process already, made at .*test_net\.py|one at a time"):
        peer.Net(isolate=True)
    caught = []

    def use():
        try:
            net.dispatch()
        except peer.Error as error:
            caught.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "by the thread that made it" in caught[0]


def test_a_forked_child_leaves_the_net_alone(net):
    server = net.listen_socket(80)
    flow = net.connect(None, 80)
    child = os.fork()
    if child == 0:
        try:
            net.dispatch()
        except peer.Error as error:
            with peer.Net(isolate=True) as own:
                answered = own.ping()["icmp_type"] == 0
            os._exit(0 if "forked" in str(error) and answered else 2)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    connection, _ = server.accept()
    connection.sendall(b"still here")
    assert flow.recv() == b"still here"


def test_the_tcp_of_a_peer_is_as_asked_for(net):
    server = net.listen_socket(81)
    flow = net.connect(None, 81, mss=500, no_timestamps=True, no_sack=True)
    info = flow.info
    assert (info["timestamps"], info["sack"]) == (False, False)
    assert server.accept()[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 500


def test_datagrams_keep_their_bounds(net):
    server = net.listen_socket(53, udp=True)
    flow = net.connect(None, 53, udp=True)
    for data in (b"one", b"", b"three"):
        flow.send(data)
    assert [server.recvfrom(100) for _ in range(3)] == [(data, flow.peer) for data in (b"one", b"", b"three")]
    server.sendto(b"four", flow.peer)
    server.sendto(b"five", flow.peer)
    assert flow.recv() == b"four" and flow.recv() == b"five"


def test_applications_call_peers(net):
    listener = net.listen(0, serve="echo")
    sock = net.socket()
    sock.connect((net.peer(4), listener.port))
    sock.sendall(b"echo")
    assert sock.recv(100) == b"echo" and listener.stats["accepted"] == 1
    with net.listen(7000, at=net.peer(1)) as listener:
        sock = net.socket()
        assert net.call(sock.connect, (net.peer(1), 7000)) is None
        flow = listener.accept()
        assert flow.peer == (net.peer(1), 7000)
        flow.send(b"welcome")
        assert net.call(sock.recv, 100) == b"welcome"
    with pytest.raises(ConnectionRefusedError):
        net.socket().connect((net.peer(1), 7001))


def test_ipv6_and_pings(peer_net):
    net = peer_net(from_="2001:db8:1::/64", tap=True)
    assert net.ping()["icmp_type"] == 129
    server = net.listen_socket(80)
    flow = net.connect(None, 80, from_="2001:db8:1::7")
    assert server.accept()[1][:2] == ("2001:db8:1::7", flow.peer[1])
    assert repr(flow).startswith("<peer.Flow [2001:db8:1::7]:")


def test_a_soak_tells_all_that_it_found(net):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *unused):
            pass

    server = http.server.ThreadingHTTPServer((net.address, 80), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = net.listen_socket(80)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        report = net.soak(f"http://{net.address}/", flows=5, total=40, interval=0.05, keep_intervals=True)
        assert report["counts"]["completed"] == 40 and report["errors"] == 0
        assert report["statuses"] == {200: 40} and report["request"]["p99"] > 0
        report = net.soak({"protocol": "http", "to": net.address, "to_port": 80}, path="/no", total=4, expect="2xx",
                          manners="reset:50%@request", flows=2)
        assert report["counts"]["unexpected_status"] == report["errors"] - report["counts"]["reset"]
        assert report["manners"][0]["name"] == "reset"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with pytest.raises(peer.Error, match="no protocol that peers speak: http"):
        net.soak("gopher://192.0.2.80/")


@pytest.fixture
def web(net):
    """A server that answers all with 200, in a thread; the net."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *unused):
            pass

    server = http.server.ThreadingHTTPServer((net.address, 80), Handler, bind_and_activate=False)
    server.daemon_threads = True
    server.socket.close()
    server.socket = net.listen_socket(80)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield net
    server.shutdown()
    thread.join()
    server.server_close()


def until_state(soak, what):
    """Dispatches until what(soak.state) holds."""
    deadline = time.monotonic() + 60
    while not what(soak.state):
        assert not soak.wait(0.01) and time.monotonic() < deadline, soak.state


def test_a_soak_is_steered(web):
    with web.start_soak(f"http://{web.address}/", flows=4, rate=50, interval=0.05, duration=3600) as soak:
        until_state(soak, lambda state: state["counts"]["completed"] >= 5)
        assert soak.state["rate"] == 50 and not soak.state["paused"] and not soak.is_over
        soak.set_rate(400)
        soak.set_manners("vanish:25%")
        soak.note("deployed 1.2")
        soak.pause()
        assert soak.state["paused"] and soak.state["rate"] == 400
        soak.resume()
        before = soak.state["counts"]["completed"]
        until_state(soak, lambda state: state["counts"]["completed"] >= before + 20)
        words = ["rate 400", "manner vanish:25%", "deployed 1.2", "pause", "resume"]
        assert [change["words"] for change in soak.changes] == words
        assert soak.status_count(200) >= 25 and soak.local["listen_drops"] == 0
        below = soak.count_below([1, 1e6, float("inf")])
        assert below[0] == 0 and below[1] == below[2] >= 25
        taken = list(soak.intervals())
        assert taken and sum(entry["counts"]["completed"] for entry in taken) <= soak.state["counts"]["completed"]
        with pytest.raises(peer.Error, match="no manner"):
            soak.set_manners("nonsense:5%")
        with pytest.raises(peer.Error):
            soak.set_rate(-1)
        with pytest.raises(peer.Error, match="'nothing' is none of request, handshake"):
            soak.count_below([1], "nothing")
        soak.stop()
        report = soak.finish()
    assert report["errors"] == 0 and [change["words"] for change in report["changes"]] == words
    assert report["manners"][0]["name"] == "vanish" and report["parts"][0]["workers_lost"] == 0
    with pytest.raises(peer.Error, match="the soak is closed"):
        soak.pause()
    soak.close()


def test_a_soak_is_kept_and_watched(web, tmp_path):
    path = tmp_path / "journal"
    with web.start_soak(f"http://{web.address}/", flows=2, rate=200, interval=0.1, duration=3600, journal=path,
                        watch=os.getpid()) as soak:
        until_state(soak, lambda state: state["elapsed_ns"] > 1e9)
        assert soak.journal_error == 0
    kept = peer.read_result(path)  # of a run that was broken off
    assert not kept["journal"]["complete"] and kept["journal"]["damaged_at"] == 0
    assert kept["intervals"] and kept["journal"]["intervals_ns"] > 0
    report = web.soak(f"http://{web.address}/", flows=2, total=100, rate=300, interval=0.1, journal=path, watch=[os.getpid()])
    assert report["application"]["processes"][0]["pid"] == os.getpid() and report["journal"] is None
    assert any(interval["watch"] and interval["watch"]["rss_bytes"] > 0 for interval in report["intervals"])
    kept = peer.read_result(path)
    assert kept["journal"]["complete"] and kept["counts"]["completed"] == 100
    assert kept["application"]["processes"] == report["application"]["processes"]
    with pytest.raises(peer.Error, match="no result of peer"):
        peer.read_result(__file__)
    with pytest.raises(peer.Error, match="cannot write the journal"):
        web.start_soak(f"http://{web.address}/", journal=tmp_path / "no" / "where")
    with pytest.raises(peer.Error):
        web.start_soak(f"http://{web.address}/", watch=2**22 + 1)


def test_a_net_that_is_closed_ends_its_soak(web):
    soak = web.start_soak(f"http://{web.address}/", flows=2, duration=3600)
    soak.wait(0.05)
    web.close()
    with pytest.raises(peer.Error, match="closed"):
        soak.finish()


def test_workers_share_a_soak(peer_net):
    net = peer_net(from_="203.0.113.0/24", workers=3)
    server, callers = net.listen_socket(80), []
    server.settimeout(60)

    def answer():
        while True:
            connection, who = server.accept()
            with connection:
                if not connection.recv(1000):
                    return
                callers.append(who[0])
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        for _ in range(2):
            report = net.soak(f"http://{net.address}/", flows=6, total=50, requests_per_connection=1)
            assert report["counts"]["completed"] == 50 and report["errors"] == 0, report
        assert len(callers) == 100 and net.info["workers"] == 3
        assert len(set(callers[:50])) == len(set(callers[50:])) == 50
        with pytest.raises(peer.Error, match="this process has no flows"):
            net.connect(net.address, 80)
        with pytest.raises(peer.Error, match="2 flows .* cannot be shared by 3 workers"):
            net.soak(f"http://{net.address}/", flows=2, total=50)
    finally:
        with net.socket() as last:
            last.connect((net.address, 80))
            last.shutdown(1)
            thread.join()
        server.close()


def test_a_soak_asks_a_name_server(net):
    server = net.listen_socket(53, udp=True)

    def answer():
        while True:
            query, who = server.recvfrom(512)
            if not query:
                return
            server.sendto(query[:2] + b"\x81\x83" + query[4:], who)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        report = net.soak(f"dns://{net.address}", queries="a.example A\nb.example MX\n", total=40, flows=4, pipeline=2)
        assert report["counts"]["completed"] == 40 and report["errors"] == 0
        assert report["answers"] == {"rcodes": {"NXDOMAIN": 40}}
    finally:
        net.connect(net.address, 53, udp=True).send(b"")
        thread.join()


def test_a_trace_tells_where_a_packet_went(net):
    refused = net.trace(None, 80)
    assert (refused["outcome"], refused["reason"]) == ("refused", "no-listener")
    assert [station["name"] for station in refused["stations"]][0] == "device"
    server = net.listen_socket(80)
    flow = net.connect(None, 80)
    connection, _ = server.accept()
    connection.close()
    assert net.trace(None, 80)["outcome"] == "answered"
    assert flow.eof


def test_programs_live_in_the_namespace(net):
    program = "import http.server as s; s.test(HandlerClass=s.SimpleHTTPRequestHandler, port=80)"
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    with net.spawn([sys.executable, "-c", program], env=environment, stdio=[-1, -1, -1], wait_port=80, cwd="/",
                   timeout=60) as server:
        assert server.poll() is None
        flow = net.connect(None, 80)
        flow.send(b"HEAD / HTTP/1.0\r\n\r\n")
        assert flow.recv_until(b"\r\n") == b"HTTP/1.0 200 OK\r\n"
        server.signal(9)
        assert server.wait() == -9
    with pytest.raises(peer.Error, match="no-such-program"):
        net.spawn(["no-such-program"])


def test_a_device_that_is_gone_ends_flows_and_waiting(net):
    listener = net.listen_socket(80)
    flow = net.connect(None, 80)
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    net.spawn(["ip", "link", "delete", net.info["device"]], env=environment)
    assert flow.wait_end() is peer.End.DEVICE
    with pytest.raises(peer.Ended, match="device"):
        flow.recv()
    with pytest.raises(peer.Error, match="the device is gone") as caught:
        net.run_for(5)
    assert caught.value.kind is peer.Kind.MACHINE
    listener.close()


def test_same_seed_same_choices(peer_net):
    def ports():
        net = peer_net(seed=7)
        server = net.listen_socket(80)
        found = [net.connect(None, 80).peer for _ in range(5)]
        server.close()
        net.close()
        return found

    assert ports() == ports()


def test_nets_leave_nothing_behind(peer_net, tmp_path):
    peer_net().close()
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(20):
        net = peer_net(pcap=tmp_path / "a.pcapng")
        server = net.listen_socket(80)
        net.connect(None, 80)
        server.accept()[0].close()
        server.close()
        net.close()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_profiles_have_names():
    assert "3g" in [profile["name"] for profile in peer.profiles()]


def test_another_version_of_the_library_is_refused():
    script = "import peer._library as l; l.VERSION = '0.99.0'; import peer; peer.version()"
    out = subprocess.run([sys.executable, "-B", "-c", script], stderr=subprocess.PIPE, text=True)
    assert "this package is for 0.99.0" in out.stderr
