# SPDX-License-Identifier: BSD-3-Clause
"""Kernel sockets of the net's namespace, which wait without a deadlock.

A server under test may live in the very thread that uses the net. Then nobody else moves the net's
frames, and a plain recv() would wait for ever: in that thread these sockets dispatch the net while
they wait. In every other thread, and when the net is closed, they are plain sockets.
"""

import errno
import os
import select
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._net import Net


class Socket(socket.socket):
    """A socket.socket of the net's namespace.

    In the net's thread nothing waits for ever: without a timeout of its own it has the net's.
    """

    def __init__(self, net: "Net", *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._net = net

    def _ready(self, events: int) -> bool:
        """Waits until it is; False: not for us to do."""
        if self.gettimeout() == 0.0 or self.fileno() < 0 or not self._net._is_mine():
            return False
        self._net._wait_fd(self.fileno(), events, self.gettimeout())
        return True

    def accept(self) -> tuple["Socket", Any]:
        """As socket.accept; what it returns waits in the same way."""
        self._ready(select.POLLIN)
        fd, address = self._accept()  # type: ignore[attr-defined]
        return Socket(self._net, self.family, self.type, self.proto, fileno=fd), address

    def recv(self, *args: Any) -> bytes:
        self._ready(select.POLLIN)
        return super().recv(*args)

    def recv_into(self, *args: Any, **more: Any) -> int:
        self._ready(select.POLLIN)
        return super().recv_into(*args, **more)

    def recvfrom(self, *args: Any) -> tuple[bytes, Any]:
        self._ready(select.POLLIN)
        return super().recvfrom(*args)

    def recvfrom_into(self, *args: Any, **more: Any) -> tuple[int, Any]:
        self._ready(select.POLLIN)
        return super().recvfrom_into(*args, **more)

    def recvmsg(self, *args: Any) -> Any:
        self._ready(select.POLLIN)
        return super().recvmsg(*args)

    def send(self, data: Any, flags: int = 0) -> int:
        if not self._ready(select.POLLOUT):
            return super().send(data, flags)
        return super().send(data, flags | socket.MSG_DONTWAIT)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As socket.sendall; the timeout is that of each step."""
        if self.gettimeout() == 0.0 or not self._net._is_mine():
            super().sendall(data, flags)
            return
        view = memoryview(data).cast("B")
        while view:
            view = view[self.send(view, flags):]

    def connect(self, address: Any) -> None:
        """As socket.connect: the application calls a peer."""
        timeout = self.gettimeout()
        if timeout == 0.0 or not self._net._is_mine():
            super().connect(address)
            return
        self.setblocking(False)
        try:
            number = super().connect_ex(address)
            if number == errno.EINPROGRESS:
                self._net._wait_fd(self.fileno(), select.POLLOUT, timeout)
                number = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        finally:
            self.settimeout(timeout)
        if number:
            raise OSError(number, os.strerror(number))
