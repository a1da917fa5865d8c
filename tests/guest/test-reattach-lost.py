#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-reattach-lost.py: leases that went while a guest had no supervisor. What can be taken
again, because nobody used the image since, is; else QEMU is killed before anything else is done.

Seen failing: without the comparison of epochs the guest whose disk was used since is taken up
and goes on; without the kill for a missing run lease the QEMU that holds nothing goes on; with
an explicit lease looked for like an image its guest is killed.
"""

import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, alive, requires, wait_until  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()


class Guest:
    """A guest without image locks, whose supervisor is dead. With @key: a described one, with
    an explicit lease."""

    def __init__(self, lab, name, key=None):
        self.lab, self.name = lab, name
        self.alpha, self.beta = lab.hosts[:2]
        self.disk = lab.payload(name + ".img")
        self.args = [lab.domain(name, self.disk)[0]] if key else lab.guest(name, self.disk)
        done = self.alpha.leasehold("run", *self.args)
        assert done.returncode == 0, done.stderr
        if key:
            done = self.alpha.leasehold("attach-lease", name, "--key", key)
            assert done.returncode == 0, done.stderr
        shown = self.show()
        self.qemu = shown["pid"]
        os.kill(shown["supervisor_pid"], signal.SIGKILL)
        assert wait_until(10, lambda: self.show()["state"] == "unsupervised")

    def show(self):
        return json.loads(self.alpha.leasehold("--json", "show", self.name).stdout)

    def attach(self):
        return self.alpha.leasehold("attach", self.name)

    def owners(self, what=None):
        done = self.beta.leasehold("--json", "who", what or self.disk)
        return json.loads(done.stdout)["owners"]

    def sanlock(self, *args):
        done = subprocess.run(["sanlock", "client", *args], env=self.alpha.environment(),
                              capture_output=True, text=True, timeout=30, check=True)
        return done.stdout

    def resources(self):
        lines = [line.split() for line in self.sanlock("status").splitlines()]
        return [words for words in lines if words[:1] == ["r"]]

    def take_away(self, prefix):
        """Releases QEMU's lease behind everybody's back."""
        for words in self.resources():
            if words[-1] == str(self.qemu) and words[1].split(":")[1].startswith(prefix):
                # the version of the lease is no part of its name
                self.sanlock("release", "-r", words[1].rpartition(":")[0], "-p", str(self.qemu))
                return
        raise AssertionError("QEMU has no such lease")

    def killed(self, what, done, *words):
        tap.ok(done.returncode == 1 and all(word in done.stderr for word in words),
               what + ": the attach fails and says why", done.returncode, done.stderr)
        tap.ok(wait_until(10, lambda: not alive(self.qemu)), what + ": QEMU was killed")
        wait_until(10, lambda: self.show()["state"] == "shut-off")
        shown = self.show()
        tap.ok(shown["state"] == "shut-off" and shown["reason"] == "lease-lost",
               what + ": and the record says so", shown)


def taken_again(lab):
    guest = Guest(lab, "again")
    guest.take_away("disk-")
    assert not guest.owners()
    done = guest.attach()
    tap.ok(done.returncode == 0 and "was taken again" in done.stdout and alive(guest.qemu) and
           len(guest.owners()) == 1, "unused: the lease is taken again, and that is said",
           done.stdout, done.stderr, guest.owners())
    guest.alpha.leasehold("destroy", "again")


def explicit(lab):
    guest = Guest(lab, "explicit", key="by-agreement")
    guest.take_away("lease-")
    assert not guest.owners("by-agreement")
    done = guest.attach()
    tap.ok(done.returncode == 0 and "was taken again" in done.stdout and alive(guest.qemu) and
           len(guest.owners("by-agreement")) == 1, "an explicit lease is taken again, too",
           done.stdout, done.stderr, guest.owners("by-agreement"))
    guest.alpha.leasehold("destroy", "explicit")


def used_since(lab):
    guest = Guest(lab, "used")
    guest.take_away("disk-")
    done = guest.beta.leasehold("exec", "--disk", guest.disk, "--", "true")
    assert done.returncode == 0, done.stderr
    guest.killed("used since", guest.attach(), guest.disk, "epoch")
    tap.ok(not guest.owners(), "used since: its lease is free", guest.owners())


def used_now(lab):
    guest = Guest(lab, "now")
    guest.take_away("disk-")
    other = guest.beta.popen("exec", "--disk", guest.disk, "--", "sleep", "60")
    assert wait_until(10, guest.owners)
    guest.killed("used now", guest.attach(), guest.disk, "beta")
    other.terminate()
    other.communicate(timeout=10)


def stray(lab):
    """A lease that QEMU holds, and nobody knows why: somebody took it with sanlock's command."""
    guest = Guest(lab, "stray")
    image = lab.payload("stray-image.img")
    other = guest.alpha.popen("exec", "--disk", image, "--", "sleep", "60")
    known = set()

    def found():
        known.update(words[1].rpartition(":")[0] for words in guest.resources()
                     if words[-1] != str(guest.qemu) and ":disk-" in words[1])
        return known

    assert wait_until(10, found)
    other.terminate()
    other.communicate(timeout=20)
    lease = known.pop()

    def taken():
        """The command says nothing of one that is held still by what is ending."""
        guest.sanlock("acquire", "-r", lease, "-p", str(guest.qemu))
        return any(words[1].rpartition(":")[0] == lease and words[-1] == str(guest.qemu)
                   for words in guest.resources())

    assert wait_until(20, taken), "QEMU does not get the lease"
    done = guest.attach()
    owners = json.loads(guest.beta.leasehold("--json", "who", image).stdout)["owners"]
    tap.ok(done.returncode == 0 and "nothing tells for which image" in done.stdout and
           alive(guest.qemu) and len(owners) == 1,
           "a lease that nobody knows: it is named, and stays held", done.stdout, done.stderr, owners)
    guest.alpha.leasehold("destroy", "stray")
    owners = json.loads(guest.beta.leasehold("--json", "who", image).stdout)["owners"]
    tap.ok(not owners, "a lease that nobody knows: it ends with QEMU", owners)


def run_lease(lab):
    guest = Guest(lab, "right")
    guest.take_away("guest-")
    guest.killed("without the run lease", guest.attach(), "the right to run")


def daemon_restarted(lab):
    guest = Guest(lab, "restarted")
    guest.alpha.kill_daemon()
    done = guest.attach()
    # whose supervisor has said why it cannot, and ends a moment later
    tap.ok(done.returncode == 4 and alive(guest.qemu) and
           wait_until(10, lambda: guest.show()["state"] == "unsupervised"),
           "no daemon: nothing is known, so nothing is done", done.returncode, done.stderr, guest.show())
    guest.alpha.start_daemon()
    guest.killed("another daemon", guest.attach(), "the right to run")


def main():
    with Lab("reattach-lost") as lab:
        lab.store()
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        for case in (taken_again, explicit, used_since, used_now, stray, run_lease,
                     daemon_restarted):
            with tap.case(case.__name__):
                case(lab)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
