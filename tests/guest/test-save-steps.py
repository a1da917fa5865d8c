#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-save-steps.py: saving and restoring are cut at each numbered step, and the saving at some
bytes of the file: the supervisor, QEMU or the command is killed, or somebody cancels. Afterwards

  - the guest goes on where it was, and nothing that is left can be restored; or
  - it has ended, its leases are free, and the file is whole: it is restored on the other host,
    once.

In the end the checker of the payload tells whether one memory wrote all of the disk.

Seen failing: without the record that advances when a QEMU goes on whose memory was written
(virDomainLockContinueQemu) the file of "sealed" is restored; without those of restore:9 a file is
restored twice, and the disk shows it; with the header written before the memory a piece of a file
counts as one. Not tried: a successor that asks QEMU and not the file whether the guest was saved
(virSaveWasPublished), for which save:6 is there.

test-save-steps-all.py cuts at every step; this one at those that differ.
"""

import json
import os
import resource
import shutil
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from dbus_wire import Client, METHOD_RETURN  # noqa: E402
from lab import Lab, Steps, Tap, alive, requires, strike, wait_until  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()
ALL = os.environ.get("TEST_SAVE_ALL") == "1"
SAVE = ["save:%d" % n for n in range(1, 7)] + ["end:%d" % n for n in range(1, 5)]
RESTORE = ["restore:%d" % n for n in range(1, 13)]
BYTES = {"first": 0, "half": .5, "most": .99}
SUBSET = {"supervisor": ("save:4", "save:6", "end:1"), "qemu": ("save:4", "end:1"),
          "cancel": ("save:4",), "command": ("save:4",),
          "restore": ("restore:8", "restore:9", "restore:11"),
          "restore-qemu": ("restore:8", "restore:10"), "daemon": (), "sealed": ("killed", "refused"),
          "byte": ("half",)}


class Guest:
    """A payload guest on alpha whose supervisor stops at each step."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.alpha, self.beta = lab.hosts[:2]
        self.disk = lab.payload(name + ".img")
        self.xml, self.uuid = lab.domain(name, self.disk)
        self.file = lab.file(name + ".save")
        self.steps = None

    def start(self):
        self.steps = self.alpha.run_stepped(self.xml)
        assert self.goes_on(), "the guest writes nothing"

    def save(self, until):
        command = self.alpha.popen("save", self.name, self.file)
        self.steps.until(until)
        return command

    def goes_on(self):
        before = self.lab.payload_seq(self.disk)
        return wait_until(20, lambda: self.lab.payload_seq(self.disk) > before + 2)

    def show(self, host=None):
        return json.loads((host or self.alpha).leasehold("--json", "show", self.name).stdout)

    def state(self):
        shown = self.show()
        return "%s %s" % (shown["state"], shown["reason"] or "-")

    def supervisor(self, host=None):
        return (host or self.alpha).state(self.uuid)["supervisor_pid"]

    def qemu(self, host=None):
        return (host or self.alpha).state(self.uuid)["pid"]

    def leftovers(self):
        return [name for name in os.listdir(self.lab.path) if name.endswith(".saving")]

    def gone(self):
        return wait_until(40, lambda: self.show()["state"] == "shut-off") and \
            not self.alpha.qemu_pids()

    def moves_on(self, step):
        """The file is whole and good for one restore, on the other host."""
        done = self.beta.leasehold("restore", self.file)
        tap.ok(done.returncode == 0 and self.goes_on(), step + ": the file is whole: it is restored",
               done.returncode, done.stderr)
        self.once(step)

    def once(self, step):
        """The file was restored on beta: never again, and one memory wrote the disk."""
        self.beta.leasehold("destroy", self.name)
        done = self.alpha.leasehold("restore", self.file)
        tap.ok(done.returncode == 6, step + ": and not a second time", done.returncode, done.stderr)
        self.judge(step)

    def judge(self, step):
        good, report = self.lab.check_payload(self.disk)
        tap.ok(good and "1 writers" in report, step + ": one memory wrote the disk", report)

    def stays(self, step):
        """The guest is on alpha as it was; there is no file; it can be saved now."""
        tap.ok(self.goes_on() and self.state() == "running -" and not os.path.exists(self.file) and
               not self.leftovers(), step + ": the guest goes on, and nothing else is left",
               self.state(), os.path.exists(self.file), self.leftovers(),
               self.alpha.leasehold("events", self.name).stdout)
        if self.steps:
            self.steps.close()
        done = self.alpha.leasehold("save", self.name, self.file)
        tap.ok(done.returncode == 0, step + ": it can be saved now", done.stderr)
        self.moves_on(step)


