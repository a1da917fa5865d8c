#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-hotplug-steps.py: something goes wrong at each step of attach and detach: an image that
changes or goes away between two steps, QEMU that dies, a command that comes in between. What
is held is asked of the store, from another host.

Seen failing: without the second look at the chain the attach of the image that was replaced
goes on after attach:4.
"""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, alive, edit, has_open, requires, wait_until  # noqa: E402

ATTACH_STEPS = ["attach:%d" % n for n in range(1, 9)]
DETACH_STEPS = ["detach:%d" % n for n in range(1, 5)]
tap = Tap()


class Guest:
    """A guest whose supervisor stops at each step."""

    def __init__(self, lab, name, extra="", machine="pc"):
        self.lab = lab
        self.alpha, self.beta = lab.hosts
        self.name = name
        self.image = self.fresh(name + "-data.img")
        xml, self.uuid = lab.domain(name, lab.payload(name + ".img"), extra=extra)
        if machine != "pc":
            edit(xml, ("machine='pc'", "machine='%s'" % machine))
        self.steps = self.alpha.run_stepped(xml)
        self.qemu = self.alpha.state(self.uuid)["pid"]

    def fresh(self, name):
        path = self.lab.file(name)
        with open(path, "wb") as file:
            file.truncate(1 << 20)
        return path

    def attach(self):
        return self.alpha.popen("attach-disk", self.name, "--source", self.image, "--target", "vdb")

    def detach(self, seconds=20):
        return self.alpha.popen("detach-disk", self.name, "vdb", "--timeout", str(seconds))

    def through(self, process, last):
        """Lets all steps pass, the last one too."""
        self.steps.until(last)
        self.steps.go()
        return self.ended(process)

    def ended(self, process):
        output, errors = process.communicate(timeout=60)
        return process.returncode, output + errors

    def owners(self):
        done = self.beta.leasehold("--json", "who", self.image)
        return json.loads(done.stdout)["owners"]

    def untouched(self):
        state = self.alpha.state(self.uuid)
        return not self.owners() and not has_open(self.qemu, self.image) and \
            not any(lease.get("path") == self.image for lease in state["leases"])

    def end(self):
        self.steps.close()
        self.alpha.leasehold("destroy", self.name)


def undone(guest, step, written, what, spoil, mend, *words):
    """@written is the step in the journal: only attach:6 is written down."""
    attach = guest.attach()
    guest.steps.until(step)
    journal = guest.alpha.state(guest.uuid).get("step")
    spoil()
    guest.steps.go()
    status, said = guest.ended(attach)
    mend()
    tap.ok(status not in (0, 5) and all(word in said for word in words) and journal == written,
           "%s: %s fails the attach" % (step, what), status, said, journal)
    tap.ok(guest.untouched(), "%s: and it is undone" % step, guest.owners())


def replaced(guest):
    """An image of another name takes the image's place: another file under the same path."""
    os.rename(guest.fresh("another.img"), guest.image)


def spoiled(lab):
    guest = Guest(lab, "undo")
    hidden = guest.image + ".hidden"

    def hide():
        os.rename(guest.image, hidden)

    def show():
        os.rename(hidden, guest.image)

    undone(guest, "attach:2", None, "a missing image", hide, show, guest.image)
    undone(guest, "attach:4", None, "an image that was replaced", lambda: replaced(guest),
           lambda: None, "changed")
    undone(guest, "attach:6", "attach:6", "an image that went away", hide, show, "blockdev-add")

    attach = guest.attach()
    guest.steps.until("attach:4")
    busy = guest.alpha.leasehold("suspend", "undo")
    tap.ok(busy.returncode == 3 and "attaching a disk" in busy.stderr,
           "a command during an attach is refused, and told why", busy.stderr)
    guest.steps.go()
    status, said = guest.through(attach, "attach:8")
    tap.ok(status == 0 and len(guest.owners()) == 1, "afterwards it can be attached", said)
    status, said = guest.through(guest.detach(), "detach:4")
    tap.ok(status == 0 and guest.untouched(), "and detached", said)
    guest.end()


def qemu_dies(lab, step):
    guest = Guest(lab, "dies-" + step.replace(":", ""))
    command = guest.attach()
    if step in DETACH_STEPS:
        assert guest.through(command, "attach:8")[0] == 0
        command = guest.detach()
    guest.steps.until(step)
    os.kill(guest.qemu, signal.SIGKILL)
    assert wait_until(60, lambda: not alive(guest.qemu))
    guest.steps.close()
    status, said = guest.ended(command)
    gone = wait_until(30, lambda: not guest.alpha.state(guest.uuid))
    # at detach:4 there is nothing left to do but what the death does as well
    tap.ok((status != 0 or step == "detach:4") and gone and not guest.owners(),
           "%s: QEMU dies: the command does not claim more than it did, and all is free" % step,
           status, said)


def ignores(lab):
    """The payload knows no unplugging on q35."""
    guest = Guest(lab, "deaf", machine="q35")
    guest.steps.close()
    status, said = guest.ended(guest.attach())
    tap.ok(status == 0, "q35: a disk comes on a free root port", said)
    status, said = guest.ended(guest.detach(1))
    tap.ok(status == 4 and "stay held" in said and len(guest.owners()) == 1 and
           has_open(guest.qemu, guest.image), "q35: a guest that ignores the request keeps it",
           status, said)
    guest.alpha.leasehold("reset", "deaf")
    tap.ok(wait_until(20, guest.untouched), "q35: a reset lets go of it, and the lease is free")
    guest.end()


def main():
    requires("sanlock", "qemu-system-x86_64", "payload")
    with Lab("hotplug-steps") as lab:
        lab.store()
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        for case in (spoiled, ignores):
            with tap.case(case.__name__):
                case(lab)
        for step in ATTACH_STEPS + DETACH_STEPS:
            with tap.case("QEMU dies at " + step):
                qemu_dies(lab, step)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
