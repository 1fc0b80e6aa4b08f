"""What a proxy may make of eru-agent's keys in etcd: a state machine without a clock and without a network.

Reader is told what etcd says and what time it is, and answers which servers get requests. It follows
status/testdata/vectors/README.md, section "The rules", rule by rule, and agrees with all of the vectors
(vectors.py). Keys are written without the prefix, times are seconds on any clock that only goes forward.
"""

import collections
import re

from value import Unreadable, read_node, read_status

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
BELIEVE_AFTER = 120  # seconds in which the agents write again what a read lacked

Key = collections.namedtuple("Key", "app entrypoint node id")
Scope = collections.namedtuple("Scope", "app entrypoint node", defaults=("", "", ""))
# endpoints are of the containers that are known, by ID.
Service = collections.namedtuple("Service", "ready drain none panic silent endpoints")
Doubt = collections.namedtuple("Doubt", "found since")

# What a container's status says about sending it requests.
OUT, STOPPED, DOUBTFUL, SERVING = range(4)


class Container:
    """One container, and what became of it so far."""

    def __init__(self, left):
        self.status = None
        self.inside = False  # it is of the last set
        self.left = left  # it was of a set before, and then was not
        self.passed = False  # in this life
        self.since = None  # when it was seen to become healthy; None while it is not

    def take(self, status, now):
        if self.status is not None and self.status.started != status.started:
            self.passed, self.since = False, None
            if not status.healthy:
                self.leave()
        self.status = status
        if not status.healthy:
            self.since = None
            self.passed = self.passed or status.state == "unhealthy"
        elif self.since is None:
            self.passed, self.since = True, now

    def leave(self):
        self.inside, self.left = False, self.left or self.inside

    def fitness(self):
        s = self.status
        if s.healthy:
            return SERVING
        if not s.running or s.state in ("stopped", "lost"):
            return STOPPED
        if s.state in ("starting", "draining", "paused") or not self.passed:
            return OUT
        return DOUBTFUL

    def held(self, hold, now):
        return self.left and not self.inside and now < self.since + hold

    def lives(self):
        return self.fitness() != STOPPED


class Pool:
    """The containers of one service, and which of them are the set."""

    def __init__(self):
        self.all = {}  # Key -> Container
        self.fresh = True  # it has had no set yet
        self.gone = {}  # Key -> when it was deleted, of those that had been in the set
        self.ready, self.panic = set(), False

    def decide(self, share, hold, now, taken):
        """Rules 1 to 5 of the set."""
        kinds = collections.Counter(c.fitness() for c in self.all.values())
        doubtful, serving = kinds[DOUBTFUL], kinds[SERVING]
        self.panic = doubtful > 0 and doubtful / (doubtful + serving) > share

        def those(fit):
            return {k for k, c in self.all.items() if fit(c)}

        ready = those(lambda c: c.fitness() == SERVING and not c.held(hold, now)) or those(lambda c: c.fitness() == SERVING)
        if self.panic:
            ready |= those(lambda c: c.fitness() == DOUBTFUL and (c.inside or self.fresh))
        members = ready
        if not ready and self.panic:
            ready = those(lambda c: c.fitness() == DOUBTFUL)
        elif not ready:
            ready = members = those(lambda c: c.fitness() == STOPPED and c.inside and not taken(c))
        for k, c in self.all.items():
            if k in members:
                c.inside = True
            else:
                c.leave()
        self.ready, self.fresh = ready, False
        self.gone = {k: at for k, at in self.gone.items() if now - at < hold}


