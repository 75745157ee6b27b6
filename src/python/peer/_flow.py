# SPDX-License-Identifier: BSD-3-Clause
"""Flows: TCP connections and UDP flows of the peers, and listeners that they come from."""

import collections
import errno
from typing import TYPE_CHECKING, Any, Optional, Union

from ._errors import End, Ended, Error
from ._library import check, end_of, error_new, ffi, filled, lib, text_of

if TYPE_CHECKING:
    from ._net import Net

Bytes = Union[bytes, bytearray, memoryview]


def _endpoint(address: Optional[str], port: int) -> str:
    return f"[{address}]:{port}" if address and ":" in address else f"{address}:{port}"


class Flow:
    """A connection (or UDP flow) of a peer. Made by Net.connect and Listener.accept.

    An open one stays open, whoever holds it, until it is closed or its net is. What waits, waits
    for `timeout` seconds (default: the net's) and dispatches the net meanwhile.
    """

    def __init__(self, net: "Net", flow: Any) -> None:
        self._net = net
        self._flow: Any = flow
        self._end: Optional[End] = None
        self._eof = False
        self._connected = False
        self._unreachable: Optional[str] = None
        self._tls: Optional[dict[str, Any]] = None
        info = self._read_info()
        self.udp: bool = info["udp"]
        #: (address, port) of the peer, and of the application.
        self.peer: tuple[str, int] = (info["from"], info["from_port"])
        self.to: tuple[str, int] = (info["to"], info["to_port"])
        self._info = info

    def __repr__(self) -> str:
        state = self._end.value if self._end else "eof" if self._eof else "open"
        return f"<peer.Flow {self._name()} {'UDP' if self.udp else 'TCP'} {state}>"

    def __enter__(self) -> "Flow":
        return self

    def __exit__(self, *unused: object) -> None:
        if self._flow is not None and self._net._is_mine():
            self.close()

    def __del__(self) -> None:
        if getattr(self, "_flow", None) is not None:
            self._net._discard(self._flow)

    def _name(self) -> str:
        return f"{_endpoint(*self.peer)} -> {_endpoint(*self.to)}"

    def _read_info(self) -> dict[str, Any]:
        info = filled("peer_flow_info", lib.peer_flow_get_info_sized, self._flow)
        info["state"] = text_of(lib.peer_flow_state_name(info["state"]))
        return info

    @property
    def _pointer(self) -> Any:
        self._net._pointer  # whose thread, whose process, and whether it is open
        return self._flow

    def _forget(self) -> None:
        """The net is about to end, and the handle with it."""
        self._info = self._read_info()
        self._tls = self._read_tls()
        self._flow = None

    # ---- what the net tells ----

    def _on_event(self, event: Any) -> None:
        if event.type in (lib.PEER_EVENT_CONNECTED, lib.PEER_EVENT_ACCEPTED):
            self._connected = True
        elif event.type == lib.PEER_EVENT_EOF:
            self._eof = True
        elif event.type == lib.PEER_EVENT_CLOSED:
            self._end = end_of(event.end)
        elif event.type == lib.PEER_EVENT_UNREACHABLE:
            self._unreachable = f"ICMP type {event.icmp_type} code {event.icmp_code}"

    def _look_again(self) -> None:
        """What the state tells where events were lost."""
        state = filled("peer_flow_info", lib.peer_flow_get_info_sized, self._flow)["state"]
        if state == lib.PEER_FLOW_CLOSED:
            self._end = self._end or End.UNKNOWN
        self._connected = self._connected or state not in (lib.PEER_FLOW_CLOSED, lib.PEER_FLOW_SYN_SENT)
        self._eof = self._eof or state in (lib.PEER_FLOW_CLOSE_WAIT, lib.PEER_FLOW_LAST_ACK,
                                           lib.PEER_FLOW_CLOSING, lib.PEER_FLOW_TIME_WAIT)

    def _ended(self) -> Ended:
        end = self._end or End.UNKNOWN
        words = f" ({self._unreachable})" if self._unreachable and end is not End.CLOSED else ""
        if end is End.TLS and self.tls:
            words = f" ({self.tls['reason']})"
        return Ended(f"{self._name()}: {end.value}{words}", end)

    # ---- facts ----

    @property
    def end(self) -> Optional[End]:
        """How it ended; None while it has not. Looks, and does not wait."""
        if self._end is None and self._flow is not None:
            self._net.dispatch()
        return self._end

    @property
    def eof(self) -> bool:
        """Whether the application sent its FIN. Looks, and does not wait."""
        if self._flow is not None:
            self._net.dispatch()
        return self._eof

    @property
    def info(self) -> dict[str, Any]:
        """Facts now, named as in struct peer_flow_info: addresses, state, MSS, RTT, windows, counts."""
        if self._flow is not None:
            self._net.dispatch()
            self._info = self._read_info()
        return dict(self._info)

    @property
    def tls(self) -> Optional[dict[str, Any]]:
        """What was agreed on, or went wrong, named as in struct peer_tls_info; None: it has no TLS."""
        if self._flow is None:
            return self._tls
        self._net.dispatch()
        self._tls = self._read_tls()
        return self._tls

    def _read_tls(self) -> Optional[dict[str, Any]]:
        try:
            return filled("peer_tls_info", lib.peer_flow_get_tls_sized, self._flow)
        except Error as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def wait_connected(self, timeout: Optional[float] = None) -> "Flow":
        """Waits for the end of the handshake; Ended when there is none."""
        self._net._wait(lambda: self._connected or self._end is not None, timeout, f"{self._name()}: no handshake")
        if not self._connected:
            raise self._ended()
        return self

    def wait_end(self, timeout: Optional[float] = None) -> End:
        """Waits for the end, and tells how."""
        self._net._wait(lambda: self._end is not None, timeout, f"{self._name()}: no end")
        assert self._end is not None
        return self._end

    # ---- writing ----

    def send(self, data: Bytes, timeout: Optional[float] = None) -> None:
        """Sends all of it (UDP: as one datagram). Returns when the stack has taken it, and the first
        of it is on its way; Ended when the flow is."""
        view = memoryview(data).cast("B")
        if self.udp:
            self._failed_write(self._write(view))
        while view and not self.udp:
            count = self._write(view)
            if count >= 0:
                view = view[count:]
            elif count == -errno.EAGAIN:
                self._net._wait(lambda: self._end is not None or lib.peer_flow_write_room(self._pointer) > 0,
                                timeout, f"{self._name()}: {len(view)} bytes find no room")
            else:
                self._failed_write(count)
        self._net.dispatch()

    def _write(self, view: memoryview) -> int:
        return int(lib.peer_flow_write(self._pointer, ffi.from_buffer(view), len(view)))

    def _failed_write(self, status: int) -> None:
        if status < 0 and self._end is not None:
            raise self._ended()
        check(status, f"{self._name()}: cannot send")

    def shutdown(self) -> None:
        """Sends FIN after what is queued: no more is written, reading goes on."""
        check(lib.peer_flow_shutdown(self._pointer), f"{self._name()}: cannot shut down")
        self._net.dispatch()

    # ---- reading ----

    def _peek(self) -> list[bytes]:
        """All that was received and not taken (UDP: the first datagram), in pieces."""
        count = 16
        while True:
            vectors = ffi.new("struct iovec[]", count)
            filled_count = lib.peer_flow_peek(self._pointer, vectors, count)
            if filled_count < count:
                return [bytes(ffi.buffer(vectors[i].iov_base, vectors[i].iov_len)) if vectors[i].iov_len else b""
                        for i in range(filled_count)]
            count *= 4

    def _take(self, count: int) -> None:
        lib.peer_flow_consume(self._pointer, count)
        self._net.dispatch()  # the window that opened

    def _unread(self) -> bool:
        return int(lib.peer_flow_peek(self._pointer, self._net._one_vector, 1)) > 0

    def _wait_readable(self, timeout: Optional[float]) -> bool:
        """False: in order, no more will come."""
        self._net._wait(lambda: self._unread() or self._eof or self._end is not None, timeout,
                        f"{self._name()}: nothing to read")
        if self._unread():
            return True
        if self._eof or self._end is End.CLOSED:
            return False
        raise self._ended()

    def recv(self, most: int = 65536, timeout: Optional[float] = None) -> bytes:
        """What was received, up to `most` bytes (UDP: the next datagram); waits for some. b"" at the
        end of the stream, Ended after a reset or another end."""
        if not self._wait_readable(timeout):
            return b""
        data = b"".join(self._peek())
        if not self.udp:
            data = data[:most]
        self._take(len(data))
        return data[:most]

    def recv_exactly(self, count: int, timeout: Optional[float] = None) -> bytes:
        """So many bytes, neither more nor fewer. Ended when the stream ends before."""
        data = bytearray()
        deadline = self._net._deadline(timeout)
        while len(data) < count:
            more = self.recv(count - len(data), self._net._left(deadline))
            if not more:
                raise Ended(f"{self._name()}: ended after {len(data)} of {count} bytes", End.CLOSED)
            data += more
        return bytes(data)

    def recv_until(self, delimiter: bytes, timeout: Optional[float] = None, most: int = 1 << 20) -> bytes:
        """All up to `delimiter`, which is at its end. What is behind it stays unread. Ended when the
        stream ends before."""
        seen = -1
        found = b""

        def is_there() -> bool:
            nonlocal seen, found
            data = b"".join(self._peek()) if self._unread() else b""
            seen = len(data)
            at = data.find(delimiter)
            found = data[:at + len(delimiter)] if at >= 0 else b""
            return bool(found) or self._eof or self._end is not None or seen >= most

        if self.udp or not delimiter:
            raise Error(errno.EINVAL, "recv_until is for TCP, and for a delimiter that is not empty")
        self._net._wait(is_there, timeout, f"{self._name()}: no {delimiter!r}")
        if found:
            self._take(len(found))
            return found
        if seen >= most:
            raise Error(errno.EMSGSIZE, f"{self._name()}: no {delimiter!r} in {seen} bytes")
        if self._eof or self._end is End.CLOSED:
            raise Ended(f"{self._name()}: ended after {seen} bytes without {delimiter!r}", End.CLOSED)
        raise self._ended()

    def recv_all(self, timeout: Optional[float] = None) -> bytes:
        """All up to the end of the stream."""
        data = bytearray()
        deadline = self._net._deadline(timeout)
        while more := self.recv(timeout=self._net._left(deadline)):
            data += more
        return bytes(data)

    # ---- endings ----

    def close(self) -> None:
        """Closes in order: FIN after what is queued. Received bytes that nobody took make it a reset.
        Does not wait: see wait_end."""
        lib.peer_flow_close(self._pointer)
        self._net.dispatch()

    def reset(self) -> None:
        """Ends with RST at once."""
        lib.peer_flow_reset(self._pointer)
        self._net.dispatch()

    def misbehave(self, manners: str) -> None:
        """Gives it manners, as peer-manners(7) has them: "stall", "slow-reader:10B/s", ..."""
        error = error_new()
        check(lib.peer_flow_set_manners(self._pointer, manners.encode(), error), f"manners {manners!r}", error)
        self._net.dispatch()

    def vanish(self) -> None:
        """The peer's machine is gone, as when its battery is empty: no FIN, no RST, no answer."""
        self.misbehave("vanish")


class Listener:
    """A port at which peers accept. Made by Net.listen."""

    def __init__(self, net: "Net", listener: Any) -> None:
        self._net = net
        self._listener: Any = listener
        self._waiting: collections.deque[Flow] = collections.deque()
        self.port: int = lib.peer_listener_get_port(listener)

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _forget(self) -> None:
        self._listener = None

    @property
    def _pointer(self) -> Any:
        self._net._pointer
        if self._listener is None:
            raise Error(errno.EBADF, f"the listener at port {self.port} is closed")
        return self._listener

    @property
    def stats(self) -> dict[str, Any]:
        """What one with `serve` did so far, as struct peer_serve_stats."""
        self._net.dispatch()
        return filled("peer_serve_stats", lib.peer_listener_get_stats_sized, self._pointer)

    def accept(self, timeout: Optional[float] = None) -> Flow:
        """The next caller."""
        self._pointer
        self._net._wait(lambda: bool(self._waiting), timeout, f"port {self.port}: nobody called")
        return self._waiting.popleft()

    def close(self) -> None:
        """No more callers. Those who were accepted stay."""
        if self._listener is not None and self._net._is_mine():
            self._net._listeners.pop(self._listener, None)
            lib.peer_listener_free(self._listener)
        self._listener = None
