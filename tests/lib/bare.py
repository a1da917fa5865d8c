# SPDX-License-Identifier: LGPL-2.1-or-later
"""bare.py: QEMU without Leasehold, driven by its monitor, as far as it moves a guest.

    prepare_key(lab)
    target = Bare(lab, argv, "target", "-incoming", "defer")
    target.prepare("server", tls=True)
    target.qmp("migrate-incoming", uri="unix:" + path)
    while not target.completed():
        target.read()
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import lab as testlab

KEY = "00112233445566778899aabbccddeeff" * 2
ANSWER_SEC = 60


def prepare_key(lab):
    """What tls-creds-psk reads; the group, so that QEMU does not make one up, which takes long."""
    with open(lab.file("keys.psk"), "w") as out:
        out.write("leasehold:%s\n" % KEY)
    source = os.path.join(testlab.TOP_SRC, "domain_lock/migrate/migrate_tls.c")
    with open(source) as text:
        lines = re.findall(r'^    "(.*)\\n"', text.read(), re.M)
    with open(lab.file("dh-params.pem"), "w") as out:
        out.write("\n".join(lines) + "\n")


class Bare:
    """A QEMU that waits for "cont", its monitor, and a log of what it says."""

    def __init__(self, lab, argv, name, *more, env=None):
        self.lab, self.folder = lab, lab.file(name)
        os.makedirs(self.folder, exist_ok=True)
        self.log = os.path.join(self.folder, "log")
        path = os.path.join(self.folder, "qmp")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        argv = [*argv, "-qmp", "unix:%s,server=on,wait=off" % path, "-S", *more]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(argv, env=dict(lab.environment(), **(env or {})),
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.sock = None
        if not testlab.wait_until(10, lambda: self._connect(path)):
            self.end()
            raise AssertionError("QEMU has no monitor: " + self.said())
        self.buffer, self.statuses = b"", []
        self._message()
        self.qmp("qmp_capabilities")

    def _connect(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_SEC)
        try:
            self.sock.connect(path)
            return True
        except OSError:
            self.sock.close()
            return False

    def _fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise AssertionError("QEMU closed its monitor: " + self.said())
        self.buffer += data

    def _message(self):
        while b"\n" not in self.buffer:
            self._fill()
        line, _, self.buffer = self.buffer.partition(b"\n")
        message = json.loads(line)
        if message.get("event") == "MIGRATION":
            self.statuses.append(message["data"]["status"])
        return message

    def read(self):
        """What it says by itself: at least one message, and every one that came along with it."""
        self._message()
        while b"\n" in self.buffer:
            self._message()

    def qmp(self, command, **arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value
                                    for key, value in arguments.items()}
        self.sock.sendall(json.dumps(request).encode() + b"\n")
        answer = None
        # events that came along are read now: nobody is told of them again
        while answer is None or b"\n" in self.buffer:
            message = self._message()
            if "error" in message:
                raise AssertionError("QEMU, %s: %s" % (command, message["error"]["desc"]))
            answer = message.get("return", answer)
        return answer

    def prepare(self, endpoint, tls=True, late=True):
        """The capabilities and the credentials that Leasehold sets."""
        names = ["events"] + (["late-block-activate"] if endpoint == "server" and late else [])
        self.qmp("migrate-set-capabilities", capabilities=[
            {"capability": name, "state": True} for name in names])
        if tls:
            more = {"username": "leasehold"} if endpoint == "client" else {}
            self.qmp("object-add", qom_type="tls-creds-psk", id="tls", endpoint=endpoint,
                     dir=self.lab.path, **more)
            self.qmp("migrate-set-parameters", tls_creds="tls")

    def completed(self):
        return "completed" in self.statuses

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self.sock.close()
