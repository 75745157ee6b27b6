# SPDX-License-Identifier: BSD-3-Clause
"""Wrong usage and machines that cannot: one clear line, the right exit status, nothing left."""
import os
import subprocess

import harness
from harness import OWN4, OWN6, PEER4, PEER6, NOBODY, peer, run


def usage(*args, err):
    peer(*args).refused(2, err)


def machine(*args, err, **more):
    peer(*args, **more).refused(3, err)


def test_unknown_commands_get_a_suggestion():
    usage("conect", OWN4, "80", err=r'unknown command "conect"; did you mean "peer connect"\?')
    usage("xyzzyplugh", err=r'unknown command "xyzzyplugh"; see "peer --help"')
    usage("", err="unknown command")
    usage("--verson", err="unknown")
    usage("-Z", err="unknown")


def test_without_a_command_usage_is_printed():
    peer().expect(2, "usage: peer COMMAND")


def test_unknown_options_get_a_suggestion():
    usage("connect", "--form", PEER4, OWN4, "80", err=r"unknown option --form; did you mean --from\?")
    usage("connect", "-1", OWN4, "80", err="unknown option -1")
    usage("connect", "--xyzzyplugh", OWN4, "80", err=r"unknown option --xyzzyplugh \(see")
    usage("connect", "-X", OWN4, "80", err="unknown option -X")
    usage("connect", "--tap", "-Xv", OWN4, "80", err="unknown option -X")
    usage("connect", OWN4, "-vX4", "80", err="unknown option -X")
    usage("connect", "--tap=yes", OWN4, "80", err="option --tap takes no value")
    usage("connect", OWN4, "80", "--from", err="option --from needs a value")
    usage("connect", OWN4, "80", "-s", err="option -s needs a value")
    usage("connect", OWN4, "80", "-vs", err="option -s needs a value")
    usage("connect", OWN4, "80", "--from=", err="--from.*is empty")
    usage("connect", OWN4, "80", "--m", "1", err="unknown option --m")


def test_bad_arguments():
    usage("connect", err="HOST and PORT are missing")
    usage("connect", OWN4, err="the port is missing")
    usage("connect", OWN4, "80", "81", err='too many arguments: "81"')
    usage("connect", "", "80", err="host is empty")
    usage("connect", ":80", err="host is empty")
    usage("listen", err="PORT is missing")
    usage("listen", "80", "81", err='too many arguments: "81"')
    usage("ping", err="HOST is missing")
    usage("ping", OWN4, OWN4, err="too many arguments")
    usage("doctor", "now", err="the port is missing")
    usage("doctor", "10.9.0.1", "80", "now", err="too many arguments")


def test_bad_ports():
    for port in ("0", "65536", "http", "", " 80", "80 ", "+80", "0x50", "8 0", "99999999999999999999",
                 "0" * 31 + "80x"):
        usage("connect", OWN4, port, err="is no port: 1 to 65535")
    usage("connect", OWN4 + ":", err="is no port|port is missing")
    usage("connect", f"[{OWN6}]", err="the port is missing")
    usage("connect", f"[{OWN6}]80", err="the port is missing")
    usage("connect", f"[{OWN6}]:0", err="is no port")
    usage("listen", "70000", err="is no port")
    for port in ("0", "65536", "x", "-5", "1.5"):
        usage("connect", OWN4, "80", "-p", port, err=rf'--port: "{port}"')


def test_bad_addresses():
    for addr in ("999.1.1.1", "198.18.0", "198.18.0.1/33", "198.18.0.1/-1", "2001:2::/129", "198.18.0.9-198.18.0.2",
                 "198.18.0.1,,198.18.0.2", "gibberish", "198.18.0.1/", "/24", "-", ",", "2001:2::1-198.18.0.1"):
        usage("connect", f"--from={addr}", OWN4, "80", err=r".")
    usage("connect", OWN4, "80", "--from", "224.0.0.1", err="224.0.0.1|multicast")
    usage("connect", OWN4, "80", "--from", "127.0.0.2", err="127.0.0.2|loopback")
    usage("connect", OWN4, "80", "--from", "0.0.0.0", err="0.0.0.0")
    usage("connect", OWN4, "80", "--from", "255.255.255.255", err="255.255.255.255")
    usage("connect", "no-such-host.invalid", "80", err='no address for "no-such-host.invalid"')
    usage("connect", "1.2.3.4.5", "80", err="no address for")
    usage("connect", "-6", OWN4, "80", err="is no IPv6 address")
    usage("ping", "-4", OWN6, err="is no IPv4 address")


def test_two_families():
    usage("connect", OWN4, "80", "--from", f"{PEER4},{PEER6}", err="famil")
    usage("connect", OWN4, "80", "--from", PEER6, err="IPv6.*IPv4|IPv4.*IPv6")
    usage("connect", OWN6, "80", "--from", PEER4, err="IPv6.*IPv4|IPv4.*IPv6")
    usage("connect", OWN4, "80", "--local", "2001:2:9::1/64", err="IPv6.*IPv4|IPv4.*IPv6")
    usage("listen", "80", "-4", "--from", PEER6, err="IPv6.*IPv4|-4")


