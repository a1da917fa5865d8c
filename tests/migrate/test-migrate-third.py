#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""While a guest moves there and back, a third host asks for each of its disks in a tight loop, to
write and to read, and for the right to run it: hundreds of times, at every moment of all this,
and is refused each time (I5). The loops take the leases straight from the plugin, in a process
that lives as long as the test, so that one attempt is as short as sanlock can make it.

One of the disks has a backing file, which the guest only reads: the third host may read it, too.

Seen failing: with a plugin that does not look at the bridges (virSanlockTakeLookAtBridges), the
third host gets each of the leases in one of five tries.
"""

import json
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import TOP_BUILD, Lab, Tap, requires, search_path, wait_until  # noqa: E402
from moving import Rsh  # noqa: E402

REFUSED = (1, 2)  # VIR_LOCK_ERROR_BUSY; UNAVAILABLE: sanlock is at it for somebody else
ROUNDS = 2
HOLDER = os.path.join(TOP_BUILD, "tests/sanlock/holder")
PLUGIN = os.path.join(TOP_BUILD, "plugins/.libs/sanlock.so")

requires("sanlock", "qemu-system-x86_64", "qemu-img", "payload")
tap = Tap()


class Stranger(threading.Thread):
    """Wants a lease, and again, until it is told to stop."""

    def __init__(self, host, lease):
        super().__init__(daemon=True)
        self.lease, self.done = lease, False
        self.tries, self.taken, self.other = 0, 0, []
        self.holder = subprocess.Popen(
            [HOLDER, PLUGIN, "store=" + host.lab.file("store"), "lockspace=test",
             "host_id=%d" % host.host_id, "run_dir=%s/sl" % host.dir, "watchdog=unsafe-none",
             "state_dir=%s/state" % host.dir, "host=" + host.name, "name=stranger"],
            env=host.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, bufsize=1)
        self.holder.stdout.readline()  # "pid CHILD SELF"
        self.start()

    def say(self, line):
        self.holder.stdin.write(line + "\n")
        return self.holder.stdout.readline().split(None, 3)

    def run(self):
        while not self.done:
            answer = self.say("acquire " + self.lease)
            self.tries += 1
            if answer[0] == "ok":
                self.taken += 1
                self.say("release " + self.lease.partition(":")[0])
            elif int(answer[1]) not in REFUSED:
                self.other.append(" ".join(answer))

    def end(self):
        self.done = True
        self.join(30)
        self.holder.stdin.close()
        self.holder.wait(10)


def leases_of(host):
    """{"guest": name, PATH: name, ...} of the guest "web"."""
    said = json.loads(host.leasehold("show", "web", "--json").stdout)
    return {lease["path"]: lease["lease"] for lease in said["leases"]}


def settled(host):
    done = host.leasehold("show", "web")
    return done.returncode == 0 and "reserved" not in done.stdout and "running" in done.stdout


def overlay(lab):
    """An image with a backing file; a guest writes the one and reads the other."""
    base, top = lab.file("base.img"), lab.file("top.qcow2")
    with open(base, "wb") as out:
        out.truncate(1 << 20)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top],
                   check=True, timeout=60, env=dict(os.environ, PATH=search_path()))
    return base, top


def guest_of(lab):
    disk, second = lab.payload(), lab.payload("second.img")
    base, top = overlay(lab)
    guest = lab.guest("web", disk, second)
    guest[2:2] = ["--disk", top]
    guest += ["-drive", "file=%s,format=qcow2,if=virtio,cache=none,file.locking=off,"
              "backing.file.locking=off" % top]
    return guest, (disk, second, top), base


def main():
    with Lab("migrate-third") as lab:
        lab.store()
        alpha, beta, gamma = [lab.host(name, i) for i, name
                              in enumerate(("alpha", "beta", "gamma"), 1)]
        lab.join(alpha, beta, gamma)
        rsh = Rsh(lab)

        # given a running guest, and a third host that wants what it has
        guest, disks, base = guest_of(lab)
        done = alpha.leasehold("run", *guest)
        tap.ok(done.returncode == 0, "the guest runs on alpha", done.stderr)
        leases = leases_of(alpha)
        names = [name for name in leases.values()
                 if name != leases.get(base)]
        tap.ok(len(leases) == 5 and base in leases, "it has five leases, one of them shared",
               leases)
        strangers = [Stranger(gamma, name + mode) for name in names for mode in ("", ":sh")]
        reader = Stranger(gamma, leases[base] + ":sh")

        # when it moves there and back
        for source, target in [(alpha, beta), (beta, alpha)] * ROUNDS:
            before = [stranger.tries for stranger in strangers]
            done = source.leasehold("migrate", "web", target.name, "--rsh", rsh.command)
            tap.ok(done.returncode == 0, "it moves to " + target.name, done.stderr)
            tap.ok(wait_until(30, lambda t=target: settled(t)),
                   target.name + " holds the leases themselves",
                   target.leasehold("show", "web").stdout)
            # a loop that a busy machine left out meanwhile comes soon
            tap.ok(wait_until(10, lambda b=before: all(stranger.tries > tries for stranger, tries
                                                       in zip(strangers, b))),
                   "each loop asked all the while")

        # then the third host never got any of it, and could always read what is only read
        for stranger in strangers + [reader]:
            stranger.end()
        for stranger in strangers:
            tap.ok(stranger.taken == 0 and not stranger.other,
                   "%s was refused each time" % stranger.lease,
                   "%d tries, %d times not" % (stranger.tries, stranger.taken),
                   *stranger.other[:5])
        # two that begin to read at the same time are in each other's way for a moment
        tap.ok(reader.taken > reader.tries // 2, "the backing file could be read",
               "%d of %d" % (reader.taken, reader.tries), *reader.other[:5])
        print("# %d tries" % sum(stranger.tries for stranger in strangers), flush=True)
        alpha.leasehold("destroy", "web")
        good, report = lab.check_payload(disks[0])
        tap.ok(good, "the disk shows no two writers", report)
    return tap.done()


sys.exit(main())
