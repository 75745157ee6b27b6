# SPDX-License-Identifier: BSD-3-Clause
"""libpeer.so itself, and how values cross the border to it.

It is opened at first use: a pytest that makes no net does not load it. Where PEER_LIBRARY is set in
the environment, that file is opened.
"""

import errno
import itertools
import os
from typing import Any, Iterable, Iterator, Optional

from cffi import FFI

from ._cdef import CDEF, VERSION
from ._errors import End, Error, Kind

ffi = FFI()


class _Library:
    """Functions and constants by their names, without a look into the file the second time."""

    _handle: Any = None

    def load(self) -> None:
        """Opens the library; ImportError where it is not there or of another version."""
        if self._handle is not None:
            return
        name = os.environ.get("PEER_LIBRARY") or f"libpeer.so.{int(VERSION.split('.')[1]) - 1}"
        if not hasattr(ffi, "peer_is_declared"):
            ffi.cdef(CDEF)
            ffi.peer_is_declared = True
        try:
            handle = ffi.dlopen(name)
        except OSError as error:
            raise ImportError(f"cannot open libpeer: {error}") from None
        version = ffi.string(handle.peer_version()).decode()
        if version.split(".")[:2] != VERSION.split(".")[:2]:
            raise ImportError(f"{name} is libpeer {version}, and this package is for {VERSION}")
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        self.load()
        value = getattr(self._handle, name)
        setattr(self, name, value)
        return value


lib: Any = _Library()


def version() -> str:
    """The version of libpeer: "0.1.0"."""
    return text_of(lib.peer_version()) or ""


def text_of(chars: Any) -> Optional[str]:
    """A C string, None for NULL."""
    return None if chars == ffi.NULL else ffi.string(chars).decode(errors="replace")


def nanoseconds(seconds: Optional[float]) -> int:
    """None and infinity are for ever."""
    if seconds is None or seconds >= 1e10:
        return 2**64 - 1
    return max(0, round(seconds * 1e9))


# ---- errors ----

def error_new() -> Any:
    """A place for the library's words."""
    lib.load()
    return ffi.new("struct peer_error *")


def check(status: int, what: str, error: Any = None) -> int:
    """Gives back what is no error; else raises it."""
    if status >= 0:
        return status
    if error is not None and error.code:
        kinds = {lib.PEER_ERROR_MACHINE: Kind.MACHINE, lib.PEER_ERROR_REMOTE: Kind.REMOTE}
        raise Error(-status, text_of(error.text) or what, kinds.get(error.kind, Kind.USAGE))
    kind = Kind.MACHINE if -status in (errno.ENOMEM, errno.EBADFD, errno.EOWNERDEAD, errno.ENODEV) else Kind.USAGE
    raise Error(-status, f"{what}: {text_of(lib.peer_strerror(status))}", kind)


def end_of(number: int) -> Optional[End]:
    """NONE is None: it goes on."""
    if number == lib.PEER_END_NONE:
        return None
    try:
        return End(text_of(lib.peer_end_name(number)))
    except ValueError:
        return End.UNKNOWN


# ---- addresses ----

def address(text: str) -> Any:
    """Numeric text as a struct peer_addr; "" and None are no address."""
    lib.load()
    addr = ffi.new("struct peer_addr *")
    if text and lib.peer_addr_parse(text.encode(), addr) < 0:
        raise Error(errno.EINVAL, f"'{text}' is no address")
    return addr[0]


def address_text(addr: Any) -> Optional[str]:
    """The canonical text; None for none."""
    if addr.family == 0:
        return None
    buf = ffi.new("char[]", lib.PEER_ADDR_TEXT)
    return text_of(lib.peer_addr_format(ffi.addressof(addr), buf))


# ---- structs that go in ----

class Struct:
    """A struct of the library, all zero but for `values`, with the strings that it points to."""

    def __init__(self, name: str, values: dict[str, Any]) -> None:
        lib.load()
        self.it = ffi.new(f"struct {name} *")
        self.size = ffi.sizeof(self.it[0])
        self._kept: list[Any] = []
        fields = dict(ffi.typeof(self.it[0]).fields)
        for field, value in values.items():
            if field not in fields:
                raise TypeError(f"there is no {field!r}: {', '.join(fields)}")
            if value is not None:
                setattr(self.it, field, self._convert(fields[field].type, field, value))

    def _keep(self, value: Any) -> Any:
        self._kept.append(value)
        return value

    def _convert(self, kind: Any, field: str, value: Any) -> Any:
        if kind.cname == "struct peer_addr":
            return address(value)
        if kind.kind == "pointer" and isinstance(value, (str, os.PathLike)):
            return self._keep(ffi.new("char[]", os.fsencode(value)))
        if kind.kind == "pointer" and isinstance(value, (bytes, bytearray)):
            return self._keep(ffi.new("char[]", bytes(value)))
        if kind.kind == "pointer" and kind.item.kind == "pointer":
            return self._strings(value)
        if kind.kind == "pointer" and kind.item.kind == "primitive":
            return self._keep(ffi.new(f"{kind.item.cname.replace('const ', '')}[]", list(value)))
        return value

    def _strings(self, values: Iterable[Any]) -> Any:
        """What ends with NULL, as argv does."""
        texts = [self._keep(ffi.new("char[]", os.fsencode(value))) for value in values]
        return self._keep(ffi.new("char *[]", texts + [ffi.NULL]))


# ---- structs that come out ----

def record(struct: Any) -> dict[str, Any]:
    """A struct as a dict by its own names: addresses and strings as text, structs as dicts."""
    return {name: _value(getattr(struct, name), field.type)
            for name, field in ffi.typeof(struct).fields if _is_plain(field.type)}


def _is_plain(kind: Any) -> bool:
    """Whether it means something outside of C: numbers, strings, and what is made of these."""
    return kind.kind != "pointer" or kind.item.cname in ("char", "const char")


def _value(value: Any, kind: Any) -> Any:
    if kind.cname == "struct peer_addr":
        return address_text(value)
    if kind.cname == "struct peer_mac":
        return ":".join(f"{byte:02x}" for byte in value.bytes) if any(value.bytes) else None
    if kind.kind == "struct":
        return record(value)
    if kind.kind == "pointer" or (kind.kind == "array" and kind.item.cname == "char"):
        return text_of(value)
    if kind.kind == "array":
        return [_value(item, kind.item) for item in value] if _is_plain(kind.item) else None
    return value


def filled(name: str, function: Any, *args: Any) -> dict[str, Any]:
    """What function(*args, struct, size) fills, as a dict."""
    struct = ffi.new(f"struct {name} *")
    status = function(*args, struct, ffi.sizeof(struct[0]))
    check(status or 0, name)
    return record(struct[0])


def listed(name: str, function: Any, *args: Any) -> Iterator[dict[str, Any]]:
    """The dicts that function(*args, index, struct, size) fills, until it returns 0."""
    struct = ffi.new(f"struct {name} *")
    for index in itertools.count():
        if function(*args, index, struct, ffi.sizeof(struct[0])) != 1:
            return
        yield record(struct[0])