def test_bad_macs_mtus_and_names():
    for mac in ("1", "02:00:00:00:00", "02:00:00:00:00:00:01", "0g:00:00:00:00:01", "01:00:5e:00:00:01",
                "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"):
        usage("connect", OWN4, "80", "--tap", "--mac", mac, err=r"--mac")
    usage("connect", OWN4, "80", "--mac", "02:00:00:00:00:01", err="--mac needs --tap")
    for mtu in ("0", "67", "65536", "x", "-1", "1.5", "99999999999"):
        usage("connect", OWN4, "80", f"--mtu={mtu}", err="(?i)mtu")
    usage("connect", OWN4, "80", "--tap", "--mtu", "65522", err="MTU 65522")
    usage("connect", OWN6, "80", "--mtu", "1279", err="MTU 1279")
    for name in ("a/b", "a b", "sixteenletters16", ".", "..", "a:b", "x%d%d", "x%s"):
        usage("connect", OWN4, "80", "--dev", name, err="is no name for a device")


def test_bad_times_and_numbers():
    for time in ("-1", "x", "3 s", "1e400", "nan", "inf", "0x10", ""):
        usage("connect", OWN4, "80", f"-w{time}" if time else "--timeout=", err="--timeout")
    usage("connect", OWN4, "80", "-w", "0", err="too short")
    usage("connect", OWN4, "80", "-q", "x", err="--quit")
    for seed in ("0", "x", "18446744073709551616", "1.5"):
        usage("connect", OWN4, "80", "--seed", seed, err="--seed")
    usage("ping", OWN4, "-c", "0", err="--count")
    usage("ping", OWN4, "--size", "65508", err="--size")
    usage("ping", OWN4, "-t", "256", err="--ttl")
    usage("ping", OWN4, "-i", "0", err="--interval")


def test_what_does_not_go_together():
    usage("connect", OWN4, "80", "--isolate", "--netns", "x", err="--isolate and --netns")
    usage("connect", OWN4, "80", "--", "true", err="goes with --isolate")
    usage("connect", OWN4, "80", "-z", "-u", err="-z needs TCP")
    usage("connect", OWN4, "80", "--pcap", "-", err="--pcap - needs -z")
    usage("listen", "80", "--pcap", "-", err="--pcap - needs --serve")
    usage("ping", OWN4, "--pcap", "-", err="--pcap -")
    usage("listen", "80", "--serve", "ftp", err='"ftp" is none of echo, discard, http')
    usage("listen", "80", "-u", "--serve", "http", err="http needs TCP")


def test_line_breaks_in_arguments_do_not_break_the_line():
    usage("connect", OWN4, "8\n0", err="is no port")
    usage("con\nect", err="unknown command")
    usage("connect", OWN4, "80", "--from", "1\n2\x1b[31m", err=".")


def test_name_taken():
    machine("connect", OWN4, "80", "--dev", "eth0", err="eth0")
    machine("connect", OWN4, "80", "--dev", "lo", err="lo")
    first = harness.Peer("listen", "80", "--dev", "mine", "--serve", "discard")
    first.wait_err("listening")
    machine("connect", OWN4, "80", "--dev", "mine", err="device mine already.*--dev")
    machine("listen", "80", "--tap", "--dev", "mine", err="mine.*--dev")
    first.stop().expect(0)


def test_a_persistent_device_is_a_name_taken_and_stays_as_it_is():
    run("ip", "tuntap", "add", "name", "kept0", "mode", "tun")
    try:
        before = harness.machine_state()
        machine("connect", OWN4, "80", "--dev", "kept0", err="kept0.*--dev")
        harness.assert_same_state(before, harness.machine_state())
    finally:
        run("ip", "tuntap", "del", "name", "kept0", "mode", "tun")


def test_missing_device_node():
    harness.mount("none", "/dev/net", "tmpfs")
    machine("connect", OWN4, "80", err="/dev/net/tun does not exist; .*modprobe tun")
    machine("listen", "80", err="/dev/net/tun does not exist")
    machine("ping", OWN4, err="/dev/net/tun does not exist")
    with open("/dev/net/tun", "w"):
        pass
    machine("connect", OWN4, "80", err="/dev/net/tun is no TUN/TAP node")


def test_no_permission():
    harness.need_root()
    harness.own_node()
    os.chmod("/dev/net/tun", 0o600)
    machine("connect", OWN4, "80", nobody=True, err="/dev/net/tun may not be opened.*sudo")
    os.chmod("/dev/net/tun", 0o666)
    machine("connect", OWN4, "80", nobody=True, err=r"CAP_NET_ADMIN.*sudo.*--isolate")
    machine("listen", "80", nobody=True, err=r"CAP_NET_ADMIN.*sudo.*--isolate")


