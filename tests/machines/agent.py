#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""agent.py: does what the test tells a host, and what another host's rsh.py asks of it.

The test talks over a serial line, a JSON object a line: {"environment"} is what every program
gets; {"id", "argv"} is a program to run to its end, answered by {"id", "status", "out", "err"}
when that is reached, in whatever order.
rsh.py makes two connections: one is the program's standard input and output, the other one
brings its messages and, as the last line, its exit status.
"""

import glob
import json
import os
import socket
import subprocess
import sys
import threading

PORT = 7000
waiting = {}  # of the two connections of an rsh, the one that came first
waiting_lock = threading.Lock()


def serial_line():
    for name in glob.glob("/sys/class/virtio-ports/*/name"):
        with open(name) as file:
            if file.read().strip() == "commands":
                return "/dev/" + name.split("/")[-2]
    sys.exit("no serial line for commands")


class Commands:
    def __init__(self):
        self.line = os.open(serial_line(), os.O_RDWR)
        self.lock = threading.Lock()

    def say(self, message):
        data = json.dumps(message).encode() + b"\n"
        with self.lock:
            while data:
                data = data[os.write(self.line, data):]

    def run(self, ask):
        try:
            done = subprocess.run(ask["argv"], stdin=subprocess.DEVNULL, check=False,
                                  capture_output=True, text=True, errors="replace")
            self.say({"id": ask["id"], "status": done.returncode, "out": done.stdout,
                      "err": done.stderr})
        except OSError as error:
            self.say({"id": ask["id"], "status": 127, "out": "", "err": str(error)})

    def listen(self):
        self.say({"ready": True})
        buffer = b""
        while True:
            buffer += os.read(self.line, 65536)
            *lines, buffer = buffer.split(b"\n")
            for ask in map(json.loads, lines):
                if "environment" in ask:
                    os.environ.update(ask["environment"])
                else:
                    threading.Thread(target=self.run, args=(ask,), daemon=True).start()


def read_line(connection):
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            return None
        line += byte
    return json.loads(line)


def serve(ask, data, messages):
    with data, messages:
        try:
            with subprocess.Popen(ask["argv"], stdin=data, stdout=data,
                                  stderr=subprocess.PIPE) as program:
                data.close()
                for line in program.stderr:
                    messages.sendall(line)
                status = program.wait()
        except OSError as error:
            messages.sendall(("%s\n" % error).encode())
            status = 127
        messages.sendall(("%d\n" % (status if status >= 0 else 128 - status)).encode())


def meet(connection):
    ask = read_line(connection)
    if ask is None:
        return
    with waiting_lock:
        other = waiting.pop(ask["pair"], None)
        if other is None:
            waiting[ask["pair"]] = (ask, connection)
            return
    pair = {other[0]["role"]: other[1], ask["role"]: connection}
    serve(ask, pair["data"], pair["messages"])


def main():
    listener = socket.create_server(("", PORT))
    commands = Commands()
    threading.Thread(target=commands.listen, daemon=True).start()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=meet, args=(connection,), daemon=True).start()


main()