def supervisor_dies(lab, step):
    guest = Guest(lab, "s" + step.replace(":", ""))
    guest.start()
    command = guest.save(step)
    strike(guest.supervisor(), "KILL")
    guest.steps.close()
    _, errors = command.communicate(timeout=60)
    early = step.startswith("save")
    tap.ok(command.returncode == 5 and "leasehold attach" in errors and
           os.path.exists(guest.file) != early,
           step + ": the supervisor dies: no file has the name yet" if early else
           step + ": the supervisor dies: the file has its name", command.returncode, errors)
    if not early and guest.alpha.qemu_pids():
        done = guest.beta.leasehold("restore", guest.file)
        tap.ok(done.returncode == 3, step + ": while QEMU lives nobody restores it",
               done.returncode, done.stderr)
    done = guest.alpha.leasehold("attach", guest.name)
    if early:
        tap.ok(done.returncode == 0, step + ": another supervisor takes the guest up", done.stderr)
        guest.stays(step)
    else:
        tap.ok(guest.gone(), step + ": another supervisor ends it", done.stderr, guest.show())
        guest.moves_on(step)


def bytes_written(lab, name):
    """The kernel kills the supervisor at one byte of the memory's way to the file."""
    guest = Guest(lab, "b" + name)
    guest.start()
    guest.steps.close()
    guest.alpha.leasehold("save", guest.name, guest.file)
    length = json.loads(guest.alpha.leasehold("--json", "save-image", "show", guest.file)
                        .stdout)["memory_bytes"]
    room = os.path.getsize(guest.file) - length
    guest.steps = Steps()
    restore = guest.alpha.popen("restore", guest.file, steps=guest.steps)
    guest.steps.until("restore:12")
    guest.steps.go()
    assert restore.wait(60) == 0
    os.unlink(guest.file)
    command = guest.save("save:4")
    pid = guest.supervisor()
    limit = room + 1 + int(length * BYTES[name])
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, limit))
    guest.steps.close()
    command.communicate(timeout=60)
    left = guest.leftovers()
    size = os.path.getsize(lab.file(left[0])) if left else -1
    tap.ok(not alive(pid) and size == limit and not os.path.exists(guest.file),
           "byte %s: the supervisor died there" % name, alive(pid), left, size)
    if left:
        with open(lab.file(left[0]), "rb") as file, open(lab.file("copy.save"), "wb") as copy:
            copy.write(file.read())
        done = guest.beta.leasehold("restore", lab.file("copy.save"))
        tap.ok(done.returncode == 1 and "never finished" in done.stderr,
               "byte %s: what was written is not taken for a guest" % name, done.stderr)
    done = guest.alpha.leasehold("attach", guest.name)
    tap.ok(done.returncode == 0, "byte %s: another supervisor takes the guest up" % name,
           done.stderr)
    guest.stays("byte " + name)


