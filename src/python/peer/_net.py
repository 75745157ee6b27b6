# SPDX-License-Identifier: BSD-3-Clause
"""Nets: the device, and the peers behind it."""

import concurrent.futures
import contextlib
import errno
import os
import select
import socket
import threading
import time
import traceback
import weakref
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence, TypeVar, Union

from ._errors import Error, Kind, Timeout
from ._flow import Flow, Listener
from ._library import Struct, address_text, check, error_new, ffi, filled, lib, listed, nanoseconds, record, text_of
from ._process import Process
from ._report import Target, run_trace
from ._soak import Path, Soak, Watched
from ._socket import Socket
from ._tls import Tls, TlsLike, tls_pointer

Result = TypeVar("Result")
Link = Union[str, tuple[Optional[str], Optional[str]], None]

# The application's address in isolation, where the caller names none (RFC 5737, RFC 3849).
_ISOLATED = {4: "192.0.2.80", 6: "2001:db8::50"}
# How often somebody is asked whether what the net cannot know of has happened.
_LOOK_S = 0.005

# There is one net in a process. In a forked child this is what it inherited.
_made: Optional["Net"] = None


def _caller() -> str:
    """The file and line outside of this package."""
    here = os.path.dirname(__file__)
    for frame in reversed(traceback.extract_stack()):
        if os.path.dirname(frame.filename) != here and not frame.filename.endswith("contextlib.py"):
            return f"{frame.filename}:{frame.lineno}"
    return "?"


def profiles() -> list[dict[str, Any]]:
    """The links that have names: name, uplink, downlink, about."""
    return list(listed("peer_link_profile", lib.peer_link_profile_sized))


def _link_words(link: Link) -> tuple[Optional[str], Optional[str]]:
    """Uplink and downlink of a profile's name, of words for both, or of a pair."""
    if link is None:
        return None, None
    if not isinstance(link, str):
        uplink, downlink = link
        return uplink, downlink
    for profile in profiles():
        if profile["name"] == link:
            return profile["uplink"], profile["downlink"]
    return link, link


