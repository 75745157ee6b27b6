# SPDX-License-Identifier: BSD-3-Clause
"""What must never happen: packets into a real network, traces left behind, sockets half-open."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import harness
from harness import OWN4, OWN6, PEER4, PEER6, Peer, Server, peer, run


def sniffer():
    """Gets what leaves by eth0 and arrives at its other end; the gateways there have a MAC."""
    for gateway in ("10.9.0.254", "2001:db8:9::fe"):
        run("ip", "neigh", "replace", gateway, "lladdr", "02:00:00:00:00:fe", "dev", "eth0", "nud", "permanent")
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind(("wire", 0))
    sock.setblocking(False)
    return sock


def frames_seen(sock):
    """But for what a kernel says to its neighbours unasked: MLD, ND."""
    frames = []
    with contextlib.suppress(BlockingIOError):
        while True:
            frame = sock.recv(65536)
            chatter = frame[12:14] == b"\x86\xdd" and (frame[20] == 0 or frame[20] == 58 and 133 <= frame[54] <= 137)
            if not chatter:
                frames.append(frame.hex())
    return frames


def next_index():
    """Of a device that is made now. Numbers are not given twice: a gap is a device that came and went."""
    run("ip", "link", "add", "probe", "type", "veth", "peer", "name", "eborp")
    index = min(link["ifindex"] for link in json.loads(run("ip", "-json", "link")) if link["ifname"] in ("probe", "eborp"))
    run("ip", "link", "del", "probe")
    return index


def refused_before_any_packet(*args, err, status=3):
    index = next_index()
    with sniffer() as sock:
        peer("connect", *args).refused(status, err)
        assert not frames_seen(sock), "packets left this machine"
    assert next_index() == index + 2, "a device was made"


def test_one_peer_is_in_one_process():
    for kind, addr in (("--tun", PEER4), ("--tap", PEER4), ("--tun", PEER6)):
        started = Peer("listen", kind, "--from", addr, "--dev", "first", "7000")
        started.wait_err("listening")
        refused_before_any_packet("--from", addr, OWN6 if ":" in addr else OWN4, "80",
                                  err=f"{addr}/.* by another peer process if first is its device .*one process.*--from")
        started.stop().expect(0)


def ends_when_its_address_is_taken_away(command, *args):
    """A host that forwards would send on what goes to an address that is its own no more."""
    harness.need_root()
    harness.sysctl("net.ipv4.ip_forward", 1)
    run("ip", "addr", "add", "10.99.0.1/32", "dev", "lo")
    server = Server(harness.echo_all, "10.99.0.1")
    to = [f"tcp://10.99.0.1:{server.port}"] if command == "soak" else ["10.99.0.1", server.port]
    started = Peer(command, *args, "--from", PEER4, *to)
    harness.until("connections", lambda: harness.run("ss", "-Htn", "state", "established", "src", "10.99.0.1"))
    with sniffer() as sock:
        run("ip", "addr", "del", "10.99.0.1/32", "dev", "lo")
        started.wait_err("10.99.0.1 is no address of this machine any more")
        frames_seen(sock)  # up to here, as the kernel told
        result = started.wait()
        assert not frames_seen(sock), "packets left this machine"
    result.expect(3, err="nothing more is sent to it")


@harness.changes_machine
def test_a_connection_ends_when_its_address_is_taken_away():
    ends_when_its_address_is_taken_away("connect")


@harness.changes_machine
def test_a_soak_ends_when_its_address_is_taken_away():
    ends_when_its_address_is_taken_away("soak", "-d", "60", "-R", "500")


def test_foreign_targets_are_refused_before_any_packet_leaves():
    with sniffer() as sock:  # it would see one
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
            foreign.sendto(b"x", ("192.0.2.1", 80))
        harness.until("the frame", lambda: frames_seen(sock))
    for host, own in (("192.0.2.1", OWN4), ("10.9.0.2", OWN4), ("10.9.0.254", OWN4), ("8.8.8.8", OWN4),
                      ("2001:db8::1", OWN6), ("2001:db8:9::2", OWN6)):
        refused_before_any_packet(host, "80", err=f"{re.escape(host)} is no address of this machine.*{own}")
        refused_before_any_packet("-u", host, "80", err="is no address of this machine.*--allow-forward")
    refused_before_any_packet("--tap", "192.0.2.1", "80", err="is no address of this machine")
    refused_before_any_packet("10.9.0.255", "80", err="10.9.0.255")
    refused_before_any_packet("255.255.255.255", "80", err="255.255.255.255")
    refused_before_any_packet("224.0.0.1", "80", err="224.0.0.1")
    refused_before_any_packet("0.0.0.0", "80", err=r"0\.0\.0\.0")
    refused_before_any_packet("::", "80", err="::")
    refused_before_any_packet("ff02::1", "80", err="ff02::1")
    peer("ping", "192.0.2.1").refused(3, "is no address of this machine")


def test_loopback_has_its_own_explanation():
    # localhost has two addresses on some machines, and each is told of.
    for host, own in (("127.0.0.1", OWN4), ("127.1.2.3", OWN4), ("::1", OWN6), ("localhost", ".")):
        refused_before_any_packet(*(("-4",) if host == "localhost" else ()), host, "80", err=f"is loopback, which no remote machine can reach.*{own}")
    peer("ping", "::1").refused(3, "is loopback")


def test_addresses_of_this_machine_are_no_peers():
    refused_before_any_packet("--from", OWN4, OWN4, "80", err=f"{OWN4} is this machine's own address, on eth0.*--from")
    refused_before_any_packet("--from", OWN6, OWN6, "80", err=f"{OWN6} is this machine's own address, on eth0")
    refused_before_any_packet("--from", "10.9.0.0/24", OWN4, "80", err=f"{OWN4} is this machine's own address")


@harness.changes_machine
def test_routed_addresses_are_no_peers():
    refused_before_any_packet("--from", "10.9.0.77", OWN4, "80", err=r"10\.9\.0\.77.* is routed.*10\.9\.0\.0/24.*eth0")
    refused_before_any_packet("--from", "2001:db8:9::77", OWN6, "80", err=r"2001:db8:9::77.* is routed.*/64.*eth0")
    run("ip", "route", "add", "198.18.7.0/24", "via", "10.9.0.254")
    run("ip", "route", "add", "2001:2:0:7::/64", "via", "2001:db8:9::fe")
    refused_before_any_packet("--from", PEER4, OWN4, "80",
                              err=r"198\.18\.7\.1.* is routed.*198\.18\.7\.0/24.*10\.9\.0\.254.*--from")
    refused_before_any_packet("--from", PEER6, OWN6, "80", err=r"is routed.*2001:2:0:7::/64.*2001:db8:9::fe")
    refused_before_any_packet("--from", "198.18.0.0/16", OWN4, "80", err=r"is routed.*198\.18\.7\.0/24")
    for family, prefix, own in (("-4", "198.18.8.0/24", OWN4), ("-6", "2001:2:0:8::/64", OWN6)):
        for kind in ("blackhole", "prohibit", "unreachable"): # routes without a device
            run("ip", family, "route", "add", kind, prefix)
            refused_before_any_packet("--from", prefix.replace("0/24", "1").replace("/64", "1"), own, "80",
                                      err=f"is routed.*{kind} {prefix}")
            run("ip", family, "route", "del", kind, prefix)
    # What nobody named is chosen so that it is free.
    run("ip", "route", "add", "198.18.0.0/24", "via", "10.9.0.254")
    server = Server(harness.answer_after_eof)
    peer("connect", OWN4, server.port, data=b"x").expect(0, lines=0)
    server.join()
    assert not server.callers[0][0].startswith(("198.18.0.", "198.18.7.")), server.callers


def test_two_commands_cannot_have_the_same_address():
    first = Peer("listen", "--from", PEER4, "80")
    first.wait_err("listening")
    peer("connect", "--from", PEER4, OWN4, "80").refused(3, f"{PEER4}.* in use already.*peer0")
    first.stop().expect(0)


def test_kill_in_the_middle_of_a_transfer_leaves_nothing():
    before = harness.machine_state()
    for args, own in (((), OWN4), (("--tap", "--mac", "02:00:00:00:00:07"), OWN4), ((), OWN6), (("--tap",), OWN6)):
        moved = harness.threading.Event()

        def handle(connection, _address):
            try:
                connection.recv(1 << 20)
                moved.set()
                while connection.recv(1 << 20):
                    pass
            except OSError:
                pass

        server = Server(handle, own)
        with open("/dev/zero", "rb") as zero:
            started = Peer("connect", *args, own, server.port, stdin=zero)
            assert moved.wait(harness.LIMIT_S)
            links = harness.STATE_COMMANDS[0][0]
            assert harness.machine_state()[links] != before[links]
            started.signal(signal.SIGKILL)
            started.wait()
        harness.await_guardians()
        harness.assert_same_state(before, harness.machine_state())
        server.join()  # its connection has been ended


def test_kill_of_a_listening_peer_leaves_nothing():
    before = harness.machine_state()
    for args in (("80",), ("--tap", "80"), ("-6", "--tap", "80"), ("--tap", "--from", "198.18.8.0/22", "--serve",
                                                                    "http", "80")):
        started = Peer("listen", *args)
        started.wait_err("listening")
        started.signal(signal.SIGKILL)
        started.wait()
        harness.await_guardians()
        harness.assert_same_state(before, harness.machine_state())


def kill_one_who_is_sent_to(own, *args):
    """The server still has bytes for the peer when that is killed, and sends them again and again."""
    release = harness.threading.Event()

    def handle(connection, _address):
        with contextlib.suppress(OSError):
            while not release.is_set():
                connection.sendall(bytes(10000))

    server = Server(handle, own)
    started = Peer("connect", *args, own, server.port)
    started.wait_out(b"\0")
    started.signal(signal.SIGKILL)
    started.wait()
    return server, release


@harness.changes_machine  # gateways have a MAC, so that a frame for one would leave at once
def test_after_a_kill_nothing_for_the_peers_reaches_a_real_network():
    with sniffer() as sock:
        for own, args in ((OWN4, ()), (OWN4, ("--tap",)), (OWN6, ()), (OWN6, ("--tap",))):
            server, release = kill_one_who_is_sent_to(own, *args)
            harness.await_guardians()
            # No socket is left that could send to a peer: what has not come does not come.
            assert not [line for line in harness.open_sockets() if "198.18" in line or "2001:2:" in line]
            release.set()
            server.join()
        assert not frames_seen(sock), "the application's packets to a dead peer left this machine"


@harness.changes_machine
def test_what_peers_left_open_goes_nowhere_either():
    """They vanish, and the run ends in good order: the application still has its sockets then."""
    with sniffer() as sock:
        server = Server(harness.echo_all, callers=20)
        started = Peer("soak", "-c", "20", "-d", "60s", "--manner", "vanish@50ms", "--workload", "echo",
                       f"tcp://{OWN4}:{server.port}")
        harness.until("a second try to reach one", lambda: re.search(r"timer:\(on,[^,]+,[1-9]", run("ss", "-Htano")))
        started.stop()
        assert not [line for line in harness.open_sockets() if "198.18" in line]
        assert not frames_seen(sock), "the application's packets to a vanished peer left this machine"


def test_the_same_addresses_and_device_are_free_at_once_after_a_kill():
    for _ in range(10):
        started = Peer("listen", "--dev", "peer7", "--from", PEER4, "80")
        started.wait_err("listening")
        started.signal(signal.SIGKILL)
        started.wait()
    harness.await_guardians()


def test_guardian_and_peer_killed_together_leave_nothing():
    before = harness.machine_state()
    started = Peer("listen", "80")
    started.wait_err("listening")
    for pid in harness.guardians():
        os.kill(pid, signal.SIGKILL)
    started.signal(signal.SIGKILL)
    started.wait()
    harness.await_guardians()
    harness.assert_same_state(before, harness.machine_state())


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def test_the_guardian_has_little():
    started = Peer("listen", "80")
    started.wait_err("listening")
    (pid,) = harness.guardians()
    status = status_of(pid)
    assert int(status["CapEff"], 16) in (0, 1 << 12) and int(status["CapBnd"], 16) & ~(1 << 12) == 0, status
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status
    if os.geteuid() == 0:
        kinds = sorted(re.sub(r"\d+", "", os.readlink(f"/proc/{pid}/fd/{fd}")) for fd in os.listdir(f"/proc/{pid}/fd"))
        assert kinds == ["/dev/net/tun"] + ["socket:[]"] * 4, kinds
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
    started.stop().expect(0)


def test_a_normal_end_leaves_no_socket():
    for more in ((), ("--tap",)):
        server = Server(harness.echo_all)
        peer("connect", *more, OWN4, server.port, data=b"x" * 100000).expect(0)
        server.join()
        harness.until("no socket is left", lambda: not harness.open_sockets(), 20)


def test_an_application_that_never_closes_is_reset_at_the_end():
    """Otherwise its socket would wait for a machine that is not there any more."""
    release, connections = harness.threading.Event(), []

    def handle(connection, _address):
        connections.append(connection)
        connection.sendall(bytes(200000))
        release.wait(harness.LIMIT_S)

    server = Server(handle)
    started = Peer("connect", OWN4, server.port)
    started.wait_out(b"\0")
    started.signal(signal.SIGTERM)
    started.wait().expect(0)
    harness.until("the reset", lambda: not [line for line in harness.open_sockets() if "ESTAB" in line], 20)
    started.close_stdin()
    release.set()
    server.join()
    harness.until("no socket is left", lambda: not harness.open_sockets(), 20)


def test_nginx_logs_the_address_of_the_peer():
    harness.need("nginx")
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        os.mkdir(os.path.join(harness.directory, name))
    place = harness.directory
    with socket.socket() as probe:  # a port of this namespace, where nobody else takes any
        probe.bind((OWN4, 0))
        port = probe.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    with open(f"{place}/nginx.conf", "w") as file:
        file.write(f"""daemon off; {user} worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log {place}/access.log; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    server {{ listen {OWN4}:{port}; listen [{OWN6}]:{port}; location / {{ return 200 "hello $remote_addr\\n"; }} }}
}}
""")
    nginx = subprocess.Popen(["nginx", "-c", f"{place}/nginx.conf", "-e", f"{place}/error.log"])
    try:
        harness.until("nginx", lambda: str(port) in run("ss", "-Hltn"))
        for own, addr, more in ((OWN4, PEER4, ()), (OWN4, "203.0.113.9", ("--tap",)), (OWN6, PEER6, ())):
            result = peer("connect", *more, "--from", addr, own, port,
                          data=b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect(0, lines=0)
            assert result.out.endswith(b"hello %s\n" % addr.encode()), result
        with open(f"{place}/access.log") as file:
            logged = [line.split()[0] for line in file]
        assert logged == [PEER4, "203.0.113.9", PEER6], logged
    finally:
        nginx.send_signal(signal.SIGQUIT)
        nginx.wait(harness.LIMIT_S)


def test_the_neighbour_table_has_the_mac_of_the_peer():
    for own, addr in ((OWN4, PEER4), (OWN6, PEER6)):
        server = Server(harness.echo_all, own)
        started = Peer("connect", "--tap", "--mac", "02:00:00:00:00:07", "--from", addr, "--dev", "mine", own,
                       server.port)
        started.send(b"x", close=False)
        started.wait_out(b"x")
        text = run("ip", "neigh", "show", "dev", "mine")
        assert re.search(rf"^{addr} lladdr 02:00:00:00:00:07 ", text, re.MULTILINE), text
        started.close_stdin()
        started.wait().expect(0)
        server.join()


def test_macs_count_up():
    started = Peer("listen", "--tap", "--mac", "02:00:00:00:00:fe", "--from", "198.18.7.1-198.18.7.3", "--serve",
                   "echo", "7", "--dev", "mine")
    started.wait_err("listening")
    for last, mac in ((1, "00:fe"), (2, "00:ff"), (3, "01:00")):
        with socket.create_connection((f"198.18.7.{last}", 7), harness.LIMIT_S):
            pass
        text = run("ip", "neigh", "show", f"198.18.7.{last}", "dev", "mine")
        assert f"lladdr 02:00:00:00:{mac}" in text, text
    started.stop().expect(0)


if __name__ == "__main__":
    harness.main()