def qemu_dies(lab, step):
    guest = Guest(lab, "q" + step.replace(":", ""))
    guest.start()
    command = guest.save(step)
    strike(guest.qemu(), "KILL")
    guest.steps.close()
    _, errors = command.communicate(timeout=90)
    gone = guest.gone()
    # right before the rename the file may get its name before the death is noticed
    early = step < "save:6" and step.startswith("save") or not os.path.exists(guest.file)
    if early:
        tap.ok(command.returncode not in (0, -9) and gone and not os.path.exists(guest.file) and
               not guest.leftovers(), step + ": QEMU dies: the save fails, and leaves no file",
               command.returncode, errors, guest.leftovers(), guest.show())
        done = guest.beta.leasehold("run", guest.xml)
        tap.ok(done.returncode == 0 and guest.goes_on(), step + ": its leases are free", done.stderr)
        guest.beta.leasehold("destroy", guest.name)
    else:
        tap.ok(command.returncode == 0 and gone and guest.state() == "shut-off saved",
               step + ": QEMU dies: it is saved", command.returncode, errors, guest.show())
        guest.moves_on(step)


def cancelled(lab, step):
    guest = Guest(lab, "c" + step.replace(":", ""))
    guest.start()
    command = guest.save(step)
    client = Client(os.path.join(guest.alpha.run_dir, "guests", guest.uuid, "control"))
    client.authenticate()
    cancel = client.cancel_job()
    guest.steps.close()
    _, errors = command.communicate(timeout=60)
    kind, answer = client.answer(cancel)
    tap.ok(command.returncode != 0 and "cancelled" in errors and kind == METHOD_RETURN,
           step + ": somebody cancels, and is told that it is", command.returncode, errors, answer)
    client.close()
    guest.stays(step)


def sealed(lab, way):
    """Before its last step the file is whole, and only its name is wrong."""
    guest = Guest(lab, "k" + way)
    guest.start()
    command = guest.save("save:6")
    copy = lab.file("k%s-copy.save" % way)
    shutil.copyfile(lab.file(guest.leftovers()[0]), copy)
    if way == "killed":
        strike(guest.supervisor(), "KILL")
        guest.steps.close()
        guest.alpha.leasehold("attach", guest.name)
    else:
        os.mkdir(guest.file)  # nothing can get this name
        guest.steps.close()
    _, errors = command.communicate(timeout=60)
    tap.ok(command.returncode != 0 and guest.goes_on() and not guest.leftovers(),
           way + " before the rename: the guest goes on", command.returncode, errors,
           guest.leftovers())
    guest.alpha.leasehold("destroy", guest.name)
    done = guest.beta.leasehold("restore", copy)
    tap.ok(done.returncode == 6 and "run lease" in done.stderr,
           way + " before the rename: what was in the file is stale", done.returncode, done.stderr)


def command_dies(lab, step):
    guest = Guest(lab, "x" + step.replace(":", ""))
    guest.start()
    command = guest.save(step)
    strike(command.pid, "KILL")
    command.communicate(timeout=60)
    guest.steps.close()
    tap.ok(guest.gone() and guest.state() == "shut-off saved",
           step + ": the command dies: the guest is saved all the same", guest.show())
    guest.moves_on(step)


def daemon_dies(lab, step):
    """The lock daemon, on a host of its own, that is: then QEMU may not live on."""
    gamma = lab.host("gamma-" + step.replace(":", ""), len(lab.hosts) + 1)
    lab.join(gamma)
    guest = Guest(lab, "d" + step.replace(":", ""))
    guest.alpha = gamma
    if step.startswith("restore"):
        guest.alpha = lab.hosts[0]
        guest.start()
        guest.steps.close()
        assert guest.alpha.leasehold("save", guest.name, guest.file).returncode == 0
        guest.alpha, guest.steps = gamma, Steps()
        command = gamma.popen("restore", guest.file, steps=guest.steps)
        guest.steps.until(step)
    else:
        guest.start()
        command = guest.save(step)
    gamma.kill_daemon()
    gone = wait_until(20, lambda: not gamma.qemu_pids())
    guest.steps.close()
    _, errors = command.communicate(timeout=90)
    whole = os.path.exists(guest.file)
    tap.ok(gone and command.returncode not in (0, -9) and whole == step.startswith("restore"),
           step + ": the lock daemon dies: so does QEMU, and no success is claimed",
           gone, command.returncode, errors, whole)
    lab.hosts.remove(gamma)
    gamma.crash()
    if whole:
        done = guest.beta.leasehold("restore", "--timeout", "150", guest.file, timeout=200)
        tap.ok(done.returncode == 0 and guest.goes_on(), step + ": the file is as good as it was",
               done.returncode, done.stderr)
        guest.beta.leasehold("destroy", guest.name)
        guest.judge(step)


