# SPDX-License-Identifier: BSD-3-Clause
"""What others do to the device, or to the card on whose wire it is, while it is in use."""
import socket

import harness
import test_wire as wired
from harness import OWN4, OWN6, PEER4, PEER6, Peer, Server, peer, run, until

FAMILIES = ((PEER4, OWN4), (PEER6, OWN6))
LAYERS = ("--tun", "--tap")


class Talk:
    """A connection whose every line comes back."""

    def __init__(self, own, *args):
        self.server = Server(harness.echo_all, own)
        self.peer = Peer("connect", "--dev", "mine", *args, own, self.server.port)
        self.lines = 0
        self.say("first")

    def send(self, text):
        self.peer.send(text.encode() + b"\n", close=False)
        self.lines += 1

    def hear(self):
        until(f"{self.lines} lines", lambda: self.peer.out().count(b"\n") == self.lines)

    def say(self, text):
        self.send(text)
        self.hear()

    def end(self):
        self.peer.close_stdin()
        result = self.peer.wait().expect(0)
        self.server.join()
        return result


def test_a_device_that_was_down_is_whole_again():
    for from_, own in FAMILIES:
        for layer in LAYERS:
            talk = Talk(own, "--from", from_, layer)
            run("ip", "link", "set", "mine", "down")
            talk.peer.wait_err('mine is down.*"ip link set mine up"')
            talk.send("while it is down")
            run("ip", "link", "set", "mine", "up")
            talk.peer.wait_err("mine was down and is up again; routes")
            talk.hear()
            assert talk.end().err.count("mine was down and is up again") == 1


def test_a_device_down_and_up_at_once_is_whole_again():
    for from_, own in FAMILIES:
        talk = Talk(own, "--from", from_)
        for times in range(1, 9):
            run("sh", "-c", "ip link set mine down; ip link set mine up")
            until("both lines", lambda: talk.peer.err().count("is up again") == times)
            talk.say("still here")
        talk.end()


def test_local_addresses_of_a_device_that_was_down():
    """Given, or chosen by peer: those of IPv6 go with the link."""
    for from_, args in ((PEER4, ()), (PEER6, ()), (PEER6, ("--local", "2001:2:0:1::1/64")),
                        ("2001:2:0:1::2", ("--local", "2001:2:0:1::1/64"))):
        for layer in LAYERS:
            started = Peer("listen", layer, "--dev", "mine", "--from", from_, *args, "--serve", "echo", 7000)
            started.wait_err("listening")
            before = run("ip", "-o", "addr", "show", "dev", "mine")
            run("sh", "-c", "ip link set mine down; ip link set mine up")
            started.wait_err("is up again")
            assert run("ip", "-o", "addr", "show", "dev", "mine") == before
            with socket.create_connection((from_, 7000), timeout=harness.LIMIT_S) as caller:
                caller.sendall(b"back")
                assert harness.receive_count(caller, 4) == b"back"
            started.stop()


def test_permanent_neighbours_come_back():
    started = Peer("listen", "--tap", "--dev", "mine", "--from", "198.18.4.0/22", "--serve", "echo", 7000)
    started.wait_err("listening")

    def permanent():
        return run("ip", "neigh", "show", "dev", "mine", "nud", "permanent").count("\n")

    count = permanent()
    assert count > 1000
    run("sh", "-c", "ip link set mine down; ip link set mine up")
    started.wait_err("is up again")
    assert permanent() == count
    run("ip", "link", "set", "mine", "address", "02:00:00:00:00:77")
    until("all neighbours", lambda: permanent() == count)
    with socket.create_connection(("198.18.5.5", 7000), timeout=harness.LIMIT_S) as caller:
        caller.sendall(b"back")
        assert harness.receive_count(caller, 4) == b"back"
    started.stop()


def test_another_mac_of_the_local_side():
    for from_, own in FAMILIES:
        talk = Talk(own, "--from", from_, "--tap")
        for last in range(1, 4):
            run("ip", "link", "set", "mine", "address", f"02:00:00:00:00:{last:02x}")
            talk.say("to the new one")
        assert "mine" not in talk.end().err


@harness.changes_machine
def test_another_mac_of_the_card():
    with wired.real_wire():
        for own, inside, outside in ((OWN4, wired.INSIDE4, PEER4), (OWN6, wired.INSIDE6, PEER6)):
            for from_ in (inside, outside):
                talk = Talk(own, "--wire", "eth0", "--from", from_)
                for last in (0x77, 0x78):
                    run("ip", "link", "set", "eth0", "address", f"02:00:00:00:00:{last:02x}")
                    talk.say("to the new one")
                talk.end()


@harness.changes_machine
def test_a_card_that_was_down():
    with wired.real_wire():
        talk = Talk(OWN4, "--wire", "eth0", "--from", wired.INSIDE4)
        run("ip", "link", "set", "eth0", "down")
        talk.peer.wait_err("eth0 is down")
        run("ip", "link", "set", "eth0", "up")
        talk.peer.wait_err("eth0 was down and is up again")
        talk.say("still here")
        talk.end()


