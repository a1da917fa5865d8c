#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A supervisor, or QEMU, is killed at each numbered step of a migration, on either side. Whatever
it was: afterwards the guest runs on exactly one host, or on none if its QEMU was killed, and the
other says what became of it; nobody does more than ask. The disk shows no two writers (I5, I6).

The guests are command lines with locking=off, so that nothing but leases keeps anybody out.

Seen failing: with a new supervisor that resumes a guest whose word was given, as it does one whose
word was not (virMigrateOutRecover), it runs on both hosts after migrate:5.

test-migrate-steps-all.py runs every step; this one a subset that takes seconds.
"""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, alive, requires, wait_until  # noqa: E402
from moving import Rsh, Thread  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()
OUT = ["migrate:%d" % n for n in range(1, 7)]
IN = ["incoming:%d" % n for n in range(3, 12)] + ["settle:1", "settle:2"]
# The source's word has been given, and the destination has taken over: it runs there.
OVER = {"supervisor": ("migrate:5", "migrate:6", "incoming:11", "settle:1", "settle:2"),
        "qemu": ("migrate:5", "migrate:6", "incoming:11", "settle:1", "settle:2")}
SUBSET = (("alpha", "supervisor", "migrate:3"), ("alpha", "supervisor", "migrate:4"),
          ("alpha", "supervisor", "migrate:5"), ("beta", "supervisor", "incoming:7"),
          ("beta", "supervisor", "incoming:10"), ("beta", "supervisor", "incoming:11"),
          ("beta", "supervisor", "settle:1"), ("beta", "qemu", "incoming:9"))


class Move:
    """One guest that moves from alpha to beta, and is stopped at a step."""

    def __init__(self, lab, rsh, number):
        self.lab, self.rsh = lab, rsh
        self.alpha, self.beta = lab.hosts
        self.name = "web%d" % number
        self.disk = lab.payload(self.name + ".img")

    def start(self):
        self.source = self.alpha.run_stepped(*self.lab.guest(self.name, self.disk))
        assert self.goes_on(), "the guest does not write"

    def to(self, host, step):
        """Stands at @step of @host when it returns."""
        self.target = self.rsh.steps_of(self.beta) if host is self.beta else None
        self.move = self.alpha.popen("migrate", self.name, "beta", "--rsh", self.rsh.command)
        if self.target:
            self.pass_source = Thread(self.source_passes)
            self.target.until(step)
        else:
            self.source.until(step)

    def source_passes(self):
        while self.source.read():
            self.source.go()

    def goes_on(self):
        before = self.lab.payload_seq(self.disk)
        return wait_until(20, lambda: self.lab.payload_seq(self.disk) > before + 3)

    def kill(self, host, what):
        pids = host.qemu_pids() if what == "qemu" else host.pids("leasehold-supervisor")
        if pids:
            os.kill(min(pids), signal.SIGKILL)  # not its parked child
            assert wait_until(60, lambda: not alive(min(pids)))

    def let_go(self):
        if self.target:
            self.target.close()
        self.source.close()
        self.output = self.move.communicate(timeout=120)
        return self.move.returncode

    def ask(self):
        for host in self.lab.hosts:
            host.leasehold("attach", self.name)

    def states(self):
        """What each host says, and how many QEMUs it has."""
        return ["%s %d" % (state(host, self.name), len(host.qemu_pids()))
                for host in self.lab.hosts]

    def end(self):
        for host in self.lab.hosts:
            host.leasehold("destroy", self.name)
        good, report = self.lab.check_payload(self.disk)
        return tap.ok(good, self.name + ": the disk shows no two writers", report)


def state(host, name):
    for line in host.leasehold("show", name).stdout.splitlines():
        if line.startswith("State:"):
            return line.split(":", 1)[1].strip()
    return "none"


def one_runs(move):
    """What both hosts say, as soon as one of them or none runs it and nothing is left open."""
    move.ask()
    words = move.states()
    running = [word for word in words if word == "running 1"]
    over = [word for word in words if word.endswith(" 0") and word.split()[0] in ("shut-off", "none")]
    return words if len(running) + len(over) == 2 and len(running) <= 1 else None


def judge(move, host, victim, step):
    """Where it may be now: one host, that the storage chose."""
    what = "%s of %s killed at %s" % (victim, host.name, step)
    words = wait_until(40, lambda: one_runs(move))
    if not tap.ok(words, what + ": it is decided where it runs", move.states(), move.output,
                  *[h.leasehold("show", move.name).stdout for h in move.lab.hosts]):
        return
    where = [h.name for h, word in zip(move.lab.hosts, words) if word == "running 1"]
    expected = ["beta"] if step in OVER[victim] else ["alpha"]
    if victim == "qemu" and expected == [host.name]:
        expected = []
    tap.ok(where == expected, "%s: it runs on %s" % (what, " ".join(expected) or "neither"), words,
           move.output)
    if where:
        tap.ok(move.goes_on(), what + ": it writes on")


def strike(lab, rsh, number, name, victim, step):
    host = next(host for host in lab.hosts if host.name == name)
    move = Move(lab, rsh, number)
    move.start()
    move.to(host, step)
    move.kill(host, victim)
    move.let_go()
    judge(move, host, victim, step)
    move.end()


def main():
    cells = SUBSET
    if os.environ.get("TEST_MIGRATE_ALL"):
        cells = [("alpha", victim, step) for victim in ("supervisor", "qemu") for step in OUT] + \
                [("beta", "supervisor", step) for step in IN] + \
                [("beta", "qemu", step) for step in IN[IN.index("incoming:7"):]]
    if len(sys.argv) == 4:
        cells = [tuple(sys.argv[1:])]
    with Lab("migrate-steps") as lab:
        lab.store()
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        rsh = Rsh(lab)
        for number, cell in enumerate(cells):
            strike(lab, rsh, number, *cell)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
