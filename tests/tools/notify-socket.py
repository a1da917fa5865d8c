# SPDX-License-Identifier: LGPL-2.1-or-later
"""notify-socket.py SOCKET FILE: a service manager's notification socket. Each datagram goes
to FILE, one a line, its own lines joined by '|', with the pid of the sender. '@NAME' is
a socket in the abstract namespace."""
import socket
import struct
import sys

path, out = sys.argv[1:]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
sock.bind("\0" + path[1:] if path.startswith("@") else path)
with open(out, "w", encoding="utf-8") as log:
    print("bound", file=log, flush=True)
    while True:
        data, control, _, _ = sock.recvmsg(65536, 256)
        pid = struct.unpack("iII", control[0][2])[0]
        print(pid, "|".join(data.decode().splitlines()), file=log, flush=True)
