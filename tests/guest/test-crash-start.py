#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The crash matrix of a start: each process of it is killed or stopped before each step, and
afterwards the other host decides.

For every cell: given two hosts that share a store and a disk, when host alpha starts the guest
and {supervisor, child, lock daemon, command} gets {KILL, STOP} right before step N, then
  - I1: host beta gets the guest only if no process of alpha has the disk open;
  - I4, I8: the command never reports success unless the guest runs under its lease;
  - I9: the command ends; nothing is left that keeps alpha or beta from starting the guest.
At the very end the payload's checker reads the disk that all of them wrote: no two writers.

Seen to fail (I1 in the cells that kill the supervisor at steps 8 and 9) with the connection to
the lock daemon closed by exec, so that the leases were the supervisor's affair and not QEMU's.

test-crash-start-all.py runs every cell; this one a subset that takes seconds. What a killed lock
daemon does to a guest is in tests/domain_lock/test-daemon-gone.sh.
"""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Steps, Tap, alive, children, has_open, requires, strike  # noqa: E402
from lab import wait_until  # noqa: E402

ALL = os.environ.get("TEST_CRASH_ALL") == "1"
STEPS = range(1, 11)
SUBSET = [(1, "supervisor", "KILL"), (3, "supervisor", "KILL"), (4, "supervisor", "KILL"),
          (5, "supervisor", "KILL"), (7, "supervisor", "KILL"), (8, "supervisor", "KILL"),
          (9, "supervisor", "KILL"), (4, "child", "KILL"), (7, "child", "KILL"),
          (8, "child", "KILL"), (4, "command", "KILL"), (7, "command", "KILL"),
          (5, "supervisor", "STOP"), (7, "child", "STOP"), (4, "daemon", "STOP")]

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()


class Cell:
    """One cell of the matrix."""

    def __init__(self, alpha, beta, guest, disk, step, victim, sig):
        self.alpha, self.beta, self.guest, self.disk = alpha, beta, guest, disk
        self.lab = alpha.lab
        self.step, self.victim, self.sig = step, victim, sig
        self.name = "start:%d, %s gets %s" % (step, victim, sig)

    def pid_of_victim(self):
        if self.victim == "command":
            return self.command.pid
        if self.victim == "daemon":
            return self.alpha.daemon.pid
        if self.victim == "supervisor":
            return self.alpha.supervisor()
        return next(iter(children(self.alpha.supervisor())), None)  # it has one child

    def writers(self):
        return [pid for pid in self.alpha.pids() if alive(pid) and has_open(pid, self.disk)
                and pid not in self.alpha.pids("leasehold")]

    def strike(self):
        steps = Steps()
        self.command = self.alpha.popen("run", *self.guest, steps=steps)
        steps.until("start:%d" % self.step)
        pid = self.pid_of_victim()
        if pid is None:
            raise AssertionError("no %s before step %d" % (self.victim, self.step))
        strike(pid, self.sig)
        steps.close()
        if self.sig == "STOP":
            self.judge("while it is stopped")
            os.kill(pid, signal.SIGCONT)

    def judge(self, when):
        """Beta tries to take the guest: I1."""
        done = self.beta.leasehold("run", *self.guest)
        writers = self.writers()
        tap.ok(not (done.returncode == 0 and writers), "%s: %s: one writer (I1)"
               % (self.name, when), "beta: %d %s" % (done.returncode, done.stderr), writers)
        tap.ok(done.returncode in (0, 3, 4), "%s: %s: beta runs it or is refused by name"
               % (self.name, when), "exit status %d: %s" % (done.returncode, done.stderr))
        if done.returncode == 0:
            self.beta.leasehold("destroy", "crash")
        return done

    def ended(self):
        """The command ended by itself, and told the truth."""
        out, errors = self.command.communicate(timeout=90)
        status = self.command.returncode
        # at the last step it runs, and is killed after it did
        ran = bool(self.alpha.qemu_pids()) or (self.step == 10 and self.victim == "child")
        tap.ok(status != 0 or ran, self.name + ": success means that it runs (I8)",
               out, errors)
        if self.victim == "supervisor" and self.sig == "KILL":
            tap.ok(status not in (0, -signal.SIGKILL), self.name + ": the command says so",
                   "exit status %d: %s" % (status, errors))

    def clean(self):
        """Nothing needs hand surgery: after a destroy both hosts can start it."""
        self.alpha.leasehold("destroy", "crash")
        wait_until(10, lambda: not self.writers())
        for host in (self.beta, self.alpha):
            before = self.lab.payload_seq(self.disk)
            done = host.leasehold("run", "--timeout", "10", *self.guest)
            tap.ok(done.returncode == 0, "%s: afterwards %s can start it" % (self.name, host.name),
                   "exit status %d: %s" % (done.returncode, done.stderr))
            wait_until(10, lambda: self.lab.payload_seq(self.disk) > before + 3)
            host.leasehold("destroy", "crash")

    def run(self):
        self.strike()
        self.ended()
        self.judge("at the end")
        self.clean()


def cells():
    if not ALL:
        return SUBSET
    found = []
    for step in STEPS:
        for victim in ("supervisor", "child", "command", "daemon"):
            if victim == "child" and step < 4 or victim == "daemon":
                continue
            found += [(step, victim, sig) for sig in ("KILL", "STOP")]
        found.append((step, "daemon", "STOP"))
    return found


with Lab("crash") as lab:
    lab.store()
    alpha, beta = lab.host("alpha", 1), lab.host("beta", 2)
    lab.join(alpha, beta)
    disk = lab.payload()
    guest = lab.guest("crash", disk)
    for cell in cells():
        try:
            Cell(alpha, beta, guest, disk, *cell).run()
        except (AssertionError, OSError) as failure:
            tap.ok(False, "start:%d, %s gets %s" % cell, failure)
            alpha.leasehold("destroy", "crash")
    good, report = lab.check_payload(disk)
    tap.ok(good, "the disk shows no two writers", report)

sys.exit(tap.done())
