# SPDX-License-Identifier: LGPL-2.1-or-later
"""blackout.py: how long a guest stands still when it moves, against bare QEMU.

From QEMU's own trace of both sides (vm_state_notify): the last STOP of the source to the RESUME
of the destination; nobody who measures is in between. Bare QEMU has the same capabilities, the
same TLS stream with a key of its own and `-S`, and is driven by two monitors: `cont` is sent as
soon as both sides say "completed". Leasehold's moves and the bare ones take turns.
"""

import os
import re
import select
import statistics
import time

import lab as testlab
from bare import Bare, prepare_key
from moving import Rsh

MSEC = 1000.0
TRACE = re.compile(r"@(\d+\.\d+):vm_state_notify running (\d)")


def command_line(disks):
    """A boot disk, and the others on one SCSI controller: a "pc" has too few slots for 32."""
    argv = ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-m", "16", "-nodefaults",
            "-display", "none", "-msg", "timestamp=on", "-trace", "vm_state_notify",
            "-device", "virtio-scsi-pci,id=scsi"]
    for number, disk in enumerate(disks):
        bus = "virtio" if number == 0 else "none"
        argv += ["-drive", "id=d%d,file=%s,format=raw,if=%s,cache=none,file.locking=off"
                 % (number, disk, bus)]
        if number > 0:
            argv += ["-device", "scsi-hd,drive=d%d,bus=scsi.0,scsi-id=%d" % (number, number)]
    return argv


def last_change(path, running):
    """The time of the newest line that says so, or None."""
    with open(path) as log:
        found = [float(match.group(1)) for match in TRACE.finditer(log.read())
                 if match.group(2) == running]
    return found[-1] if found else None


# ---- with Leasehold ------------------------------------------------------------------------

class Moving:
    """A guest that goes back and forth between the hosts of the bench."""

    def __init__(self, bench, count):
        self.bench, self.name = bench, "black%d" % count
        self.here, self.there = bench.alpha, bench.beta
        self.rsh = Rsh(bench.lab)
        disks = bench.disks(self.name + "-", count)
        args = ["run", "--name", self.name]
        for disk in disks:
            args += ["--disk", disk]
        self._must(self.here, *args, "--", *command_line(disks))

    @staticmethod
    def _must(host, *args):
        done = host.leasehold(*args)
        if done.returncode != 0:
            raise AssertionError("leasehold %s: %s" % (args[0], done.stderr))

    def _log(self, host):
        folder = os.path.join(host.dir, "state", "log")
        return next(os.path.join(folder, name) for name in os.listdir(folder)
                    if name.startswith(self.name + "-"))

    def move(self):
        """Milliseconds that the guest stood still."""
        self._must(self.here, "migrate", self.name, self.there.name, "--rsh", self.rsh.command)
        stopped = last_change(self._log(self.here), "0")
        resumed = last_change(self._log(self.there), "1")
        self.here, self.there = self.there, self.here
        testlab.wait_until(30, self._settled)
        return (resumed - stopped) * MSEC

    def _settled(self):
        return "reserved" not in self.here.leasehold("show", self.name).stdout

    def end(self):
        self._must(self.here, "destroy", self.name)


# ---- bare QEMU -----------------------------------------------------------------------------

def move_bare(lab, argv):
    """Milliseconds between STOP and RESUME of one migration without Leasehold."""
    source = Bare(lab, argv, "bare-source")
    target = Bare(lab, argv, "bare-target", "-incoming", "defer")
    try:
        source.prepare("client")
        target.prepare("server")
        source.qmp("cont")
        time.sleep(0.3)  # the guest writes
        target.qmp("migrate-incoming", uri="tcp:127.0.0.1:0")
        port = target.qmp("query-migrate")["socket-address"][0]["port"]
        source.qmp("migrate", uri="tcp:127.0.0.1:%s" % port)
        while not (source.completed() and target.completed()):
            for ready in select.select([source.sock, target.sock], [], [], 30)[0]:
                (source if ready is source.sock else target).read()
        target.qmp("cont")
        testlab.wait_until(5, lambda: last_change(target.log, "1"))
        return (last_change(target.log, "1") - last_change(source.log, "0")) * MSEC
    finally:
        source.end()
        target.end()


# ---- the figure ----------------------------------------------------------------------------

def measure_blackout(bench, count):
    prepare_key(bench.lab)
    guest = Moving(bench, count)
    argv = command_line(bench.disks("bare-black%d-" % count, count))
    ours, bare = [], []
    for _ in range(bench.rounds):
        ours.append(guest.move())
        bare.append(move_bare(bench.lab, argv))
    guest.end()
    what = "blackout, %d disk%s: " % (count, "" if count == 1 else "s")
    bare_ms, ours_ms = statistics.median(bare), statistics.median(ours)
    bench.row(what + "bare QEMU", bare_ms, "ms", samples=bare)
    bench.row(what + "leasehold migrate", ours_ms, "ms", ratio=ours_ms / bare_ms,
              target=max(1.2 * bare_ms, bare_ms + 1), samples=ours)
