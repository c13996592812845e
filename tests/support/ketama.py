"""Where libmemcached puts keys: sets each key of standard input through pylibmc, then asks every server who has it.

Arguments: the servers, `host:port` or the path of a socket. Prints a line for each key: the server's index.
"""

import socket
import sys

import pylibmc

servers = sys.argv[1:]
keys = [line.strip() for line in sys.stdin]
client = pylibmc.Client(servers, binary=False, behaviors={"ketama_weighted": True})
for key in keys:
    if not client.set(key, "x"):
        sys.exit(f"pylibmc did not set {key}")

where = {}
for index, server in enumerate(servers):
    if server.startswith("/"):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(server)
    else:
        host, port = server.rsplit(":", 1)
        stream = socket.create_connection((host, int(port)))
    lines = stream.makefile("rwb")
    for key in keys:
        lines.write(f"mg {key}\r\n".encode())
        lines.flush()
        if lines.readline().startswith(b"HD"):
            if key in where:
                sys.exit(f"{key} is on two servers")
            where[key] = index
for key in keys:
    print(where[key])