class Reader:
    """What is known of etcd, and the services that follow from it."""

    def __init__(self, panic_share=0.5, hold=0, scope=Scope()):
        self.panic_share, self.hold, self.scope = panic_share, hold, scope
        self.nodes = set()  # whose agent is there
        self.seqs = {}  # key -> seq of the value that is known
        self.pools = {}  # (app, entrypoint) -> Pool
        self.doubted = {}  # key -> Doubt
        self.seen = 0  # the highest revision heard of
        self.unreadable = collections.Counter()
        self._counted = {}  # key -> revision of the value that was counted last
        self._raw = {}  # key -> (value, revision), for the copy

    # What etcd says.

    def listed(self, revision, pairs, now):
        """All keys at one revision: pairs is {key: (value, mod_revision)}."""
        past, there = revision < self.seen, False
        found = {}
        for key, (value, at) in pairs.items():
            self.doubted.pop(key, None)
            what = self._read(key, value, at)
            if what is not None:
                found[key], there = (what, value, at), True
        containers = any(not key.startswith("status:node/") for key in found)
        for key, (what, value, at) in found.items():
            old = self.seqs.get(key)
            self._tell(key, (what, value, at), not past or old is None or what.seq >= old, now)
        for key in [k for k in self.seqs if k not in pairs]:
            self._tell(key, None, not past and containers, now)
        for name in [n for n in self.nodes if "status:node/" + n not in pairs]:
            self._tell("status:node/" + name, None, not past and there, now)
        self.seen = revision
        self._decide(now)

    def watched(self, revision, puts, deletes, now):
        """The events of one revision: puts is {key: value}, deletes a list of keys."""
        self.seen = max(self.seen, revision)
        for key, value in puts.items():
            self.doubted.pop(key, None)
            what = self._read(key, value, revision)
            if what is not None:
                self._pass(key, (what, value, revision), now)
        for key in deletes:
            self.doubted.pop(key, None)
            self._counted.pop(key, None)
            self._pass(key, None, now)
        self._decide(now)

    def looked(self, revision, now):
        """etcd answers, and is at this revision. False: it has gone back in time, and has to be listed."""
        if revision < self.seen:
            return False
        for key, doubt in list(self.doubted.items()):
            k = self._parse(key)
            if k is not None and not self._present(k.node):
                doubt = self.doubted[key] = doubt._replace(since=now)  # nobody is there who could have written it
            if now - doubt.since >= BELIEVE_AFTER:
                self._pass(key, doubt.found, now)
        self._decide(now)
        return True

    def tick(self, now):
        """Time passes. next() says when this is needed."""
        self._decide(now)

    def next(self, now):
        """When time alone changes a set, or None."""
        due = [c.since + self.hold for p in self.pools.values() for c in p.all.values() if c.status.healthy and c.held(self.hold, now)]
        return min(due, default=None)

    # What follows.

    def services(self):
        """{"app/entrypoint": Service} of all services of which a container is known."""
        return {"/".join(name): self._show(pool) for name, pool in self.pools.items()}

    def copy(self):
        """What is known, to be written to disk as JSON, for Reader.restore."""
        keys = {}
        for key, (value, at) in self._raw.items():
            keys[key] = {"value": value.decode("utf-8", "surrogateescape"), "revision": at}
            k = self._parse(key)
            if k is not None:
                c = self.pools[k[:2]].all[k]
                keys[key].update({"in": c.inside, "left": c.left})
        return {"revision": self.seen, "scope": list(self.scope), "keys": keys}

    def restore(self, copy, now):
        """Begin with a copy, before anything is read from etcd. One of another scope is not used."""
        if Scope(*copy["scope"]) != self.scope:
            return
        for key, entry in copy["keys"].items():
            value, at = entry["value"].encode("utf-8", "surrogateescape"), entry["revision"]
            what = self._read(key, value, at)
            if what is None:
                continue
            self._pass(key, (what, value, at), now)
            k = self._parse(key)
            if k is not None:
                pool = self.pools[k[:2]]
                c = pool.all[k]
                pool.fresh = False
                c.inside, c.left, c.passed = entry["in"], entry["left"], c.passed or entry["in"]
        self.seen = copy["revision"]
        self._decide(now)

    # Inside.

    def _parse(self, key):
        """The Key of a container of the scope; None for anything else."""
        parts = key.split("/")
        if len(parts) != 5 or parts[0] != "status" or not all(NAME.match(p) for p in parts[1:]):
            return None
        k = Key(*parts[1:])
        holds = all(want in ("", got) for want, got in zip(self.scope, (k.app, k.entrypoint, k.node)))
        return k if holds else None

    def _read(self, key, value, revision):
        """What a key says; None where that cannot be read, which is counted once per revision, or is not of the scope."""
        try:
            if key.startswith("status:node/"):
                if not NAME.match(key[len("status:node/"):]):
                    raise Unreadable("key")
                return read_node(value)
            parts = key.split("/")
            if len(parts) != 5 or not all(NAME.match(p) for p in parts[1:]):
                raise Unreadable("key")
            k = self._parse(key)
            if k is None:
                return None
            status, left_out = read_status(k.id, value)
            if left_out:
                self._count(key, revision, "address")
            return status
        except Unreadable as e:
            self._count(key, revision, e.why)
            return None

    def _count(self, key, revision, why):
        if self._counted.get(key) != revision:
            self._counted[key] = revision
            self.unreadable[why] += 1

    def _tell(self, key, found, believed, now):
        """What a list says of a key: taken, or doubted."""
        if believed:
            self._pass(key, found, now)
        elif key not in self.doubted:
            self.doubted[key] = Doubt(found, now)

    def _pass(self, key, found, now):
        """Take what is found under a key, None for nothing."""
        self.doubted.pop(key, None)
        if found is None:
            self._raw.pop(key, None)
        else:
            self._raw[key] = found[1:]
        if key.startswith("status:node/"):
            name = key[len("status:node/"):]
            (self.nodes.discard if found is None else self.nodes.add)(name)
            return
        k = self._parse(key)
        if k is None:
            return
        if found is None:
            self._remove(key, k, now)
            return
        self.seqs[key] = found[0].seq
        pool = self.pools.setdefault(k[:2], Pool())
        if k not in pool.all:
            at = pool.gone.pop(k, None)
            pool.all[k] = Container(left=at is not None and now - at < self.hold)
        pool.all[k].take(found[0], now)

    def _remove(self, key, k, now):
        self.seqs.pop(key, None)
        pool = self.pools.get(k[:2])
        c = pool.all.pop(k, None) if pool else None
        if c is not None and (c.inside or c.left):
            pool.gone[k] = now

    def _decide(self, now):
        living = {a for p in self.pools.values() for c in p.all.values() if c.lives() for a in c.status.addresses()}
        for name, pool in list(self.pools.items()):
            if pool.all:
                pool.decide(self.panic_share, self.hold, now, lambda c: not living.isdisjoint(c.status.addresses()))
            else:
                del self.pools[name]

    def _present(self, node):
        return node in self.nodes and "status:node/" + node not in self.doubted

    def _show(self, pool):
        def ids(keys):
            return sorted(k.id for k in keys)

        drain = {k for k, c in pool.all.items() if c.status.state == "draining" and c.status.running and k not in pool.ready}
        none = set(pool.all) - pool.ready - drain
        return Service(
            ids(pool.ready), ids(drain), ids(none), pool.panic, ids(k for k in pool.all if k.node not in self.nodes),
            {k.id: c.status.endpoints for k, c in pool.all.items()},
        )
