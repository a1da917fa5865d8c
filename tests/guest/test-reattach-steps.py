#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-reattach-steps.py: the supervisor is killed at each numbered step of a start, of an
attach and a detach of a disk or of an explicit lease, of a change of medium, of an end, and of
the re-attach itself. The next one takes the
guest up, and then what is held is what is used: QEMU has an image open if and only if the other
host finds its lease held, and the guest goes on.

Seen failing: with the look at each disk's device (virReattachDisks) taken out, the disks of the
attach and detach steps stay half there, with their leases; with the recovery of media taken out
the drive stays empty at swap:9; with that of leases taken out the guest is killed at
attach-lease:3 and detach-lease:3.

test-reattach-steps-all.py runs every step; this one a subset that takes seconds.
"""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Steps, Tap, alive, edit, has_open, requires, strike, wait_until  # noqa: E402
from qmp import Monitor  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()
# also stopped before it is killed: a supervisor that hangs is not replaced
DRIVE = ("<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>%s"
         "<target dev='hdc' bus='ide'/><readonly/></disk>")
STOPPED = ("start:8", "attach:6")
SUBSET = ("start:4", "start:7", "start:8", "start:9", "attach:3", "attach:6", "attach:8",
          "detach:2", "detach:3", "media:3", "media:6", "media:10", "swap:9", "eject:9",
          "attach-lease:3", "attach-lease:4", "detach-lease:3", "end:1", "end:2", "shutdown:2",
          "reattach:5", "reattach:7")


class Guest:
    """A guest whose supervisor stops at each step."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.alpha, self.beta = lab.hosts
        self.disk = lab.payload(name + ".img")
        self.image = lab.file(name + "-data.img")
        with open(self.image, "wb") as file:
            file.truncate(1 << 20)
        self.xml, self.uuid = lab.domain(name, self.disk)

    def describe_drive(self, medium=None):
        source = "<source file='%s'/>" % medium if medium else ""
        edit(self.xml, ("</devices>", DRIVE % source + "</devices>"))

    def start(self):
        self.steps = self.alpha.run_stepped(self.xml)
        self.qemu = self.alpha.state(self.uuid)["pid"]

    def start_until(self, step):
        self.steps = Steps()
        run = self.alpha.popen("run", self.xml, steps=self.steps)
        self.steps.until(step)
        return run

    def kill_supervisor(self, step):
        pid = self.alpha.supervisor()
        if step in STOPPED:
            assert strike(pid, "STOP")
            done = self.alpha.leasehold("attach", self.name)
            tap.ok(done.returncode == 3 and "kill -KILL %d" % pid in done.stderr,
                   step + ": a supervisor that was stopped is not replaced", done.stderr)
        assert strike(pid, "KILL")
        self.steps.close()

    def take_out(self, target):
        """What the drive has, behind the back of everybody."""
        monitor = Monitor(os.path.join(self.alpha.run_dir, "guests", self.uuid, "qmp"))
        drives = monitor.command("query-block")["return"]
        drive = next(one for one in drives
                     if one.get("inserted", {}).get("node-name", "").startswith(target))
        answer = monitor.command(json.dumps({"execute": "blockdev-remove-medium",
                                             "arguments": {"id": drive["qdev"]}}))
        assert answer == {"return": {}}, answer
        monitor.sock.close()

    def attach(self):
        return self.alpha.leasehold("attach", self.name)

    def show(self):
        return json.loads(self.alpha.leasehold("--json", "show", self.name).stdout)

    def owners(self, path):
        return json.loads(self.beta.leasehold("--json", "who", path).stdout)["owners"]

    def held_is_used(self, *images):
        """Of the guest's own disk and of @images."""
        return len(self.owners(self.disk)) == 1 and has_open(self.qemu, self.disk) and \
            all(bool(self.owners(image)) == has_open(self.qemu, image) for image in images)

    def runs(self):
        before = self.lab.payload_seq(self.disk)
        return wait_until(20, lambda: self.lab.payload_seq(self.disk) > before + 2)

    def events(self):
        return self.alpha.leasehold("events", self.name).stdout

    def end(self):
        self.alpha.leasehold("destroy", self.name)


def start(lab, step):
    guest = Guest(lab, "s" + step[6:])
    run = guest.start_until(step)
    guest.kill_supervisor(step)
    run.communicate(timeout=60)
    done = guest.attach()
    if step in ("start:8", "start:9"):
        guest.qemu = guest.alpha.state(guest.uuid)["pid"]
        tap.ok(done.returncode == 0 and guest.show()["state"] == "running" and
               guest.held_is_used() and guest.runs(), step + ": the start is finished",
               done.stderr, guest.show(), guest.events())
        tap.ok("its start was interrupted" in guest.show()["message"], step + ": and that is said",
               guest.show()["message"])
    else:
        tap.ok(done.returncode == 1, step + ": there is nothing to take up", done.returncode,
               done.stderr)
        tap.ok(not guest.owners(guest.disk) and not guest.alpha.qemu_pids(),
               step + ": nothing is left of it", guest.owners(guest.disk))
        done = guest.alpha.leasehold("run", guest.xml)
        tap.ok(done.returncode == 0, step + ": it can be started", done.stderr)
    guest.end()


