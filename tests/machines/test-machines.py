#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-machines.py: two hosts that are virtual machines, as they stand in the field: the store and
the guest's disk are SCSI disks that both have, known by their WWN, the store's one with sectors of
4096 bytes; sanlock runs with the priority and the watchdog that it has on a real host; the guest
moves over a network.

Then hosts are lost, in real time at io_timeout 2: one has its power cut, one loses its storage
with the guest on it, of one the lock daemon is killed. Each time the guest goes on at the other
one after the time that was told, never before the first one has stopped writing, and what does
not end by itself is ended by the watchdog of its host.
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
# pylint: disable=wrong-import-position
import lab as testlab  # noqa: E402
import machine  # noqa: E402
from machine import DISK, STORE, by_id, domain  # noqa: E402

IO_TIMEOUT = 2
# A host is dead 8 * io_timeout + 60 s after its last renewal (sanlock.md of its own source).
DEAD_SEC = 8 * IO_TIMEOUT + 60
BUSY = 3  # exit status of a refusal

tap = testlab.Tap()


class Site:
    """The two hosts and what they share."""

    def __init__(self, lab):
        self.lab, self.made = lab, machine.build()
        self.store, self.disk = lab.file("store.img"), lab.payload("disk.img")
        with open(self.store, "wb") as out:
            out.truncate(640 << 20)  # 8 MiB for each lease

    def power_on(self, name, number):
        disks = [(self.store, STORE, 4096), (self.disk, DISK, 512)]
        return machine.Machine(self.lab, self.made, name, number, disks if number == 1 else disks[::-1])

    def set_up(self, host):
        host.wait_ready()
        host.write("/run/leasehold.conf", machine.config(
            host.number, "lockspace = site", "", "[migrate]", "address = " + host.name))
        host.write("/run/web.xml", domain())
        host.shell("(wdmd -D -H 0 -G root >/run/wdmd.log 2>&1 &)"
                   "; for i in $(seq 100); do grep -q armed /run/wdmd.log && break; sleep .1; done")
        host.start_sanlock()

    def join(self, *hosts):
        joins = [host.start("leasehold", "host", "join", "-q") for host in hosts]
        for host, join in zip(hosts, joins):
            done = host.finish(join)
            assert done.returncode == 0, done.stderr

    def seq(self):
        return self.lab.payload_seq(self.disk)

    def writes(self, seconds=30):
        """Whether the guest writes, wherever it is."""
        before = self.seq()
        return testlab.wait_until(seconds, lambda: self.seq() > before + 3)

    def judge(self, what):
        good, report = self.lab.check_payload(self.disk)
        tap.ok(good, what, report)


def check_set_up(site, alpha, beta):
    told = [host.leasehold("identify", by_id(DISK)).stdout for host in (alpha, beta)]
    tap.ok("the WWN that it reports" in told[0] and told[0] == told[1],
           "two hosts know a disk by its WWN", *told)

    made = alpha.leasehold("store", "create", by_id(STORE), "--lockspace", "site", "--io-timeout",
                           str(IO_TIMEOUT))
    tap.ok(made.returncode == 0, "an empty block device becomes a store", made.stderr)
    site.join(alpha, beta)
    doctor = beta.leasehold("doctor")
    tap.ok(doctor.returncode == 0 and "uses the watchdog" in doctor.stdout,
           "a host with a watchdog is healthy", doctor.stdout, doctor.stderr)


def check_guest(site, alpha, beta):
    done = alpha.leasehold("run", "/run/web.xml")
    tap.ok(done.returncode == 0 and site.writes(), "a guest runs on a block device", done.stderr)
    done = beta.leasehold("run", "/run/web.xml")
    tap.ok(done.returncode == BUSY and "held by host 'alpha'" in done.stderr,
           "the other host is refused", done.stderr)
    done = beta.leasehold("store", "create", by_id(DISK), "--lockspace", "other")
    tap.ok(done.returncode != 0 and "--force" in done.stderr,
           "a disk with something on it does not become a store", done.stderr)


def check_migration(site, alpha, beta):
    rsh = os.path.join(machine.HERE, "rsh.py")
    for host, wwn in ((alpha, DISK), (beta, STORE)):
        host.shell("ln -s %s /dev/mine" % by_id(wwn))
    alpha.write("/run/named.xml", domain("named", machine.UUID.replace("1111", "2222"), "/dev/mine"))
    alpha.leasehold("destroy", "web")
    alpha.leasehold("run", "/run/named.xml")
    done = alpha.leasehold("migrate", "named", "beta", "--rsh", rsh)
    tap.ok(done.returncode not in (0, BUSY) and "/dev/mine" in done.stderr and site.writes(),
           "a guest does not move to where the name of its disk means another one", done.stderr)
    alpha.leasehold("destroy", "named")

    alpha.leasehold("run", "/run/web.xml")
    done = alpha.leasehold("migrate", "web", "beta", "--rsh", rsh)
    shown = alpha.leasehold("show", "web").stdout
    tap.ok(done.returncode == 0 and site.writes() and "beta" in shown,
           "a guest moves over the network", done.stderr, shown)
    done = alpha.leasehold("run", "/run/web.xml")
    tap.ok(done.returncode == BUSY and "held by host 'beta'" in done.stderr,
           "and is refused where it was", done.stderr)
    site.judge("one writer after the other")


def take_over(site, lost, other, what):
    """@lost has just been struck, with the guest on it. Returns when it runs on @other."""
    begin = time.monotonic()
    done = other.leasehold("run", "/run/web.xml")
    told = re.search(r"can be taken in (\d+) s", done.stderr)
    tap.ok(done.returncode == BUSY and told and int(told.group(1)) <= DEAD_SEC,
           what + ": the other host is refused, and told until when", done.stderr)

    done = other.leasehold("run", "--takeover", "/run/web.xml", timeout=3 * 180)
    print("# the guest goes on after %.0f s" % (time.monotonic() - begin), flush=True)
    tap.ok(done.returncode == 0 and site.writes(), what + ": the guest goes on there", done.stderr,
           other.shell("tail -n 20 /run/sanlock.log"))
    tap.ok(not lost.alive(), what + ": the host that was lost is off")
    site.judge(what + ": no two hosts ever wrote")


def check_losses(site, alpha, beta):
    # the guest is on beta
    beta.power_cut()
    take_over(site, beta, alpha, "power cut")

    beta = site.power_on("beta", 2)
    site.set_up(beta)
    site.join(beta)
    alpha.hang_storage()
    quiet = testlab.wait_until(30, lambda: not site.writes(1))
    tap.ok(quiet, "storage gone: the guest stands still")
    take_over(site, alpha, beta, "storage gone")

    alpha = site.power_on("alpha", 1)
    site.set_up(alpha)
    site.join(alpha)
    beta.shell("kill -9 $(pgrep -o -f 'sanlock daemo[n]')")
    quiet = testlab.wait_until(30, lambda: not site.writes(1))
    tap.ok(quiet, "lock daemon killed: the guest stands still")
    take_over(site, beta, alpha, "lock daemon killed")


def main():
    machine.requires_machines()
    with testlab.Lab("machines") as lab:
        site = Site(lab)
        alpha, beta = site.power_on("alpha", 1), site.power_on("beta", 2)
        site.set_up(alpha)
        site.set_up(beta)
        check_set_up(site, alpha, beta)
        check_guest(site, alpha, beta)
        check_migration(site, alpha, beta)
        check_losses(site, alpha, beta)
    return tap.done()


sys.exit(main())
