#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A migration that is cancelled at any moment, or loses its command and with it its channel, most
often when it is about to complete: the guest goes on here, or has gone and goes on there, alone, and
QEMU never ends (I6, I7). Nobody does anything about it: it goes on by itself.

test-migrate-cancel-all.py cancels 40 times; this one 4 times. TEST_CANCELS gives another number,
TEST_SEED other moments.

Seen failing: with a stream that is cancelled while the guest runs (virOutHoldStill), QEMU 7.2 aborts.
Bare QEMU did so in 32 of 600 cancels close to the completion, and in none of 1600 when the guest
stood still first. Here it takes luck: of three runs of 80 cancels one failed, at the 23rd, and one of
40 passed.
"""

import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, requires, wait_until  # noqa: E402
from moving import Rsh  # noqa: E402

ALL = os.environ.get("TEST_CANCEL_ALL") == "1"
CANCELS = int(os.environ.get("TEST_CANCELS", 40 if ALL else 4))
SEED = int(os.environ.get("TEST_SEED", "4711"))

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()
dice = random.Random(SEED)


class Guest:
    def __init__(self, lab, rsh, here, there):
        self.lab, self.rsh, self.here, self.there = lab, rsh, here, there
        self.disk = lab.payload("web.img")
        self.stayed = self.went = 0
        self.usual = 0
        done = here.leasehold("run", *lab.guest("web", self.disk))
        assert done.returncode == 0, done.stderr

    def state(self, host):
        done = host.leasehold("show", "web", "--json")
        return json.loads(done.stdout)["state"] if done.returncode == 0 else "none"

    def moves(self):
        """As nobody cancels it; how long that takes."""
        begin = time.monotonic()
        move = self.here.popen("migrate", "web", self.there.name, "--rsh", self.rsh.command)
        move.communicate(timeout=120)
        self.usual = time.monotonic() - begin
        return self.settles(move.returncode)

    def cancelled(self, asked):
        """Asked for by another command, or because the one that has the channel is killed."""
        move = self.here.popen("migrate", "web", self.there.name, "--rsh", self.rsh.command)
        time.sleep(self.usual * dice.uniform(0.5, 1))
        if asked:
            self.here.leasehold("migrate", "web", "--cancel")
        else:
            move.kill()
        move.communicate(timeout=120)
        return self.settles(move.returncode)

    def settles(self, status):
        """None, or what went wrong."""
        if not wait_until(20, lambda: self.runs() == 1):
            return "status %d: %s" % (status, self.shows())
        if self.state(self.there) == "running":
            self.here, self.there = self.there, self.here
            self.went += 1
        else:
            self.stayed += 1
        before = self.lab.payload_seq(self.disk)
        if not wait_until(20, lambda: self.lab.payload_seq(self.disk) > before):
            return "status %d, it does not go on: %s" % (status, self.shows())
        # what the other side began is undone, and what this one reserved is its own
        if not wait_until(60, self.is_alone):
            return "status %d, it does not settle: %s" % (status, self.shows())
        return None

    def runs(self):
        states = [self.state(host) for host in (self.here, self.there)]
        return states.count("running") if set(states) <= {"running", "none", "shut-off"} else -1

    def is_alone(self):
        show = self.here.leasehold("show", "web").stdout
        return "reserved" not in show and not self.there.qemu_pids() and \
            len(self.here.qemu_pids()) == 1

    def shows(self):
        return "\n".join(host.leasehold("show", "web").stdout for host in (self.here, self.there))


def main():
    with Lab("migrate-cancel") as lab:
        lab.store()
        alpha, beta = lab.host("alpha", 1), lab.host("beta", 2)
        lab.join(alpha, beta)
        guest = Guest(lab, Rsh(lab), alpha, beta)
        wrong = guest.moves()
        tap.ok(not wrong, "it moves, which takes its time", wrong)
        done = 0
        while done < CANCELS and not wrong:
            wrong = guest.cancelled(done % 2 == 0)
            done += 1
        tap.ok(not wrong, "cancelled %d times it goes on each time" % done, wrong)
        print("# seed %d: stayed %d, went %d" % (SEED, guest.stayed, guest.went), flush=True)
        for host in (alpha, beta):
            host.leasehold("destroy", "web")
        good, report = lab.check_payload(guest.disk)
        tap.ok(good, "the disk shows no two writers", report)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
