#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-crash-steps.py: a real QEMU guest, and each process killed at each step of its start
and end.

LEASEHOLD_STEP_FD stops the supervisor before each numbered step; there something is killed.
Whatever it was: nothing runs that nobody knows of, a guest that lives is listed and can be
ended, and afterwards the guest can be started again. That writers never interleave is tested
elsewhere, with disks that notice.

Seen failing: with a runtime folder that is taken over unswept (a second start is not refused for
the QEMU that a dead supervisor left).
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import (DEADLINE, LEASEHOLD, Lab, NAME, UUID, fail, kill,  # noqa: E402
                 processes, supervisors, wait_until)

START = range(1, 11)
END = range(1, 5)
# From this step of a start on QEMU has been executed.
EXECUTED = 8


class Stepped:
    """leasehold run whose supervisor stops before each step."""

    def __init__(self, lab):
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(DEADLINE)
        env = dict(lab.env, LEASEHOLD_STEP_FD=str(theirs.fileno()))
        self.tool = subprocess.Popen([LEASEHOLD, "run", lab.xml], env=env,
                                     pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        theirs.close()
        self.input = b""

    def next(self):
        """The step before which it stops now, or None at the end."""
        while b"\n" not in self.input:
            try:
                more = self.ours.recv(100)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.input += more
        line, self.input = self.input.split(b"\n", 1)
        return line.decode()

    def go_to(self, step):
        while True:
            at = self.next()
            if at == step:
                return
            if at is None:
                fail("the start ended before %s: %s" % (step, self.tool.communicate()[1]))
            self.go()

    def go(self):
        self.ours.send(b"g")

    def go_on(self):
        """No more stops: the end of the file means go on."""
        self.ours.close()

    def finish(self):
        _, errors = self.tool.communicate(timeout=DEADLINE)
        return self.tool.returncode, errors

    def close(self):
        self.ours.close()
        if self.tool.poll() is None:
            self.tool.kill()
        self.tool.communicate()


def orphan_is_known(lab):
    if lab.state() != "unsupervised":
        fail("QEMU lives without a supervisor, and list says: %s" % lab.state())
    done = lab.leasehold("run", lab.xml)
    if done.returncode != 3 or "unsupervised" not in done.stderr:
        fail("a second start was not refused as it should be: %d %s" %
             (done.returncode, done.stderr))
    done = lab.leasehold("destroy", NAME)
    if done.returncode != 0:
        fail("the unsupervised guest cannot be destroyed: " + done.stderr)


def supervisor_dies_in_start(lab, number):
    with_steps = Stepped(lab)
    try:
        with_steps.go_to("start:%d" % number)
        kill(supervisors())
        status, errors = with_steps.finish()
        if status != 5:
            fail("run ended with %d: %s" % (status, errors))
    finally:
        with_steps.close()
    if number >= EXECUTED:
        orphan_is_known(lab)
    lab.assert_nothing_runs()
    lab.assert_starts_again()


def child_dies_in_start(lab, number):
    with_steps = Stepped(lab)
    try:
        with_steps.go_to("start:%d" % number)
        child = lab.children() or fail("there is no child at step %d" % number)
        kill(child)
        with_steps.go_on()
        status, errors = with_steps.finish()
    finally:
        with_steps.close()
    if number <= 9 and status not in (1, 4):
        fail("run ended with %d: %s" % (status, errors))
    lab.assert_nothing_runs()
    if number <= 9 and lab.state() not in (None, "shut-off"):
        fail("list says: %s" % lab.state())
    lab.assert_starts_again()


def starter_cancels(lab, number):
    with_steps = Stepped(lab)
    try:
        with_steps.go_to("start:%d" % number)
        with_steps.tool.send_signal(signal.SIGINT)
        # the word has to arrive before the step goes on
        time.sleep(0.05)
        with_steps.go_on()
        status, errors = with_steps.finish()
    finally:
        with_steps.close()
    if status == 0:
        fail("run was cancelled and ended with 0: " + errors)
    lab.assert_nothing_runs()
    lab.assert_starts_again()


def starter_dies(lab, number):
    with_steps = Stepped(lab)
    try:
        with_steps.go_to("start:%d" % number)
        with_steps.tool.kill()
        with_steps.tool.wait()
        with_steps.go_on()
    finally:
        with_steps.close()
    wait_until("the guest runs all the same", lambda: lab.state() == "running")
    if lab.leasehold("destroy", NAME).returncode != 0:
        fail("it cannot be destroyed")
    lab.assert_nothing_runs()


def supervisor_dies_in_end(lab, number):
    with_steps = Stepped(lab)
    destroy = None
    try:
        for step in START:
            with_steps.go_to("start:%d" % step)
            with_steps.go()
        if with_steps.finish()[0] != 0:
            fail("the guest did not start")
        destroy = subprocess.Popen([LEASEHOLD, "destroy", NAME], env=lab.env,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with_steps.go_to("end:%d" % number)
        kill(supervisors())
        # it finds another way to end QEMU, or says that it does not know
        if destroy.wait(DEADLINE) == 0 and processes(UUID):
            fail("destroy reported success, and QEMU lives")
    finally:
        with_steps.close()
        if destroy and destroy.poll() is None:
            destroy.kill()
    wait_until("QEMU is gone", lambda: not processes(UUID))
    if lab.state() != "shut-off":
        fail("list says: %s" % lab.state())
    lab.assert_starts_again()


def cases():
    for number in START:
        yield ("the supervisor is killed at start:%d" % number,
               supervisor_dies_in_start, number)
    for number in range(4, 11):
        yield "the child is killed at start:%d" % number, child_dies_in_start, number
    for number in range(4, 10):
        yield "the starter cancels at start:%d" % number, starter_cancels, number
    for number in START:
        yield "the starter is killed at start:%d" % number, starter_dies, number
    for number in END:
        yield "the supervisor is killed at end:%d" % number, supervisor_dies_in_end, number


def main():
    if not shutil.which("qemu-system-x86_64"):
        strict = os.environ.get("LEASEHOLD_TEST_STRICT") == "1"
        print("1..1\nnot ok 1 - no qemu" if strict else "1..0 # SKIP no qemu")
        return 1 if strict else 0
    todo = list(cases())
    failed = 0
    print("1..%d" % len(todo))
    lab = Lab()
    try:
        for index, (name, function, number) in enumerate(todo, 1):
            try:
                function(lab, number)
                print("ok %d - %s" % (index, name), flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                failed += 1
                print("not ok %d - %s\n# %s" %
                      (index, name, str(error).replace("\n", "\n# ")), flush=True)
                lab.clean()
    finally:
        lab.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
