#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""qmp.py SOCKET STEP...: talk QMP from a shell test; each step ends within 10 s.

STEP is a command name ("query-status"), a whole command ('{"execute": ...}'), or
"wait:EVENT[:SECONDS]". Prints each reply as one line of JSON, events too; exit status 1 when a
command fails, 2 when the monitor is not there or does not answer, 3 when an event did not come.
"""
import json
import socket
import sys

ANSWER_SEC = 10


class Monitor:
    def __init__(self, path, out=None):
        """@out: where events are printed; standard output if it is not given."""
        self.out = out
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_SEC)
        self.sock.connect(path)
        self.lines = self.sock.makefile("r")
        self.events = []
        self.read()  # the greeting
        self.command("qmp_capabilities")

    def read(self):
        line = self.lines.readline()
        if not line:
            raise OSError("the monitor closed the connection")
        message = json.loads(line)
        if "event" in message:
            print(json.dumps(message), file=self.out, flush=True)
            self.events.append(message["event"])
        return message

    def command(self, step):
        whole = json.loads(step) if step.startswith("{") else {"execute": step}
        self.sock.sendall(json.dumps(whole).encode() + b"\n")
        while True:
            message = self.read()
            if "event" not in message:
                return message

    def wait(self, event, seconds):
        self.sock.settimeout(seconds)
        while event not in self.events:
            self.read()
        self.sock.settimeout(ANSWER_SEC)


def main():
    try:
        monitor = Monitor(sys.argv[1])
        for step in sys.argv[2:]:
            if step.startswith("wait:"):
                event, _, seconds = step[5:].partition(":")
                try:
                    monitor.wait(event, float(seconds or ANSWER_SEC))
                except socket.timeout:
                    print("no event " + event, file=sys.stderr)
                    return 3
                continue
            reply = monitor.command(step)
            print(json.dumps(reply.get("return", reply)), flush=True)
            if "error" in reply:
                return 1
    except (OSError, ValueError) as error:
        print("%s: %s" % (sys.argv[1], error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
