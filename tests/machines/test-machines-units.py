#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-machines-units.py: the installed program under systemd, on a host of its own: Debian's
units of sanlock and wdmd, as the README sets them up, and ours from boot to power off."""

import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
# pylint: disable=wrong-import-position
import lab as testlab  # noqa: E402
import machine  # noqa: E402
from machine import DISK, STORE, UUID  # noqa: E402

tap = testlab.Tap()


def install(folder):
    """Into a folder that the host can read: it has memory of its own at /dev/shm and /tmp."""
    done = subprocess.run(["make", "-s", "-C", testlab.TOP_BUILD, "install", "DESTDIR=" + folder],
                          timeout=600, capture_output=True, text=True,
                          env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")})
    assert done.returncode == 0, done.stderr


def prefix_of(folder):
    """Where "make install" put it: /usr/local, /usr..."""
    for path, _, files in os.walk(folder):
        if "leasehold@.service" in files:
            unit = os.path.join(path, "leasehold@.service")
    with open(unit) as text:
        words = text.read()
    return (re.search(r"ExecStart=(\S+/leasehold) ", words).group(1),
            re.search(r"(\S+)/guests/%i.xml", words).group(1))


class Units:
    def __init__(self, host, program, config):
        self.host, self.program, self.config = host, program, config

    def systemctl(self, *args, timeout=300):
        return self.host.run("systemctl", *args, timeout=timeout)

    def leasehold(self, *args):
        return self.host.run("env", "-u", "LEASEHOLD_CONFIG", "-u", "LEASEHOLD_PLUGIN_DIR", "-u",
                             "LEASEHOLD_HELPER_DIR", self.program, *args)

    def property(self, unit, name):
        return self.systemctl("show", "-P", name, unit).stdout.strip()

    def qemu(self):
        return self.host.run("pgrep", "-x", "qemu-system-x86").stdout.strip()

    def journal(self, unit):
        return self.host.run("journalctl", "--no-pager", "-n", "30", "-u", unit).stdout


def set_up(host, units, made):
    host.shell("cp -a %s/. / && mkdir -p %s/guests && systemctl daemon-reload" % (made, units.config))
    host.write(units.config + "/leasehold.conf", machine.config(host.number))
    host.write(units.config + "/guests/web.xml", machine.domain())
    done = units.leasehold("store", "create", machine.by_id(STORE), "--io-timeout", "2")
    assert done.returncode == 0, done.stderr


def check_join(host, units):
    done = units.systemctl("start", "leasehold-host")
    told = units.journal("leasehold-host")
    tap.ok(done.returncode != 0 and "/etc/default/sanlock" in told,
           "as Debian has it, without watchdog, a host does not join, and says why", told)

    host.shell("echo 'sanlock_opts=\"\"' >/etc/default/sanlock; systemctl restart sanlock; systemctl stop wdmd")
    doctor = units.leasehold("doctor")
    tap.ok(doctor.returncode != 0 and "wdmd does not run" in doctor.stdout,
           "without wdmd doctor says that it does not run", doctor.stdout)

    host.shell("systemctl restart wdmd sanlock")
    done = units.systemctl("start", "leasehold-host")
    doctor = units.leasehold("doctor")
    tap.ok(done.returncode == 0 and doctor.returncode == 0, "set up as the README says, it joins",
           done.stderr, units.journal("leasehold-host"), doctor.stdout)


def check_guest(host, units, lab, disk):
    done = units.systemctl("start", "leasehold@web")
    tap.ok(done.returncode == 0 and units.property("leasehold@web", "StatusText") ==
           "guest 'web' runs under its leases", "a guest is started by its unit",
           done.stderr, units.journal("leasehold@web"))
    qemu = units.qemu()

    host.shell("kill -9 " + units.property("leasehold@web", "MainPID"))
    active = testlab.wait_until(30, lambda: units.property("leasehold@web", "ActiveState") == "active")
    tap.ok(active and qemu and units.qemu() == qemu,
           "the unit's command is killed: the guest runs on, and is found again",
           units.journal("leasehold@web"))

    host.shell("kill -SEGV " + qemu)  # a kill is somebody's wish
    again = testlab.wait_until(60, lambda: units.qemu() not in ("", qemu) and
                               units.property("leasehold@web", "ActiveState") == "active")
    tap.ok(again, "QEMU crashes: the unit starts the guest again", units.journal("leasehold@web"))

    done = units.systemctl("stop", "leasehold-host")
    tap.ok("guests of this host hold leases" in units.journal("leasehold-host") and units.qemu(),
           "a host with guests does not leave", units.journal("leasehold-host"))
    units.systemctl("start", "leasehold-host")

    before = lab.payload_seq(disk)
    done = units.systemctl("stop", "leasehold@web")
    tap.ok(done.returncode == 0 and not units.qemu() and
           "free" in units.leasehold("who", UUID).stdout,
           "the unit is stopped: the guest shuts down", done.stderr, units.journal("leasehold@web"))
    tap.ok(lab.payload_seq(disk) > before > 0, "it wrote until then")


def check_power_off(host, units):
    units.systemctl("start", "leasehold@web")
    tap.ok(units.qemu(), "the guest runs again")
    begin = time.monotonic()
    host.start("systemctl", "poweroff")
    off = testlab.wait_until(120, lambda: not host.alive())
    with open(os.path.join(host.dir, "console.log"), errors="replace") as file:
        console = file.read()[-3000:]
    tap.ok(off and "Job wdmd.service/stop" not in console,
           "the host powers off with its guest, and wdmd does not hold it up", console)
    print("# after %.0f s" % (time.monotonic() - begin), flush=True)


def check_left(lab, made, disks):
    """A host that left may be another one's at once; one that died is waited for."""
    host = machine.Machine(lab, made, "beta", 2, disks)
    host.wait_ready()
    host.write("/run/leasehold.conf", machine.config(host.number, "watchdog = unsafe-none"))
    host.start_sanlock("-w", "0")
    host.leasehold("host", "join", "-q")
    listed = host.leasehold("host", "list").stdout
    who = host.leasehold("who", UUID).stdout
    tap.ok(re.search(r"^ *1 .*free", listed, re.M), "the host left the lockspace", listed)
    tap.ok("free" in who, "and its guest's leases are free", who)


def main():
    machine.requires_machines()
    if not os.path.exists("/lib/systemd/systemd"):
        testlab.skip_all("this machine has no systemd to be the first process")
    made = machine.build()
    installed = os.path.join(made, "installed")
    install(installed)
    with testlab.Lab("units") as lab:
        store, disk = lab.file("store.img"), lab.payload("disk.img")
        with open(store, "wb") as out:
            out.truncate(160 << 20)
        disks = [(store, STORE, 512), (disk, DISK, 512)]
        host = machine.Machine(lab, made, "alpha", 1, disks, systemd=True)
        units = Units(host, *prefix_of(installed))
        host.wait_ready()
        set_up(host, units, installed)
        check_join(host, units)
        check_guest(host, units, lab, disk)
        check_power_off(host, units)
        check_left(lab, made, disks)
    return tap.done()


sys.exit(main())