class Net:
    """Remote machines beside this one, in this process. A context manager.

    from_      the peers' addresses: "203.0.113.0/24", "203.0.113.7", "2001:db8:1::/64"
    isolate    in a network namespace of its own: nothing of this machine is touched, no root needed
    address    the address that peers call; in isolation it has a default
    link       what lies between: a name of profiles(), netem's words ("delay 20ms loss 1%"), or a
               pair of those, from the peers and to them
    seed       every random choice of the peers follows from it; 0: a random one, see info
    pcap       a file for the capture
    tap        peers on the local Ethernet segment instead of behind a router
    timeout    seconds that calls wait when they are given no timeout of their own
    more       other fields of struct peer_net_config, by their names: mtu, dev, local, wire, netns, ...

    There is one net in a process at a time, and one thread uses it: the one that made it. Others may
    use the sockets of listen_socket() and socket(), as a server in a thread does. Whatever waits
    dispatches the net: peers live only meanwhile. A forked child has no use of it, and may make its own.
    """

    def __init__(self, from_: Optional[str] = None, *, isolate: bool = False, address: Optional[str] = None,
                 link: Link = None, seed: int = 0, pcap: Union[str, "os.PathLike[str]", None] = None,
                 tap: bool = False, timeout: float = 10.0, **more: Any) -> None:
        self._net: Any = None
        self._place = ""  # where it was made
        self.timeout = timeout
        if isolate and address is None:
            is_v6 = ":" in (from_ or "") or more.get("family") == 6
            address = _ISOLATED[6 if is_v6 else 4]
        uplink, downlink = _link_words(link)
        config = Struct("peer_net_config", {
            "kind": lib.PEER_TAP if tap else lib.PEER_TUN, "from": from_, "isolate": isolate, "target": address,
            "uplink": uplink, "downlink": downlink, "seed": seed, "pcap": pcap, **more})
        self._thread = threading.get_ident()
        self._pid = os.getpid()
        self._flows: dict[Any, Flow] = {}
        self._listeners: dict[Any, Listener] = {}
        self._processes: set[Process] = set()
        self._tls: list[Tls] = []
        self._soaks: weakref.WeakSet[Soak] = weakref.WeakSet()
        self._all_flows: weakref.WeakSet[Flow] = weakref.WeakSet()
        self._discarded: list[Any] = []
        self._echoes: dict[tuple[int, int], Optional[dict[str, Any]]] = {}
        self._make(config)
        self._event = ffi.new("struct peer_event *")
        self._one_vector = ffi.new("struct iovec[1]")
        #: The address that peers call, None when none is known.
        self.address: Optional[str] = address or self.info["local"]

    def _make(self, config: Struct) -> None:
        global _made
        if _made is not None and _made._pid == os.getpid():
            raise Error(errno.EBUSY, f"there is a net in this process already, made at {_made._place}; "
                        "there can be one at a time, with as many peers as you like", Kind.USAGE)
        if _made is not None:
            _made.close()
        place, error = ffi.new("struct peer_net **"), error_new()
        check(lib.peer_net_new_sized(config.it, config.size, place, error), "net", error)
        self._net = place[0]
        self._place = _caller()
        _made = self

    def __enter__(self) -> "Net":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<peer.Net {'closed' if self._net is None else 'open'} at {hex(id(self))}>"

    # ---- whose it is ----

    def _is_mine(self) -> bool:
        return self._net is not None and self._thread == threading.get_ident() and self._pid == os.getpid()

    @property
    def _pointer(self) -> Any:
        if self._pid != os.getpid():
            raise Error(errno.ECHILD, f"the net is of process {self._pid}, which forked this one")
        if self._net is None:
            raise Error(errno.EBADF, "the net is closed")
        if self._thread != threading.get_ident():
            raise Error(errno.EPERM, "a net is used by the thread that made it: let others have its sockets "
                        "(listen_socket, socket), or make the net there")
        return self._net

    def close(self) -> None:
        """Ends every flow with a reset, ends programs, and removes the device. Once more is fine. In a
        forked child it only lets go of what was inherited."""
        global _made
        if self._net is None:
            return
        if self._pid != os.getpid():
            net, self._net, _made = self._net, None, None
            lib.peer_net_free(net)
            return
        net = self._pointer
        with contextlib.suppress(Error):
            self._take_events()
        for flow in self._all_flows:
            flow._forget()
        for listener in self._listeners.values():
            listener._forget()
        for process in self._processes:
            process._forget()
        for soak in list(self._soaks):
            soak.close()
        for tls in self._tls:
            tls._forget()
        self._net = None
        self._discarded.clear()
        self._flows.clear()
        self._listeners.clear()
        self._processes.clear()
        self._tls.clear()
        _made = None
        lib.peer_net_free(net)

    # ---- time and events ----

    def _discard(self, flow: Any) -> None:
        """Nobody holds this flow any more. From any thread: it is freed in the net's."""
        self._discarded.append(flow)

    def _take_events(self) -> None:
        while self._discarded:
            lib.peer_flow_free(self._discarded.pop())
        event = self._event
        while lib.peer_net_pop_event_sized(self._pointer, event, ffi.sizeof(event[0])) == 1:
            self._on_event(event[0])

    def _adopt(self, pointer: Any) -> Flow:
        flow = Flow(self, pointer)
        self._flows[pointer] = flow
        self._all_flows.add(flow)
        return flow

    def _on_event(self, event: Any) -> None:
        if event.type == lib.PEER_EVENT_PING:
            key = (event.icmp_id, event.icmp_sequence)
            if key in self._echoes:
                self._echoes[key] = record(event)
            return
        flow = self._flows.get(event.flow)
        if event.type == lib.PEER_EVENT_ACCEPTED and event.listener in self._listeners:
            flow = self._adopt(event.flow)
            self._listeners[event.listener]._waiting.append(flow)
        if flow is not None:
            flow._on_event(event)
        if event.type == lib.PEER_EVENT_CLOSED:
            self._flows.pop(event.flow, None)

    def dispatch(self) -> None:
        """Does what there is to do for the peers, without waiting."""
        status = lib.peer_net_dispatch(self._pointer)
        self._take_events()
        if status != -errno.EBADFD:  # then flows have their ends, and waiting tells
            check(status, "net")

    def _step(self, seconds: float, fds: Sequence[tuple[int, int]] = ()) -> bool:
        """Waits, dispatches, takes events. Whether one of (descriptor, events) is ready."""
        count = len(fds)
        pollfds = ffi.new("struct pollfd[]", [(fd, events, 0) for fd, events in fds]) if count else ffi.NULL
        status = lib.peer_net_poll(self._pointer, pollfds, count, nanoseconds(seconds))
        self._take_events()
        if status != -errno.EINTR:
            check(status, "net")
        return any(pollfds[i].revents for i in range(count))

    def _deadline(self, timeout: Optional[float]) -> float:
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    @staticmethod
    def _left(deadline: float) -> float:
        return max(0.0, deadline - time.monotonic())

    def _wait(self, is_there: Callable[[], bool], timeout: Optional[float], what: str, most: float = 3600.0) -> None:
        """Dispatches until is_there(), which is asked after what happened, and each `most` seconds."""
        seconds = self.timeout if timeout is None else timeout
        deadline = self._deadline(timeout)
        self.dispatch()
        while not is_there():
            left = self._left(deadline)
            if left <= 0:
                raise Timeout(f"{what} within {seconds:g} s")
            try:
                self._step(min(left, most))
            except Error:
                if is_there():  # the device is gone, and this with it
                    return
                raise

    def _wait_fd(self, fd: int, events: int, timeout: Optional[float]) -> None:
        """Dispatches until the descriptor is ready."""
        seconds = self.timeout if timeout is None else timeout
        deadline = self._deadline(timeout)
        # At least one look, and what the peers have to say first.
        while not self._step(self._left(deadline), [(fd, events)]):
            if self._left(deadline) <= 0:
                raise Timeout(f"descriptor {fd} was not ready within {seconds:g} s")

    def run_until(self, condition: Callable[[], Any], timeout: Optional[float] = None) -> None:
        """Lets the peers live until condition() is true; it is asked each few milliseconds, too."""
        name = getattr(condition, "__name__", repr(condition))
        self._wait(lambda: bool(condition()), timeout, f"{name} was not true", _LOOK_S)

    def run_for(self, seconds: float) -> None:
        """Lets the peers live for so long."""
        deadline = self._deadline(seconds)
        self.dispatch()
        while (left := self._left(deadline)) > 0:
            self._step(left)

    def call(self, function: Callable[..., Result], *args: Any, timeout: Optional[float] = None, **more: Any) -> Result:
        """function(*args, **more) in a thread of its own, while the peers live: for what blocks, such
        as a client library that calls a peer. After a Timeout the thread goes on."""
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        mine, its = socket.socketpair()

        def work() -> None:
            try:
                future.set_result(function(*args, **more))
            except BaseException as error:  # the caller's, whatever it is
                future.set_exception(error)
            finally:
                its.close()

        self.dispatch()
        threading.Thread(target=work, daemon=True).start()
        with mine:
            try:
                self._wait_fd(mine.fileno(), select.POLLIN, timeout)
            except Timeout:
                name = getattr(function, "__name__", repr(function))
                seconds = self.timeout if timeout is None else timeout
                raise Timeout(f"{name} did not return within {seconds:g} s") from None
        return future.result()

    # ---- facts ----

    @property
    def info(self) -> dict[str, Any]:
        """What came out of the configuration, as struct peer_net_info: device, seed, mtu, peers..."""
        info = filled("peer_net_info", lib.peer_net_get_info_sized, self._pointer)
        info["kind"] = "tap" if info["kind"] == lib.PEER_TAP else "tun"
        return info

    @property
    def stats(self) -> dict[str, Any]:
        """Counters since the start, as struct peer_net_stats."""
        self.dispatch()
        return filled("peer_net_stats", lib.peer_net_get_stats_sized, self._pointer)

    @property
    def notices(self) -> list[str]:
        """What happened to this machine meanwhile, each line once."""
        lines = []
        while line := text_of(lib.peer_net_pop_notice(self._pointer)):
            lines.append(line)
        return lines

    def peer(self, index: int) -> str:
        """The address of the peer at `index`, from 0 on."""
        addr = ffi.new("struct peer_addr *")
        check(lib.peer_net_get_peer(self._pointer, index, addr), f"peer {index}")
        return address_text(addr[0]) or ""

    def _target(self, address: Optional[str]) -> str:
        if not (address or self.address):
            raise Error(errno.EDESTADDRREQ, "no address was given, and the net was made without one")
        return address or self.address or ""

    # ---- the application's side ----

    def socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0) -> Socket:
        """A kernel socket of the net's namespace, as socket.socket() makes it here."""
        error = error_new()
        fd = check(lib.peer_net_socket(self._pointer, family, type | socket.SOCK_CLOEXEC, proto, error),
                   "socket", error)
        return Socket(self, family, type, proto, fileno=fd)

    def listen_socket(self, port: int = 0, address: Optional[str] = None, *, udp: bool = False,
                      backlog: int = 128) -> Socket:
        """A kernel socket for the server under test: it is bound to `address` (default: that of the
        net) and listens. With port 0 the kernel chooses, getsockname() tells."""
        host = self._target(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = self.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            if not udp:
                sock.listen(backlog)
        except BaseException:
            sock.close()
            raise
        return sock

    def spawn(self, argv: Sequence[Union[str, "os.PathLike[str]"]], *, env: Optional[Mapping[str, str]] = None,
              cwd: Union[str, "os.PathLike[str]", None] = None, stdio: Optional[Sequence[int]] = None,
              wait_port: Optional[int] = None, timeout: Optional[float] = None) -> Process:
        """Starts a program in the net's namespace; with `wait_port`, waits until it listens there."""
        envp = None if env is None else [f"{name}={value}" for name, value in env.items()]
        config = Struct("peer_spawn_config", {"argv": argv, "envp": envp, "cwd": cwd, "stdio": stdio})
        place, error = ffi.new("struct peer_process **"), error_new()
        check(lib.peer_net_spawn_sized(self._pointer, config.it, config.size, place, error), "spawn", error)
        process = Process(self, place[0])
        self._processes.add(process)
        if wait_port is not None:
            self.wait_listener(wait_port, process=process, timeout=timeout)
        return process

    def wait_listener(self, port: int, address: Optional[str] = None, *, udp: bool = False,
                      process: Optional[Process] = None, timeout: Optional[float] = None) -> None:
        """Waits until somebody takes what peers send there."""
        seconds = self.timeout if timeout is None else timeout
        config = Struct("peer_wait_config", {
            "protocol": socket.IPPROTO_UDP if udp else socket.IPPROTO_TCP, "at": self._target(address), "port": port,
            "timeout_ns": max(1, nanoseconds(seconds)), "process": process._pointer if process else None})
        error = error_new()
        status = -errno.EINTR
        while status == -errno.EINTR:
            status = lib.peer_net_wait_listener_sized(self._pointer, config.it, config.size, error)
        if status == -errno.ETIMEDOUT:
            raise Timeout(text_of(error.text) or "nobody listens")
        check(status, f"port {port}", error)

    # ---- the peers' side ----

    def tls(self, **config: Any) -> Tls:
        """Settings of TLS, named as in struct peer_tls_config: sni, alpn, versions, ciphers, cert, key, verify,
        ca_file, name, resume."""
        tls = Tls(self, config)
        self._tls.append(tls)
        return tls

    def connect(self, to: Optional[str], port: int, *, from_: Union[str, int, None] = None, udp: bool = False,
                manners: Optional[str] = None, tls: TlsLike = None, timeout: Optional[float] = None,
                wait: bool = True, **more: Any) -> Flow:
        """A peer calls the application at `to` (None: the net's address).

        tls      over TLS: True, a dict of what Net.tls takes, or what it gave; see Flow.tls
        from_    the peer: its address, or its number from 0 on; None: the peers take turns
        manners  how it misbehaves, as peer-manners(7) has it: "stall", "vanish@10s"
        wait     for the handshake; Ended tells when there is none
        more     other fields of struct peer_connect_config: from_port, proxy_protocol, and what the
                 peer's TCP is like: mss, receive_window, ttl, dscp, no_timestamps, no_sack
        """
        source = self.peer(from_) if isinstance(from_, int) else from_
        config = Struct("peer_connect_config", {"to": self._target(to), "to_port": port, "from": source, "udp": udp,
                                                "manners": manners, "tls": tls_pointer(self, tls), **more})
        place, error = ffi.new("struct peer_flow **"), error_new()
        check(lib.peer_connect_sized(self._pointer, config.it, config.size, place, error), "connect", error)
        flow = self._adopt(place[0])
        flow._connected = udp
        if wait:
            flow.wait_connected(timeout)
        return flow

    def listen(self, port: int = 0, at: Optional[str] = None, *, udp: bool = False, serve: Optional[str] = None,
               manners: Optional[str] = None, tls: TlsLike = None) -> Listener:
        """Peers accept at `port` (0: see Listener.port), all of them or the one `at` this address. With
        `serve` they answer by themselves: "echo", "discard", "http". `tls` as with connect."""
        config = Struct("peer_listen_config", {"port": port, "at": at, "udp": udp, "serve": serve, "manners": manners,
                                               "tls": tls_pointer(self, tls)})
        place, error = ffi.new("struct peer_listener **"), error_new()
        check(lib.peer_listen_sized(self._pointer, config.it, config.size, place, error), "listen", error)
        listener = Listener(self, place[0])
        self._listeners[place[0]] = listener
        return listener

    def ping(self, to: Optional[str] = None, *, from_: Optional[str] = None, size: int = 56, ttl: int = 0,
             timeout: Optional[float] = None) -> dict[str, Any]:
        """A peer pings: what answered, as the icmp_* fields of struct peer_event (an error of ICMP is an
        answer, too: see icmp_type). Timeout when nothing did."""
        target = self._target(to)
        key = (self._thread & 0xFFFF, len(self._echoes) & 0xFFFF)
        config = Struct("peer_ping_config", {"to": target, "from": from_, "id": key[0], "sequence": key[1],
                                             "size": size, "ttl": ttl})
        self._echoes[key] = None
        error = error_new()
        check(lib.peer_ping_sized(self._pointer, config.it, config.size, error), "ping", error)
        self._wait(lambda: self._echoes[key] is not None, timeout, f"{target}: no answer to a ping")
        answer = self._echoes[key] or {}
        return {name: value for name, value in answer.items() if name.startswith("icmp_")}

    def soak(self, target: Target, **config: Any) -> dict[str, Any]:
        """Many peers run a workload: the report as a dict, named as in peer/soak.h. A server in this
        process answers from another thread, since this one is here all the time.

        The target is a URL ("http://192.0.2.80/", "https://192.0.2.80/"), or a dict of struct peer_soak_config's fields, which
        may also be given by name: flows=100, total=10000, rate=..., manners=... Times are seconds:
        duration, warmup, ramp, think, timeout, interval, ping. `tls` is as with connect; a URL of TLS needs none.
        `journal` and `watch` are those of start_soak().
        """
        with self.start_soak(target, **config) as soak:
            return soak.finish()

    def start_soak(self, target: Target, *, journal: Optional[Path] = None, watch: Watched = False,
                   **config: Any) -> Soak:
        """A soak that is steered while it goes on; target and config as in soak(). `journal` is a file that
        has what was found so far at any time, for peer.read_result(); `watch` are the processes whose memory,
        descriptors and threads are looked at (True: whoever listens at the target)."""
        return Soak(self, target, config, journal, watch)

    def trace(self, to: Optional[str], port: int = 0, *, from_: Optional[str] = None, protocol: str = "tcp",
              timeout: float = 0.3, dry: bool = False) -> dict[str, Any]:
        """Follows a packet of a peer ("tcp", "udp" or "icmp") through this kernel: `outcome` ("answered",
        "arrived", "refused", "dropped", "silent"), `text`, `reason`, `mend`, and the `stations`."""
        self.dispatch()
        found = run_trace(self, protocol, {"to": self._target(to), "to_port": port, "from": from_, "dry": dry,
                                           "timeout_ns": nanoseconds(timeout)})
        for pointer, flow in list(self._flows.items()):  # whose events a trace throws away
            flow._look_again()
            if flow._end is not None:
                self._flows.pop(pointer)
        return found

    def set_link(self, link: Link) -> None:
        """Changes all links from now on; of a pair, None leaves a direction as it is."""
        uplink, downlink = (None if words is None else words.encode() for words in _link_words(link))
        error = error_new()
        check(lib.peer_net_set_link(self._pointer, uplink or ffi.NULL, downlink or ffi.NULL, error), "link", error)

    def unplug(self, peer: str, unplugged: bool = True) -> None:
        """Pulls a peer's cable, or plugs it in again."""
        addr = Struct("peer_ping_config", {"to": peer}).it
        check(lib.peer_net_unplug(self._pointer, ffi.addressof(addr, "to"), unplugged), f"peer {peer}")

    # ---- captures ----

    def start_capture(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Captures all frames into a file of pcapng from now on."""
        error = error_new()
        check(lib.peer_net_start_capture(self._pointer, os.fsencode(path), error), "capture", error)

    def end_capture(self) -> None:
        """Ends the capture, if there is one: the file is complete then."""
        self.dispatch()
        check(lib.peer_net_end_capture(self._pointer), "capture")