def test_namespaces_that_do_not_exist():
    usage("connect", OWN4, "80", "--netns", "nowhere", err='no network namespace "nowhere"')
    usage("connect", OWN4, "80", "--netns", "./nowhere", err='no network namespace "./nowhere"')
    usage("connect", OWN4, "80", "--netns", "4194305", err="no process 4194305")
    usage("connect", OWN4, "80", "--netns", "/etc/passwd", err='"/etc/passwd" is not a network namespace')
    usage("connect", OWN4, "80", "--netns", "/", err='"/" is not a network namespace')
    usage("connect", OWN4, "80", "--netns", "", err="is empty")


def test_unwritable_captures():
    server = harness.Server(harness.echo_all)
    usage("connect", OWN4, server.port, "--pcap", "/nowhere/at/all.pcapng", err="/nowhere/at/all.pcapng: not found")
    usage("connect", OWN4, server.port, "--pcap", harness.directory, err="is a directory")
    machine("connect", OWN4, server.port, "--pcap", "/dev/full", err="/dev/full: no space left")
    server.sock.close()


def test_a_capture_that_fills_the_disk_ends_and_the_transfer_goes_on():
    place = os.path.join(harness.directory, "small")
    os.mkdir(place)
    harness.mount("none", place, "tmpfs", data="size=64k")
    server = harness.Server(harness.echo_all)
    data = os.urandom(1 << 20)
    result = peer("connect", OWN4, server.port, "--pcap", place + "/x.pcapng", data=data)
    result.expect(3, "capture.*x.pcapng.*(?i:no space left)", lines=1)
    assert result.out == data, len(result.out)
    server.join()


def test_closed_stdin_is_an_end_of_input():
    for args in ((), ("--tap",)):
        server = harness.Server(harness.answer_after_eof)
        result = peer("connect", OWN4, server.port, *args, stdin=subprocess.DEVNULL, prepare=lambda: os.close(0))
        result.expect(0, lines=0)
        assert result.out == b"", result
        server.join()


def closed_stdout(number=1):
    return lambda: os.close(number)


def test_closed_stdout():
    server = harness.Server(harness.echo_all)
    peer("connect", OWN4, server.port, data=b"text\n", prepare=lambda: os.close(1)) \
        .refused(3, "cannot write to standard output: Bad file descriptor")
    server.join()
    peer("ping", "-c1", OWN4, prepare=lambda: os.close(1)).refused(3, "standard output")
    peer("--version", prepare=lambda: os.close(1)).refused(3, "standard output")
    peer("connect", "--help", prepare=lambda: os.close(1)).refused(3, "standard output")
    peer("doctor", prepare=lambda: os.close(1)).refused(3, "standard output")


def test_closed_stdout_does_not_matter_where_nothing_is_printed():
    server = harness.Server(harness.answer_after_eof)
    peer("connect", OWN4, server.port, data=b"", prepare=lambda: os.close(1)).expect(0, lines=0)
    server.join()


def close_all():
    for number in range(3):
        os.close(number)


def test_closed_stderr_and_all_closed():
    server = harness.Server(harness.echo_all, callers=2)
    result = peer("connect", OWN4, server.port, data=b"text\n", prepare=lambda: os.close(2))
    result.expect(0)
    assert result.out == b"text\n", result
    peer("connect", OWN4, server.port, prepare=close_all).expect(0)
    server.join()
    peer("connect", OWN4, "0", prepare=close_all).expect(2)
    peer("connect", "10.99.0.1", "80", prepare=close_all).expect(3)


def test_full_stdout():
    server = harness.Server(harness.echo_all)
    with open("/dev/full", "wb") as full:
        peer("connect", OWN4, server.port, data=b"text\n", stdout=full) \
            .refused(3, "cannot write to standard output: No space left")
        server.join()
        for args in (("--help",), ("--version",), ("ping", "--help"), ("ping", "-c1", OWN4),
                     ("ping", "-c1", "--json", OWN4), ("doctor",), ("doctor", "--json")):
            peer(*args, stdout=full).refused(3, "cannot write to standard output: No space left")


def test_a_reader_who_leaves():
    def endless(connection, _address):
        try:
            while True:
                connection.sendall(bytes(65536))
        except (ConnectionResetError, BrokenPipeError):
            pass

    server = harness.Server(endless)
    head = subprocess.Popen(["head", "-c", "100000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started = harness.Peer("connect", OWN4, server.port, stdout=head.stdin)
    head.stdin.close()
    assert len(head.stdout.read()) == 100000
    head.wait()
    started.wait().expect(3, "cannot write to standard output: Broken pipe", lines=1)
    server.join()
    until_gone = harness.open_sockets
    harness.until("no socket is left", lambda: not until_gone())


def test_help_into_a_reader_who_leaves():
    read_end, write_end = os.pipe()
    os.close(read_end)
    for args in (("--help",), ("connect", "--help"), ("doctor", "--json"), ("ping", "-c1", OWN4)):
        result = peer(*args, stdout=write_end)
        assert result.status in (3, -13) and len(result.err.splitlines()) <= 1, result
    os.close(write_end)


if __name__ == "__main__":
    harness.main()
