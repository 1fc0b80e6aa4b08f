#!/usr/bin/env python3
"""Runs the conformance vectors: vectors.py [FOLDER]. Exit code 1 if one does not agree."""

import glob
import json
import os
import re
import sys

from reader import Reader, Scope

LOOK_EVERY = 10  # seconds; how often a reader asks etcd for its revision
UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}


def seconds(duration):
    return sum(float(n) * UNITS[unit] for n, unit in re.findall(r"([\d.]+)(ms|h|m|s)", duration))


def value(v):
    b = json.dumps(v["json"]).encode() if "json" in v else v.get("text", "").encode()
    return b.ljust(v.get("size", 0))


class Run:
    """One case on its way."""

    def __init__(self, values, options):
        self.values, self.options = values, options
        self.now, self.revision, self.lost = 1e9, 0, False
        self.begin()

    def begin(self):
        o = self.options
        self.reader = Reader(o.get("panic_share", 0.5), seconds(o.get("hold", "0s")), Scope(**o.get("scope", {})))

    def step(self, s):
        """Do a step, and return what is not as expected."""
        if "revision" in s:
            self.revision = s["revision"]
        else:
            self.revision += 1
        if "list" in s:
            self.lost = False
            self.reader.listed(self.revision, {k: (value(self.values[v]), self.revision) for k, v in s["list"].items()}, self.now)
        elif "put" in s or "delete" in s:
            puts = {k: value(self.values[v]) for k, v in s.get("put", {}).items()}
            self.reader.watched(self.revision, puts, s.get("delete", []), self.now)
        elif "lost" in s:
            self.lost = True
        elif "wait" in s:
            self.wait(seconds(s["wait"]))
        elif s["restart"] == "with copy":
            copy = json.loads(json.dumps(self.reader.copy()))
            self.begin()
            self.reader.restore(copy, self.now)
        else:
            self.begin()
        return self.compare(s)

    def wait(self, duration):
        end, look = self.now + duration, self.now + LOOK_EVERY
        while self.now < end:
            due = self.reader.next(self.now)
            self.now = min(t for t in (end, look, due) if t is not None)
            look = self.now + LOOK_EVERY if self.now >= look else look
            self.reader.tick(self.now)
            if not self.lost:
                self.reader.looked(max(self.revision, self.reader.seen), self.now)

    def compare(self, s):
        wrong = []
        if "expect" in s:
            got = {name: shown(service, s["expect"].get(name, {})) for name, service in self.reader.services().items()}
            want = {name: {**EMPTY, **w} for name, w in s["expect"].items()}
            if got != want:
                wrong.append(f"got {got}\nwant {want}")
        if "unreadable" in s and dict(self.reader.unreadable) != s["unreadable"]:
            wrong.append(f"counted {dict(self.reader.unreadable)}, want {s['unreadable']}")
        return wrong


EMPTY = {"ready": [], "drain": [], "none": [], "panic": False}


def shown(service, want):
    """A service as far as want asks."""
    got = {name: getattr(service, name) for name in EMPTY}
    if "silent" in want:
        got["silent"] = service.silent
    if "endpoints" in want:
        got["endpoints"] = {i: e for i, e in service.endpoints.items() if i in want["endpoints"]}
    return got


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../status/testdata/vectors")
    cases = failed = 0
    for name in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(name, encoding="utf-8") as f:
            topic = json.load(f)
        for case in topic["cases"]:
            cases += 1
            run = Run(topic["values"], case.get("reader", {}))
            wrong = [f"step {i} ({s.get('why', '')}): {w}" for i, s in enumerate(case["steps"], 1) for w in run.step(s)]
            if wrong:
                failed += 1
                print(f"{os.path.basename(name)}: {case['name']}:", *wrong, sep="\n")
    print(f"{cases - failed} of {cases} cases agree")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