def plug(lab, step):
    guest = Guest(lab, "p" + step[7:])
    guest.start()
    command = guest.alpha.popen("attach-disk", guest.name, "--source", guest.image, "--target",
                                "vdb")
    guest.steps.until(step)
    guest.kill_supervisor(step)
    command.communicate(timeout=60)
    done = guest.attach()
    tap.ok(done.returncode == 0 and guest.held_is_used(guest.image) and
           not guest.owners(guest.image), step + ": the disk that was half there is undone",
           done.stderr, guest.owners(guest.image), guest.events())
    done = guest.alpha.leasehold("attach-disk", guest.name, "--source", guest.image, "--target",
                                 "vdb")
    tap.ok(done.returncode == 0 and guest.owners(guest.image) and guest.held_is_used(guest.image),
           step + ": it can be attached again", done.stderr)
    done = guest.alpha.leasehold("detach-disk", guest.name, "vdb", "--timeout", "20")
    tap.ok(done.returncode == 0 and not guest.owners(guest.image) and guest.runs(),
           step + ": and detached; the guest runs", done.stderr)
    guest.end()


def unplug(lab, step):
    guest = Guest(lab, "u" + step[7:])
    guest.start()
    command = guest.alpha.popen("attach-disk", guest.name, "--source", guest.image, "--target",
                                "vdb")
    guest.steps.until("attach:8")
    guest.steps.go()
    assert command.wait(60) == 0
    command = guest.alpha.popen("detach-disk", guest.name, "vdb", "--timeout", "20")
    guest.steps.until(step)
    guest.kill_supervisor(step)
    command.communicate(timeout=60)
    done = guest.attach()
    gone = step in ("detach:3", "detach:4")
    tap.ok(done.returncode == 0 and guest.held_is_used(guest.image) and
           bool(guest.owners(guest.image)) != gone,
           "%s: the detach is %s" % (step, "finished" if gone else "as if it had not begun"),
           done.stderr, guest.owners(guest.image), guest.events())
    done = guest.alpha.leasehold("detach-disk", guest.name, "vdb", "--timeout", "20")
    tap.ok((done.returncode == 0) != gone and not guest.owners(guest.image) and guest.runs(),
           step + ": no disk and no lease is left; the guest runs", done.stderr)
    guest.end()


def medium(lab, step):
    """A disc takes the place of another, or the drive is emptied."""
    sequence, number = step.split(":")
    guest = Guest(lab, "m" + sequence[0] + number)
    old, new = guest.image, lab.file(guest.name + "-new.iso")
    with open(new, "wb") as file:
        file.truncate(1 << 20)
    guest.describe_drive(old)
    guest.start()
    assert guest.runs()  # firmware moves the tray, and may close it between two commands
    what = "--eject" if sequence == "eject" else new
    command = guest.alpha.popen("change-media", guest.name, "hdc", what)
    guest.steps.until("media:" + number)
    guest.kill_supervisor(step)
    command.communicate(timeout=60)
    if sequence == "swap":  # in the middle of the step
        guest.take_out("hdc")
    done = guest.attach()
    finished = int(number) > 9 or sequence == "swap"
    expected = [] if finished and what != new else [new if finished else old]
    held = [image for image in (old, new) if guest.owners(image)]
    said = re.findall("<source file=\"([^\"]*)\"",
                      guest.alpha.leasehold("show", guest.name, "--xml").stdout)
    tap.ok(done.returncode == 0 and guest.held_is_used(old, new) and held == expected and
           said == [guest.disk] + expected,
           "%s: the medium is %s, and described so" % (step, "new" if finished else "old"),
           done.stderr, held, said, guest.events())
    for image in (new, old):
        done = guest.alpha.leasehold("change-media", guest.name, "hdc", image)
        tap.ok(done.returncode == 0 and guest.held_is_used(old, new) and guest.owners(image),
               "%s: %s goes in" % (step, os.path.basename(image)), done.stderr)
    tap.ok(guest.runs(), step + ": the guest runs")
    guest.end()


