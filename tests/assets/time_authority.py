"""A time-stamp authority over HTTP (RFC 3161 section 3.4), for tests: the path says how it behaves.

python time_authority.py KEY.pem CHAIN.pem        prints its address, serves until its standard input closes
"""

import http.server
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from asn1crypto import cms, tsp
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gensafe.core.clock import SystemClock
from gensafe.provenance import LocalTimeStamper


class Quiet(http.server.ThreadingHTTPServer):
    """Says nothing about clients that went away: printing a traceback parses code, which Python 3.11 does not do safely
    beside a test that is being imported in another thread.
    """

    def handle_error(self, request, client_address):
        pass


class Authority(http.server.BaseHTTPRequestHandler):
    tsa: ClassVar[Any] = None
    asked: ClassVar[list] = []  # paths, in order
    down: ClassVar[set] = set()  # paths that answer 503 now

    def do_POST(self):
        path = self.path.split("?")[0]
        self.asked.append(path)
        request = tsp.TimeStampReq.load(self.rfile.read(int(self.headers["Content-Length"])))
        if path == "/silent":
            time.sleep(60)
        imprint = request["message_imprint"]["hashed_message"].native
        nonce = request["nonce"].native
        token = self.tsa.stamp(bytes(32) if path == "/other" else imprint, nonce=1 if path == "/nonce" else nonce)
        status = {"status": "rejection" if path == "/refuse" else "granted"}
        body = tsp.TimeStampResp({"status": status, "time_stamp_token": cms.ContentInfo.load(token)}).dump()
        if path == "/forged":
            body = body[:-1] + bytes([body[-1] ^ 1])  # the last byte of the signature
        body = {"/junk": b"junk", "/large": bytes(1 << 20)}.get(path, body)
        self.send_response(503 if path == "/down" or path in self.down else 200)
        self.end_headers()
        for byte in body if path == "/drip" else ():
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.2)
        self.wfile.write(b"" if path == "/drip" else body)

    def log_message(self, *args):
        pass


@contextmanager
def serving(tsa):
    """(handler class, address) of an authority in a thread."""
    handler = type("Handler", (Authority,), {"tsa": tsa, "asked": [], "down": set()})
    server = Quiet(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


if __name__ == "__main__":
    key = load_pem_private_key(Path(sys.argv[1]).read_bytes(), None)
    with serving(LocalTimeStamper(key, Path(sys.argv[2]).read_bytes(), SystemClock())) as (_, url):
        print(url, flush=True)
        sys.stdin.read()
