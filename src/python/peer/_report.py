# SPDX-License-Identifier: BSD-3-Clause
"""Soaks and traces: what goes in, and the dicts that come out."""

import urllib.parse
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional, Union

from ._errors import Error
from ._library import Struct, check, error_new, ffi, filled, lib, listed, nanoseconds, record, text_of
from ._tls import tls_pointer

if TYPE_CHECKING:
    from ._net import Net

Target = Union[str, Mapping[str, Any]]

# What is in seconds here, and in nanoseconds in the library.
_SECONDS = ("duration", "warmup", "ramp", "think", "timeout", "interval", "ping")


def _url_config(url: str) -> dict[str, Any]:
    """SCHEME://ADDRESS[:PORT][/PATH] as fields of struct peer_soak_config."""
    parts = urllib.parse.urlsplit(url)
    known = list(listed("peer_protocol", lib.peer_protocol_sized))
    for protocol in known:
        if parts.scheme in (protocol["scheme"], protocol["name"], protocol["tls_scheme"]):
            break
    else:
        schemes = ", ".join(name for protocol in known
                            for name in (protocol["scheme"] or protocol["name"], protocol["tls_scheme"]) if name)
        raise Error(22, f"'{url}' is of no protocol that peers speak: {schemes}")
    secured = parts.scheme == protocol["tls_scheme"]
    port = parts.port or protocol["tls_port" if secured else "port"]
    if not parts.hostname or not port:
        raise Error(22, f"'{url}' names no {'port' if parts.hostname else 'address'}")
    config = {"protocol": protocol["name"], "to": parts.hostname, "to_port": port,
              "udp": protocol["datagrams"] and not secured, "tls": secured}
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if path:
        config["path"] = path
    return config


def soak_config(net: "Net", target: Target, more: Mapping[str, Any]) -> Struct:
    values = _url_config(target) if isinstance(target, str) else dict(target)
    values.update(more)
    values["tls"] = tls_pointer(net, values.get("tls"))
    for name in _SECONDS:
        if name in values:
            values[name + "_ns"] = nanoseconds(values.pop(name))
    body = values.get("body")
    if isinstance(body, str):
        values["body"] = body = body.encode()
    if body is not None:
        values["body_len"] = len(body)
    return Struct("peer_soak_config", values)


def _statuses(result: Any) -> dict[int, int]:
    counts = ((code, lib.peer_result_get_status(result, code)) for code in range(lib.PEER_STATUS_CODES))
    return {code: count for code, count in counts if count}


def _answers(result: Any) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in listed("peer_soak_answers", lib.peer_result_get_answers_sized, result):
        found.setdefault(row["kind"], {})[row["name"]] = row["count"]
    return found


def _first(name: str, function: Any, *args: Any) -> Optional[dict[str, Any]]:
    """What function(*args, struct, size) fills if there is any, else None."""
    struct = ffi.new(f"struct {name} *")
    return record(struct[0]) if function(*args, struct, ffi.sizeof(struct[0])) == 1 else None


def _application(result: Any) -> Optional[dict[str, Any]]:
    """What was seen of the application: its `processes`, and of `rss`, `fds` and `threads` how they grow."""
    processes = list(listed("peer_watch_process", lib.peer_result_get_process_sized, result))
    figures = {name: getattr(lib, f"PEER_WATCH_{name.upper()}") for name in ("rss", "fds", "threads")}
    growth = {name: _first("peer_watch_growth", lib.peer_result_get_growth_sized, result, figure)
              for name, figure in figures.items()}
    return {"processes": processes, "growth": growth} if processes else None


def _intervals(result: Any) -> Iterator[dict[str, Any]]:
    """`watch` is None in those in which the application was not looked at."""
    for index, interval in enumerate(listed("peer_soak_interval", lib.peer_result_get_interval_sized, result)):
        interval["watch"] = _first("peer_watch_sample", lib.peer_result_get_watch_sized, result, index)
        yield interval


def result_report(result: Any) -> dict[str, Any]:
    """All that a soak found, named as in peer/soak.h; besides, `statuses` has how often each status of
    HTTP was seen, `answers` what other protocols have names for ({"rcodes": {"NOERROR": 7}}), `manners`
    what the flows with each came to, `intervals` the series, `changes` what was changed on the way, `parts`
    who found it, `application` what was watched, `journal` how far it goes (None: it is no journal's)."""
    report = filled("peer_soak_report", lib.peer_result_get_report_sized, result)
    errors = ("refused", "reset", "timeout", "bad_answer", "closed_early", "unexpected_status", "closed_idle",
              "login", "full", "tls_protocol", "tls_certificate", "tls_closed")
    report["errors"] = sum(report["counts"][name] for name in errors)
    report["statuses"] = _statuses(result)
    report["answers"] = _answers(result)
    report["manners"] = list(listed("peer_soak_manner", lib.peer_result_get_manner_sized, result))
    report["intervals"] = list(_intervals(result))
    report["changes"] = list(listed("peer_soak_change", lib.peer_result_get_change_sized, result))
    report["parts"] = list(listed("peer_result_part", lib.peer_result_get_part_sized, result))
    report["application"] = _application(result)
    report["journal"] = _first("peer_journal_extent", lib.peer_result_get_extent_sized, result)
    return report


# ---- trace ----

_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1}


def _word(constants: Mapping[str, str], number: int) -> str:
    for name, word in constants.items():
        if getattr(lib, name) == number:
            return word
    return "unknown"


_STATES = {f"PEER_TRACE_{word.upper()}": word for word in ("passed", "lost", "note", "unseen")}
_OUTCOMES = {f"PEER_TRACE_{word.upper()}": word for word in ("answered", "arrived", "refused", "dropped", "silent")}


def _time(value: int) -> Optional[int]:
    return None if value == lib.PEER_TRACE_NO_TIME else value


def run_trace(net: "Net", protocol: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """struct peer_trace_result as a dict, with the `stations` on the way."""
    if protocol not in _PROTOCOLS:
        raise Error(93, f"'{protocol}' is none of {', '.join(_PROTOCOLS)}")
    stations: list[dict[str, Any]] = []

    def each(unused: Any, station: Any) -> None:
        seen = record(station[0])
        seen["state"] = _word(_STATES, seen["state"])
        seen["after_ns"] = _time(seen["after_ns"])
        stations.append(seen)

    callback = ffi.callback("void(void *, const struct peer_trace_station *)", each)
    config = Struct("peer_trace_config", {"protocol": _PROTOCOLS[protocol], "each": callback, **values})
    result, error = ffi.new("struct peer_trace_result *"), error_new()
    status = lib.peer_trace_sized(net._pointer, config.it, config.size, result, ffi.sizeof(result[0]), error)
    check(status, "trace", error)
    found = record(result[0])
    found["outcome"] = _word(_OUTCOMES, found["outcome"])
    found["answer_ns"] = _time(found["answer_ns"])
    found["station"], found["reason"] = text_of(result.station), text_of(result.reason)
    found["stations"] = stations
    return found