@harness.changes_machine
def test_another_mtu_of_the_card():
    """The peers have the smaller one of card and device."""
    with wired.real_wire():
        talk = Talk(OWN4, "--wire", "eth0", "--from", wired.INSIDE4)
        for mtu, said in ((1300, "1300 now, it was 1500"), (1500, "1500 now, it was 1300"), (1000, "1000 now, it was 1500"),
                          (2000, "2000 now; the peers' is 1500, it was 1000")):
            run("ip", "link", "set", "eth0", "mtu", str(mtu))
            talk.peer.wait_err(f"the MTU of eth0 is {said}")
            talk.say("x" * 5000)
        talk.end()


def test_another_mtu():
    for from_, own in FAMILIES:
        for layer in LAYERS:
            talk = Talk(own, "--from", from_, layer, "--no-offload")
            run("ip", "link", "set", "mine", "mtu", "1300")
            talk.peer.wait_err("the MTU of mine is 1300 now, it was 1500")
            talk.say("x" * 5000)
            run("ip", "link", "set", "mine", "mtu", "2000")
            talk.peer.wait_err("the MTU of mine is 2000 now, it was 1300")
            talk.say("y" * 5000)
            talk.end()


def test_an_mtu_too_small_for_ipv6():
    talk = Talk(OWN6, "--from", PEER6)
    run("ip", "link", "set", "mine", "mtu", "1000")
    talk.peer.wait_err("MTU of mine is 1000 now")
    talk.peer.wait_err('IPv6 needs an MTU of 1280: .* until "ip link set mine mtu 1280"')
    run("ip", "link", "set", "mine", "mtu", "1500")
    talk.peer.wait_err("MTU of mine is 1500 now")
    talk.say("back")
    talk.end()


def test_a_route_that_somebody_removes():
    for from_, own in FAMILIES:
        family = "-6" if ":" in from_ else "-4"
        talk = Talk(own, "--from", from_)
        run("ip", family, "route", "del", from_, "dev", "mine")
        talk.peer.wait_err(f'removed the route to {from_}/.* until "ip .*route add {from_}/\\d+ dev mine"')
        run("ip", family, "route", "add", from_, "dev", "mine")
        talk.say("back")
        talk.end()


def test_the_route_of_a_subnet_that_somebody_removes():
    """On Ethernet peers may be in the subnet of the local side's address, which has the route."""
    for from_, own, length in (("10.77.0.2", "10.77.0.1", 24), ("2001:db8:77::2", "2001:db8:77::1", 64)):
        family = "-6" if ":" in from_ else "-4"
        subnet = own[:-1] + ("" if ":" in from_ else "0")
        talk = Talk(OWN6 if ":" in from_ else OWN4, "--tap", "--local", f"{own}/{length}", "--from", from_)
        run("ip", family, "route", "del", f"{subnet}/{length}", "dev", "mine")
        talk.peer.wait_err(f'removed the route to {subnet}/{length}: .* until "ip .*route add {subnet}/{length} dev mine"')
        run("ip", family, "route", "add", f"{subnet}/{length}", "dev", "mine")
        talk.say("back")
        talk.end()


def test_a_device_that_is_removed():
    for args in (("connect", OWN4, 7), ("listen", 7000), ("listen", "--serve", "echo", 7000)):
        server = Server(harness.echo_all)
        args = [server.port if arg == 7 else arg for arg in args]
        started = Peer(*args, "--dev", "mine")
        until("the device", lambda: "mine" in harness.link_names())
        until("its start", lambda: started.err() or server.callers)
        run("ip", "link", "del", "mine")
        started.wait().expect(3, "the device is gone: somebody removed mine")
        started.close_stdin()


@harness.changes_machine
def test_a_card_that_is_removed():
    run("ip", "link", "add", "card", "type", "veth", "peer", "name", "drac")
    run("sh", "-c", "ip addr add 10.8.0.1/24 dev card; ip link set card up; ip link set drac up")
    started = Peer("listen", "--wire", "card", "--from", "10.8.0.2", 7000)
    started.wait_err("listening")
    run("ip", "link", "del", "card")
    started.wait().expect(3, "card, on whose wire the peers are, is gone")


@harness.changes_machine
def test_a_target_whose_address_is_still_looked_for_duplicates():
    run("ip", "link", "add", "card", "type", "veth", "peer", "name", "drac")
    run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/card/accept_dad; ip link set card up; ip link set drac up")
    run("ip", "addr", "add", "2001:db8:8::1/64", "dev", "card")
    assert "tentative" in run("ip", "addr", "show", "dev", "card")
    peer("connect", "-z", "2001:db8:8::1", 80).refused(1, "connection refused")
    run("ip", "link", "del", "card")


if __name__ == "__main__":
    harness.main()
