#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest is suspended while it is between two hosts: it stands still wherever it is then, or the
command says that it was not suspended. Nobody is told that a guest is suspended which runs.

Seen failing: with a suspend that is noted on the source although the guest was handed over
(virDomainLockPause), the command succeeds after the word, and the guest runs on beta.
"""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, requires, wait_until  # noqa: E402
from moving import Rsh  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()


class Guest:
    """One that has begun to go from alpha to beta, and stands at a step of the source."""

    def __init__(self, lab, rsh, name, step):
        self.lab, self.name = lab, name
        self.alpha, self.beta = lab.hosts
        self.disk = lab.payload(name + ".img")
        self.steps = self.alpha.run_stepped(*lab.guest(name, self.disk))
        assert self.writes(), "the guest does not write"
        self.move = self.alpha.popen("migrate", name, "beta", "--rsh", rsh.command)
        self.steps.until(step)

    def arrives(self):
        self.steps.close()
        _, errors = self.move.communicate(timeout=120)
        return tap.ok(self.move.returncode == 0, self.name + ": it arrives", errors, self.shown())

    def state(self, host):
        done = host.leasehold("show", self.name, "--json")
        return json.loads(done.stdout)["state"] if done.returncode == 0 else "none"

    def shown(self):
        return "\n".join(host.leasehold("show", self.name).stdout
                         for host in (self.alpha, self.beta))

    def writes(self):
        before = self.lab.payload_seq(self.disk)
        return wait_until(20, lambda: self.lab.payload_seq(self.disk) > before + 3)

    def stands(self):
        before = self.lab.payload_seq(self.disk)
        time.sleep(0.3)  # in which it would have written
        return self.lab.payload_seq(self.disk) == before

    def end(self):
        self.beta.leasehold("destroy", self.name)
        good, report = self.lab.check_payload(self.disk)
        tap.ok(good, self.name + ": the disk shows no two writers", report)


def before_the_word(lab, rsh):
    # given a guest whose memory has gone, when it is suspended before the source gives its word
    guest = Guest(lab, rsh, "before", "migrate:4")
    done = guest.alpha.leasehold("suspend", guest.name)
    tap.ok(done.returncode == 0, "before the word it is suspended", done.stderr)
    # then it arrives like that, and goes on when somebody says so
    guest.arrives()
    tap.ok(guest.state(guest.beta) == "paused" and guest.stands(), "it arrives suspended",
           guest.shown())
    done = guest.beta.leasehold("resume", guest.name)
    tap.ok(done.returncode == 0 and guest.writes(), "and is resumed there", done.stderr)
    guest.end()


def after_the_word(lab, rsh):
    # given a guest that runs on beta, of which alpha still shows that it was yielded
    guest = Guest(lab, rsh, "after", "migrate:6")
    # when it is suspended on alpha, then that is refused, and where it is now is said
    done = guest.alpha.leasehold("suspend", guest.name)
    tap.ok(done.returncode == 1 and "yielded to host 'beta'" in done.stderr,
           "after the word it is not suspended here, and that is said",
           "status %d: %s" % (done.returncode, done.stderr))
    guest.arrives()
    tap.ok(guest.state(guest.beta) == "running" and guest.writes(), "it runs on beta",
           guest.shown())
    done = guest.beta.leasehold("suspend", guest.name)
    tap.ok(done.returncode == 0 and guest.stands(), "and is suspended there", done.stderr)
    guest.end()


with Lab("migrate-suspend") as lab:
    lab.store()
    lab.join(lab.host("alpha", 1), lab.host("beta", 2))
    rsh = Rsh(lab)
    before_the_word(lab, rsh)
    after_the_word(lab, rsh)

sys.exit(tap.done())
