"""etcd by its JSON gateway: a list at one revision, a watch from the next one on, and its revision when asked."""

import base64
import http.client
import json
import queue
import socket
import threading
import time
import urllib.parse

PAGE = 500  # keys of one answer
PATIENCE = 5  # seconds for an answer
LOOK_EVERY = 10  # seconds between two looks at etcd's revision


class Lost(Exception):
    """etcd cannot be followed: list again."""


def coded(key):
    return base64.b64encode(key).decode()


def decoded(field):
    return base64.b64decode(field or "")


def end_of(prefix):
    """The first key after all that begin with prefix, which ends in no 0xff."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


class Gateway:
    """One etcd; url is http://host:port."""

    def __init__(self, url, prefix):
        parts = urllib.parse.urlsplit(url)
        self.kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.host, self.root = parts.netloc, prefix.encode() + b"/"

    def open(self, path, body):
        """A connection and the answer that begins on it. One that has no leader is no answer."""
        connection = self.kind(self.host, timeout=PATIENCE)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", "Grpc-Metadata-hasleader": "true"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise Lost(f"etcd answers {path} with {answer.status}: {answer.read(200)!r}")
        except (OSError, http.client.HTTPException) as e:
            connection.close()
            raise Lost(f"asking {path}: {e}") from e
        except Lost:
            connection.close()
            raise
        return connection, answer

    def call(self, path, body):
        connection, answer = self.open(path, body)
        try:
            return json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise Lost(f"reading the answer of {path}: {e}") from e
        finally:
            connection.close()

    def range(self, prefix, revision):
        """All keys below one prefix, and the revision: of all pages the same."""
        pairs, start, more = {}, self.root + prefix, True
        while more:
            body = {"key": coded(start), "range_end": coded(end_of(self.root + prefix)), "limit": PAGE, "revision": revision}
            answer = self.call("/v3/kv/range", body)
            revision = revision or int(answer["header"]["revision"])
            for kv in answer.get("kvs", []):
                start = decoded(kv["key"]) + b"\0"
                pairs[self.name(kv)] = (decoded(kv.get("value")), int(kv["mod_revision"]))
            more = answer.get("more", False)
        return pairs, revision

    def list(self, scope):
        """All that a reader of scope needs, at one revision."""
        pairs, revision = self.range(containers(scope), 0)
        nodes, _ = self.range(b"status:node/", revision)
        return {**pairs, **nodes}, revision

    def revision(self):
        """That of etcd now, agreed on by its quorum."""
        return int(self.call("/v3/kv/range", {"key": coded(self.root), "count_only": True})["header"]["revision"])

    def name(self, kv):
        return decoded(kv["key"])[len(self.root):].decode("utf-8", "backslashreplace")


def containers(scope):
    path = "status/" + "".join(part + "/" for part in (scope.app, scope.app and scope.entrypoint) if part)
    return path.encode()


class Watch:
    """Both prefixes from a revision on, on one stream, so that one revision's events come together."""

    def __init__(self, gateway, scope, revision):
        self.gateway, self.found = gateway, queue.Queue()
        # One watch over all that begins with "status" keeps revisions whole; what is not of the scope is passed over.
        start, end = gateway.root + b"status", gateway.root + b"statut"
        body = {"create_request": {"key": coded(start), "range_end": coded(end), "start_revision": revision, "progress_notify": True}}
        self.connection, self.answer = gateway.open("/v3/watch", body)
        self.connection.sock.settimeout(None)  # it may be silent for long; follow looks elsewhere whether etcd is there
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            for line in self.answer:
                self.found.put(json.loads(line))
            self.found.put(Lost("etcd ended the watch"))
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as e:
            self.found.put(Lost(f"watching: {e}"))

    def next(self, wait):
        """The next answer, or None after wait seconds."""
        try:
            found = self.found.get(timeout=max(wait, 0))
        except queue.Empty:
            return None
        if isinstance(found, Lost):
            raise found
        result = found.get("result")
        if result is None or result.get("canceled") or int(result.get("compact_revision", 0)):
            raise Lost(f"etcd ended the watch: {found.get('error') or result}")
        return result

    def close(self):
        try:
            self.connection.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread
        except (OSError, AttributeError):
            pass  # the other end was first
        self.thread.join()
        self.connection.close()


def by_revision(gateway, events):
    """The events of an answer, those of one revision together: (revision, puts, deletes)."""
    groups = {}
    for event in events:
        kv = event["kv"]
        if not gateway.name(kv).startswith(("status/", "status:node/")):
            continue
        puts, deletes = groups.setdefault(int(kv["mod_revision"]), ({}, []))
        if event.get("type") == "DELETE":
            deletes.append(gateway.name(kv))
        else:
            puts[gateway.name(kv)] = decoded(kv.get("value"))
    return [(revision, *groups[revision]) for revision in sorted(groups)]


def follow(gateway, reader, changed):
    """List, and watch until that ends with Lost. changed is called after each step."""
    pairs, revision = gateway.list(reader.scope)
    reader.listed(revision, pairs, time.monotonic())
    changed()
    watch = Watch(gateway, reader.scope, revision + 1)
    try:
        look = time.monotonic() + LOOK_EVERY
        while True:
            now = time.monotonic()
            if now >= look:
                if not reader.looked(gateway.revision(), time.monotonic()):
                    raise Lost("etcd went back in time")
                look = time.monotonic() + LOOK_EVERY
            due = reader.next(now)
            result = watch.next(min(look, due or look) - now)
            now = time.monotonic()
            for at, puts, deletes in by_revision(gateway, result.get("events", []) if result else []):
                reader.watched(at, puts, deletes, now)
            reader.tick(now)
            changed()
    finally:
        watch.close()
