#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU itself, without Leasehold: what a destination does when the stream of a guest's memory ends
too early (I6). Leasehold's source gives its word at "completed" and not before, because of this:

  - there is one boundary: a shorter stream fails, and a longer one is complete. It lies right
    behind the end of the guest's state, and not at the end of the stream: the description of the
    devices (vmdesc), which may follow, may be missing. So the destination can be complete while
    the source fails, and starts the guest again by itself;
  - a destination, complete or not, writes nothing to the guest's disk before "cont";
  - one that was complete without the description has the same memory and devices, byte for byte.

The stream of a guest that moves is cut at each offset of its last 64 KiB (late_offsets.c), in the
clear and with TLS, with and without vmdesc, for a raw disk and for a qcow2 image with a persistent
bitmap: eight times 65537 lengths. This test takes some of them, and each one near the boundary;
test-late-offsets-all.py takes every one, or each $TEST_OFFSETS_STRIDE-th.

Seen failing: without late-block-activate the destination writes to the qcow2 image.
"""

import contextlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from bare import Bare, prepare_key  # noqa: E402
from lab import TOP_BUILD, Lab, Tap, requires, search_path, wait_until  # noqa: E402

COPIES = os.path.join(TOP_BUILD, "tests/migrate/.libs/late_offsets.so")
LAST = 64 * 1024
VMDESC = 128 * 1024  # at most
SWEEP_SEC = 3600
ATTEMPTS = 10
STRIDE = os.environ.get("TEST_OFFSETS_STRIDE", "1021")
QEMU_VM_VMDESCRIPTION = 6

requires("qemu-system-x86_64", "qemu-img", "payload")
tap = Tap()


class Kind:
    """One kind of stream: what is in it, and how it travels."""

    def __init__(self, lab, tls, vmdesc, qcow2):
        self.lab, self.tls, self.vmdesc, self.qcow2 = lab, tls, vmdesc, qcow2
        self.name = "%s, %s vmdesc, %s" % ("TLS" if tls else "plain",
                                           "with" if vmdesc else "without",
                                           "qcow2 with a bitmap" if qcow2 else "raw")
        self.late = LAST + (VMDESC if vmdesc else 0)
        self.disk = lab.payload("disk.img")
        if qcow2:
            self._to_qcow2()
        self.socket, self.report, self.tail = map(lab.file, ("stream", "report", "tail"))
        for path in (self.socket, self.report, self.tail):
            if os.path.exists(path):
                os.unlink(path)

    def _to_qcow2(self):
        image = self.disk + ".qcow2"
        for command in (["convert", "-f", "raw", "-O", "qcow2", self.disk, image],
                        ["bitmap", "--add", image, "changed"]):
            subprocess.run(["qemu-img", *command], check=True, capture_output=True, timeout=60,
                           env=dict(os.environ, PATH=search_path()))
        self.disk = image

    def argv(self):
        """No vAPIC, which asks a vCPU to load its state; a clock that stands while the guest does."""
        return ["qemu-system-x86_64", "-machine", "pc,suppress-vmdesc="
                + ("off" if self.vmdesc else "on"), "-accel", "tcg", "-m", "16", "-nodefaults",
                "-display", "none", "-trace", "migrate_set_state",
                "-global", "apic-common.vapic=off", "-rtc", "clock=vm", "-drive",
                "file=%s,format=%s,if=virtio,cache=none,file.locking=off"
                % (self.disk, "qcow2" if self.qcow2 else "raw")]

    def environment(self):
        return {"LD_PRELOAD": COPIES, "LEASEHOLD_TEST_STREAM": self.socket,
                "LEASEHOLD_TEST_DISK": self.disk, "LEASEHOLD_TEST_REPORT": self.report,
                "LEASEHOLD_TEST_TAIL": self.tail, "LEASEHOLD_TEST_STRIDE": STRIDE,
                "LEASEHOLD_TEST_LATE": str(self.late)}

    def outcomes(self):
        """How many bytes were missing: what became of it."""
        with open(self.report) as report:
            lines = [line.split() for line in report]
        return {int(missing): outcome for missing, outcome in lines[:-1]}

    def is_over(self):
        with contextlib.suppress(OSError), open(self.report, "rb") as report:
            report.seek(-len(b"0 end\n"), os.SEEK_END)
            return report.read() == b"0 end\n"
        return False

    def expected(self):
        """How many bytes may be missing, by what the end of the stream says."""
        with open(self.tail, "rb") as tail:
            data = tail.read()
        if not self.vmdesc:
            return 0
        for at in range(len(data) - 5):
            size = int.from_bytes(data[at + 1:at + 5], "big")
            if data[at] == QEMU_VM_VMDESCRIPTION and at + 5 + size == len(data):
                return 5 + size
        return None


def writes_of(qemu):
    with open("/proc/%d/io" % qemu.process.pid) as text:
        return int(dict(line.split(": ") for line in text.read().splitlines())["wchar"])


def until(qemu, status, seconds=60):
    wait_until(seconds, lambda: qemu.qmp("query-migrate").get("status") in (status, "failed"))
    return qemu.qmp("query-migrate").get("status")


def judge(kind, found):
    """One boundary, where it is expected, and a disk that nobody touched."""
    failed = sorted(missing for missing, outcome in found.items() if outcome == "failed")
    complete = sorted(missing for missing, outcome in found.items() if outcome == "completed")
    other = {missing: outcome for missing, outcome in found.items()
             if outcome not in ("failed", "completed")}
    tap.ok(not other, kind.name + ": each destination fails or is complete, and writes nothing",
           other)
    print("# %s: %d lengths; complete up to %s missing bytes, fails from %s on"
          % (kind.name, len(found), complete[-1:], failed[:1]))
    good = bool(failed and complete) and complete[-1] + 1 == failed[0]
    tap.ok(good and complete[0] == 0 and failed[-1] == kind.late, kind.name + ": one boundary",
           complete[-1:], failed[:1])
    if not kind.tls and good:
        tap.ok(complete[-1] == kind.expected(),
               kind.name + ": it is right behind the guest's state", kind.expected())


def sweep(kind):
    source = target = None
    try:
        # given a guest that writes, and a destination that is forked for each length
        target = Bare(kind.lab, kind.argv(), "target", "-incoming", "defer",
                      env=kind.environment())
        source = Bare(kind.lab, kind.argv(), "source")
        source.prepare("client", kind.tls)
        target.prepare("server", kind.tls)
        source.qmp("cont")
        wait_until(10, lambda: writes_of(source) > 100000)
        # when it moves
        target.qmp("migrate-incoming", uri="unix:" + kind.socket)
        source.qmp("migrate", uri="unix:" + kind.socket)
        status = until(source, "completed")
        tap.ok(status == "completed", kind.name + ": the source says 'completed'", source.said())
        # nobody asks it meanwhile: each copy would answer, too
        wait_until(SWEEP_SEC, kind.is_over)
        judge(kind, kind.outcomes())
        status = until(target, "completed")
        # then with all bytes it runs
        before = writes_of(target)
        target.qmp("cont")
        tap.ok(status == "completed" and wait_until(20, lambda: writes_of(target) > before),
               kind.name + ": with the whole stream it goes on", status, target.said())
    except (AssertionError, OSError) as failure:
        tap.ok(False, kind.name + ": comes to its end", failure,
               target.said() if target else "")
    finally:
        for qemu in (source, target):
            if qemu:
                qemu.end()


def send(qemu, path):
    """Sends its guest to a file, which is there when all of it is: "completed" is said earlier."""
    qemu.qmp("migrate", uri="exec:cat > {0}.part && mv {0}.part {0}".format(path))
    return until(qemu, "completed") == "completed" and wait_until(60, lambda: os.path.exists(path))


def load(kind, stream, size):
    """A whole QEMU that gets the first @size bytes: what it sends on, or None if it gives up."""
    target = Bare(kind.lab, kind.argv(), "target", "-incoming", "defer")
    again = kind.lab.file("again")
    try:
        # it activates the disk: only so it can send on what it got
        target.prepare("server", tls=False, late=False)
        target.qmp("migrate-incoming", uri="exec:head -c %d %s" % (size, stream))
        if until(target, "completed") != "completed":
            return None
        send(target, again)
    except (AssertionError, OSError):
        target.process.wait(30)
        return None
    finally:
        target.end()
    with open(again, "rb") as out:
        found = out.read()
    os.unlink(again)
    return found


def is_alike(kind, size, missing, wholes):
    """What is sent on is the same in all but where a slow QEMU divides the memory into parts: what
    was really lost would be missing each time."""
    cuts = set()
    for _ in range(ATTEMPTS):
        cuts.add(load(kind, kind.tail, size - missing))
        if None in cuts or cuts & wholes:
            return None not in cuts
        wholes.add(load(kind, kind.tail, size))
    return False


def compare(lab):
    """Whole QEMUs that load the same stream, short of more and more of its end."""
    kind = Kind(lab, tls=False, vmdesc=True, qcow2=False)
    source = Bare(lab, kind.argv(), "source")
    try:
        source.prepare("client", tls=False)
        source.qmp("cont")
        wait_until(10, lambda: writes_of(source) > 100000)
        send(source, kind.tail)
    finally:
        source.end()
    size, end = os.path.getsize(kind.tail), kind.expected()
    wholes = {load(kind, kind.tail, size)}
    tap.ok(None not in wholes and len(max(wholes)) > size // 2, "the whole stream is loaded",
           source.said())
    for missing in (1, end // 2, end - 1, end):
        tap.ok(is_alike(kind, size, missing, wholes),
               "without %d of the %d bytes of vmdesc memory and devices are the same"
               % (missing, end))
    tap.ok(load(kind, kind.tail, size - end - 1) is None,
           "without the last byte of the guest's state it gives up")


with Lab("late-offsets") as lab:
    prepare_key(lab)
    for tls in (False, True):
        for vmdesc in (True, False):
            for qcow2 in (False, True):
                sweep(Kind(lab, tls, vmdesc, qcow2))
    compare(lab)

sys.exit(tap.done())
