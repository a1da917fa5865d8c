#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""rsh.py HOST COMMAND...: runs COMMAND on another host; what ssh does, without its keys. The
other end is agent.py."""

import contextlib
import json
import os
import socket
import sys
import threading
import uuid

PORT = 7000


def connect(role, pair):
    connection = socket.create_connection((sys.argv[1], PORT))
    connection.sendall(json.dumps({"pair": pair, "role": role, "argv": sys.argv[2:]}).encode() + b"\n")
    return connection


def upwards(connection):
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while data := os.read(0, 65536):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


def downwards(connection):
    # an end that left some of what it was sent resets the connection
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            os.write(1, data)


def main():
    pair = str(uuid.uuid4())
    data, messages = connect("data", pair), connect("messages", pair)
    threading.Thread(target=upwards, args=(data,), daemon=True).start()
    down = threading.Thread(target=downwards, args=(data,))
    down.start()
    last = None
    for line in messages.makefile("rb"):
        if last is not None:
            os.write(2, last)
        last = line
    down.join()
    # os._exit: the thread that reads standard input may do so for ever
    os._exit(int(last) if last is not None and last.strip().isdigit() else 255)


main()