def lease(lab, step):
    """An explicit lease: a cut attach is undone, a cut detach finished."""
    guest = Guest(lab, step[0] + "l" + step[-1])
    key = "key-of-" + guest.name
    guest.start()
    if step.startswith("detach"):
        command = guest.alpha.popen("attach-lease", guest.name, "--key", key)
        guest.steps.until("attach-lease:4")
        guest.steps.go()
        assert command.wait(60) == 0
        command = guest.alpha.popen("detach-lease", guest.name, key)
    else:
        command = guest.alpha.popen("attach-lease", guest.name, "--key", key)
    guest.steps.until(step)
    guest.kill_supervisor(step)
    command.communicate(timeout=60)
    done = guest.attach()
    kept = step == "detach-lease:1"
    tap.ok(done.returncode == 0 and bool(guest.owners(key)) == kept and guest.held_is_used() and
           guest.runs() and
           (key in guest.alpha.leasehold("show", guest.name, "--xml").stdout) == kept,
           step + ": the lease is " + ("held" if kept else "free"), done.stderr, guest.owners(key),
           guest.events())
    if not kept:
        done = guest.alpha.leasehold("attach-lease", guest.name, "--key", key)
        tap.ok(done.returncode == 0 and guest.owners(key), step + ": it can be taken", done.stderr)
    done = guest.alpha.leasehold("detach-lease", guest.name, key)
    tap.ok(done.returncode == 0 and not guest.owners(key), step + ": and given up", done.stderr)
    guest.end()


def ending(lab, step):
    guest = Guest(lab, "e" + step[4:])
    guest.start()
    guest.alpha.leasehold("shutdown", guest.name, "--timeout", "1")
    guest.steps.until(step)
    guest.kill_supervisor(step)
    done = guest.attach()
    gone = wait_until(30, lambda: guest.show()["state"] == "shut-off")
    tap.ok(gone and done.returncode in (0, 1), step + ": the end is finished", done.stderr,
           guest.show())
    tap.ok(guest.show()["reason"] == "destroyed" and not alive(guest.qemu) and
           not guest.owners(guest.disk), step + ": what is written down is what was meant",
           guest.show(), guest.owners(guest.disk))


def asked(lab, step):
    """A shutdown with a deadline, of a guest that does not hear of it: before it is written down
    it was never asked for, afterwards the guest is gone in time."""
    guest = Guest(lab, "a" + step[9:])
    deaf(guest.disk)
    guest.start()
    command = guest.alpha.popen("shutdown", guest.name, "--timeout", "4")
    guest.steps.until(step)
    guest.kill_supervisor(step)
    _, errors = command.communicate(timeout=60)
    # at 3 the guest was asked, and the command had its answer
    tap.ok((command.returncode == 0) == (step == "shutdown:3"),
           step + ": the command does not claim more than was done", command.returncode, errors)
    done = guest.attach()
    shown = guest.show()
    if step == "shutdown:1":
        tap.ok(done.returncode == 0 and not shown["deadline"] and not shown["reason"] and
               guest.held_is_used() and guest.runs(), step + ": nobody asked the guest",
               done.stderr, shown)
        guest.end()
        return
    gone = wait_until(30, lambda: not alive(guest.qemu) and guest.show()["state"] == "shut-off")
    tap.ok(gone and guest.show()["reason"] == "destroyed" and not guest.owners(guest.disk),
           step + ": the deadline stands, and the guest is forced off", done.stderr, guest.show(),
           guest.events())


def deaf(disk):
    """The payload ignores the power button then."""
    with open(disk, "r+b") as image:
        image.seek(0x1f2)
        image.write(b"\1")


def again(lab, step):
    guest = Guest(lab, "r" + step[9:])
    guest.start()
    guest.kill_supervisor("")
    guest.steps = Steps()
    command = guest.alpha.popen("attach", guest.name, steps=guest.steps)
    guest.steps.until(step)
    guest.kill_supervisor(step)
    _, errors = command.communicate(timeout=60)
    tap.ok(command.returncode not in (0, -9), step + ": the command does not claim success", errors)
    done = guest.attach()
    tap.ok(done.returncode == 0 and guest.held_is_used() and guest.runs(),
           step + ": the next one takes it up", done.stderr, guest.show())
    guest.end()


def main():
    with Lab("reattach-steps") as lab:
        lab.store("--max-leases", "900")
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        cases = [(start, "start:%d" % n) for n in range(1, 10)]
        cases += [(plug, "attach:%d" % n) for n in range(1, 9)]
        cases += [(unplug, "detach:%d" % n) for n in range(1, 5)]
        cases += [(medium, "media:%d" % n) for n in range(1, 12)]
        cases += [(medium, "eject:%d" % n) for n in (1, 8, 9, 10, 11)] + [(medium, "swap:9")]
        cases += [(lease, "attach-lease:%d" % n) for n in range(1, 5)]
        cases += [(lease, "detach-lease:%d" % n) for n in range(1, 4)]
        cases += [(ending, "end:%d" % n) for n in range(1, 5)]
        cases += [(asked, "shutdown:%d" % n) for n in range(1, 4)]
        cases += [(again, "reattach:%d" % n) for n in range(1, 10)]
        every = os.environ.get("TEST_REATTACH_ALL") == "1"
        wanted = [step for _, step in cases] if every else SUBSET
        for case, step in cases:
            if step not in (sys.argv[1:] or wanted):
                continue
            with tap.case(step, lab.end_guests):
                case(lab, step)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
