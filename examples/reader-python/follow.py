#!/usr/bin/env python3
"""Follows an etcd and prints the set of servers of one service, or writes it as a file for a proxy.

  follow.py APP ENTRYPOINT [--etcd URL] [--prefix /eru] [--port 80]
            [--format lines|nginx|map] [--output FILE] [--run COMMAND]

Without --output each set is a line on standard output. With it the file is replaced in one step, and --run (a
reload, say) is run after it. Speaks etcd's JSON gateway (/v3/kv/range, /v3/watch) with the standard library alone.
"""

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time

from gateway import Gateway, Lost, follow
from reader import Reader, Scope


def addresses(service, port):
    """ID -> address of the servers that get requests."""
    found = {}
    for container in service.ready if service else []:
        endpoints = service.endpoints[container]
        address = endpoints.get(port) if port else next((endpoints[p] for p in sorted(endpoints)), None)
        if address:
            found[container] = address
    return found


def lines(name, servers):
    return name + " " + (" ".join(servers[c] for c in sorted(servers)) or "-") + "\n"


def nginx(name, servers):
    """An upstream; nginx refuses one without a server, so that one answers 502 at once."""
    body = [f"\tserver {servers[c]} max_fails=0; # {c[:12]}" for c in sorted(servers)] or ["\tserver 127.0.0.1:9 down;", "\tserver 127.0.0.1:9;"]
    return "upstream " + name.replace("/", "_") + " {\n" + "\n".join(body) + "\n}\n"


def haproxy_map(name, servers):
    """A map file of HAProxy: server -> address."""
    return "".join(f"{name}/{c[:12]} {servers[c]}\n" for c in sorted(servers))


FORMATS = {"lines": lines, "nginx": nginx, "map": haproxy_map}


def replace(path, content):
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # interrupted when it was in place already
            os.unlink(temporary)
        raise


class Outlet:
    """Tells a proxy of each set that differs from the last."""

    def __init__(self, options):
        self.options, self.name, self.told = options, options.app + "/" + options.entrypoint, None

    def show(self, reader):
        content = FORMATS[self.options.format](self.name, addresses(reader.services().get(self.name), self.options.port))
        if content == self.told:
            return
        self.told = content
        if not self.options.output:
            print(content, end="", flush=True)
            return
        replace(self.options.output, content)
        if self.options.run:
            subprocess.run(shlex.split(self.options.run), check=False)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("app")
    p.add_argument("entrypoint")
    p.add_argument("--etcd", default="http://127.0.0.1:2379")
    p.add_argument("--prefix", default="/eru")
    p.add_argument("--port", help="the container's port; without it the first that is published")
    p.add_argument("--format", choices=FORMATS, default="lines")
    p.add_argument("--output")
    p.add_argument("--run")
    return p.parse_args()


def main():
    o = options()
    reader, outlet = Reader(scope=Scope(o.app, o.entrypoint)), Outlet(o)
    etcd = Gateway(o.etcd, o.prefix)
    while True:
        try:
            follow(etcd, reader, lambda: outlet.show(reader))
        except Lost as e:
            print(f"keeping what is known: {e}", file=sys.stderr, flush=True)
            time.sleep(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
