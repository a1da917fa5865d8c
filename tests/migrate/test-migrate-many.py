#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""200 migrations back and forth under load: two guests that write as fast as they can go in
opposite directions at the same time, and a third host asks for their disks meanwhile. Each
migration succeeds, each guest goes on each time, and the disks show no two writers (I1, I5, I6).

TEST_MOVES gives another number.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, requires, wait_until  # noqa: E402
from moving import Rsh, Thread  # noqa: E402

MOVES = int(os.environ.get("TEST_MOVES", "200"))

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()


class Traveller:
    """A guest that goes back and forth."""

    def __init__(self, lab, rsh, name, here, there):
        self.lab, self.rsh, self.name = lab, rsh, name
        self.here, self.there = here, there
        self.disk = lab.payload(name + ".img")
        self.moves, self.slowest, self.failures = 0, 0, []
        done = here.leasehold("run", *lab.guest(name, self.disk))
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def go(self, moves):
        while self.moves < moves and len(self.failures) < 3:
            begin = time.monotonic()
            failure = self._move()
            self.moves += 1
            self.slowest = max(self.slowest, time.monotonic() - begin)
            if failure:
                self.failures.append("%d, from %s: %s" % (self.moves, self.here.name, failure))
                return
            self.here, self.there = self.there, self.here

    def _move(self):
        """None, or what went wrong."""
        done = self.here.leasehold("migrate", self.name, self.there.name, "--rsh",
                                   self.rsh.command, timeout=120)
        if done.returncode != 0:
            return "status %d: %s" % (done.returncode, done.stderr)
        before = self.lab.payload_seq(self.disk)
        if not wait_until(40, lambda: self.lab.payload_seq(self.disk) > before):
            return "it does not go on: " + self.there.leasehold("show", self.name).stdout
        if not wait_until(40, self._settled):
            return "it does not settle: " + self.there.leasehold("show", self.name).stdout
        return None

    def _settled(self):
        show = self.there.leasehold("show", self.name).stdout
        return "running" in show and "reserved" not in show

    def end(self):
        for host in (self.here, self.there):
            host.leasehold("destroy", self.name)
        good, report = self.lab.check_payload(self.disk)
        tap.ok(good, self.name + ": the disk shows no two writers", report)


class Asker:
    """A third host, which gets nothing."""

    def __init__(self, host, disks):
        self.host, self.disks, self.stop = host, disks, False
        self.tries, self.taken = 0, []
        self.thread = Thread(self.loop)

    def loop(self):
        while not self.stop:
            for disk in self.disks:
                done = self.host.leasehold("exec", "--disk", disk, "--", "true")
                self.tries += 1
                if done.returncode not in (123, 124):
                    self.taken.append("%s: %d %s" % (disk, done.returncode, done.stderr))
            time.sleep(0.2)  # the load is to be the guests'

    def end(self):
        self.stop = True
        self.thread.wait()


with Lab("migrate-many") as lab:
    lab.store()
    alpha, beta, gamma = [lab.host(name, i) for i, name
                          in enumerate(("alpha", "beta", "gamma"), 1)]
    lab.join(alpha, beta, gamma)
    rsh = Rsh(lab)
    guests = [Traveller(lab, rsh, "east", alpha, beta), Traveller(lab, rsh, "west", beta, alpha)]
    asker = Asker(gamma, [guest.disk for guest in guests])
    threads = [Thread(lambda guest=guest: guest.go(MOVES // 2)) for guest in guests]
    for thread in threads:
        thread.wait(60 * MOVES)
    asker.end()
    for guest in guests:
        tap.ok(not guest.failures and guest.moves == MOVES // 2,
               "%s moved %d times" % (guest.name, MOVES // 2), *guest.failures)
        print("# %s: the slowest took %.1f s" % (guest.name, guest.slowest), flush=True)
        guest.end()
    tap.ok(asker.tries > 0 and not asker.taken, "a third host was refused each time",
           "%d tries" % asker.tries, *asker.taken[:5])

sys.exit(tap.done())