def saved(lab, name):
    guest = Guest(lab, name)
    guest.start()
    guest.steps.close()
    done = guest.alpha.leasehold("save", guest.name, guest.file)
    assert done.returncode == 0, done.stderr
    guest.steps = Steps()
    return guest


def judge_restored(guest, step, good):
    """What a restore on beta that was cut left: is the file still good?"""
    if good:
        done = guest.alpha.leasehold("restore", guest.file)
        tap.ok(done.returncode == 0 and guest.goes_on(),
               step + ": the file is as good as it was", done.returncode, done.stderr)
        guest.alpha.leasehold("destroy", guest.name)
    else:
        done = guest.alpha.leasehold("restore", guest.file)
        tap.ok(done.returncode == 6, step + ": the file is stale", done.returncode, done.stderr)
    guest.judge(step)


def restore_supervisor_dies(lab, step):
    guest = saved(lab, "r" + step.replace(":", ""))
    point = int(step.split(":")[1])
    command = guest.beta.popen("restore", guest.file, steps=guest.steps)
    guest.steps.until(step)
    pid = guest.beta.supervisor()
    strike(pid, "KILL")
    guest.steps.close()
    _, errors = command.communicate(timeout=60)
    tap.ok(command.returncode not in (0, -9), step + ": the supervisor dies: no success is claimed",
           command.returncode, errors)
    done = guest.beta.leasehold("attach", guest.name)
    if point >= 10:
        tap.ok(done.returncode == 0 and guest.goes_on() and
               guest.show(guest.beta)["state"] == "running",
               step + ": QEMU had taken over, and goes on", done.stderr, guest.show(guest.beta))
        guest.once(step)
        return
    gone = wait_until(20, lambda: not guest.beta.qemu_pids() and not guest.beta.state(guest.uuid))
    tap.ok(gone or point == 3,
           step + ": nothing is left of it", done.returncode, done.stderr, guest.beta.qemu_pids())
    judge_restored(guest, step, True)


def restore_qemu_dies(lab, step):
    guest = saved(lab, "t" + step.replace(":", ""))
    command = guest.beta.popen("restore", guest.file, steps=guest.steps)
    guest.steps.until(step)
    strike(guest.beta.qemu_pids()[0], "KILL")
    guest.steps.close()
    _, errors = command.communicate(timeout=60)
    tap.ok(command.returncode not in (0, -9) and not guest.beta.qemu_pids(),
           step + ": QEMU dies: the restore fails", command.returncode, errors)
    # the records advance in step 9, and QEMU was not asked anything since
    judge_restored(guest, step, int(step.split(":")[1]) < 9)


def cases():
    kinds = (("supervisor", SAVE, supervisor_dies), ("qemu", SAVE[:7], qemu_dies),
             ("cancel", SAVE[1:6], cancelled), ("command", SAVE[1:], command_dies),
             ("restore", RESTORE, restore_supervisor_dies),
             ("restore-qemu", RESTORE[6:11], restore_qemu_dies),
             ("daemon", ("save:4", "restore:8"), daemon_dies),
             ("sealed", ("killed", "refused"), sealed), ("byte", tuple(BYTES), bytes_written))
    for kind, every, case in kinds:
        for step in every if ALL else SUBSET[kind]:
            yield "%s %s" % (kind, step), case, step


def main():
    with Lab("save-steps") as lab:
        lab.store("--max-leases", "300")
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        for name, case, step in cases():
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            with tap.case(name, lab.end_guests):
                case(lab, step)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
