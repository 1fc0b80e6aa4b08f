"""The values of eru-agent's keys: what of them a reader believes."""

import collections
import ipaddress
import json
import re

MOST = 256 << 10  # bytes; none that is written is larger
VERSION = 1
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)\Z")

Node = collections.namedtuple("Node", "seq")  # none; a node's values have no order of their own


class Unreadable(Exception):
    """A value or key that cannot be used; why is the word by which it is counted."""

    def __init__(self, why):
        super().__init__(why)
        self.why = why


class Status(collections.namedtuple("Status", "running healthy state started seq endpoints")):
    """One container's status; endpoints are container port -> "address:port"."""

    def addresses(self):
        return {parse_address(e) for e in self.endpoints.values()}


def text(v):
    return isinstance(v, str)


def truth(v):
    return isinstance(v, bool)


def whole(v):
    return isinstance(v, int) and not truth(v) and -(1 << 63) <= v < 1 << 63


def count(v):
    return isinstance(v, int) and not truth(v) and 0 <= v < 1 << 64


def texts(v):
    return isinstance(v, dict) and all(text(t) or t is None for t in v.values())


def moment(v):
    return text(v) and TIME.match(v) is not None


STATUS = {
    "id": text, "running": truth, "healthy": truth, "networks": texts, "extension": text, "v": whole, "name": text, "state": text,
    "reason": text, "detail": text, "endpoints": texts, "since": moment, "started": moment, "seq": count,
    "host": text, "port": whole, "ttl": whole, "targetstrip": whole,
}
AGENT = {"instance": text, "version": text, "started": moment, "machine": text, "state": text}
NODE = {"Nodename": text, "Podname": text, "Alive": truth, "agent": lambda v: isinstance(v, dict) and typed(v, AGENT)}


def typed(fields, types):
    """Known fields have the right types; null is as good as missing, and unknown ones are ignored."""
    return all(fields.get(name) is None or right(fields[name]) for name, right in types.items())


def parse_object(value, types):
    if len(value) > MOST:
        raise Unreadable("size")
    try:
        fields = json.loads(value.decode("utf-8", "replace"), parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Unreadable("json") from None
    if not isinstance(fields, dict) or not typed(fields, types):
        raise Unreadable("json")
    return fields


def refuse(word):
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(word)


def read_node(value):
    parse_object(value, NODE)
    return Node(0)


def read_status(container, value):
    """The status of a container, and whether an endpoint had to be left out."""
    fields = {k: v for k, v in parse_object(value, STATUS).items() if v is not None}
    if not 0 <= fields.get("v", 0) <= VERSION:
        raise Unreadable("version")
    running, healthy, state = fields.get("running", False), fields.get("healthy", False), fields.get("state", "")
    if fields.get("id", "") not in ("", container) or healthy and (not running or state not in ("healthy", "")):
        raise Unreadable("contradiction")
    named = fields.get("endpoints", {})
    endpoints = {port: e for port, e in named.items() if parse_address(e) is not None}
    return Status(running, healthy, state, fields.get("started"), fields.get("seq", 0), endpoints), len(endpoints) < len(named)


def parse_address(endpoint):
    """(IP, port) of "10.0.0.5:80" or "[fd00::5]:80"; None for what is no address of one host."""
    match = re.match(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})\Z", endpoint or "", re.ASCII)
    if match is None:
        return None
    try:
        ip = ipaddress.IPv6Address(match[1]) if match[1] else ipaddress.IPv4Address(match[2])
    except ValueError:
        return None
    ip = getattr(ip, "ipv4_mapped", None) or ip
    port = int(match[3])
    if not 1 <= port <= 65535 or ip.is_unspecified or ip.is_multicast or ip == ipaddress.IPv4Address("255.255.255.255"):
        return None
    return ip, port
