"""What stands between Pub/Sub and the instances of a function, as Cloud Run's own servers do."""

import base64
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests

SECONDS = 120
UNAVAILABLE = 503


@dataclass(frozen=True)
class Push:
    """One delivery of a message, and what the sender was told."""

    id: str
    data: dict[str, Any]
    status: int


class Front:
    """Passes each push on to the instances there are, to several at once; keeps what was pushed.

    Where there is no instance, or one dies at work, the sender gets 503.
    """

    def __init__(self) -> None:
        self.instances: Sequence[str] = ()
        self.pushes: list[Push] = []
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = front.pass_on(body, self.headers["Content-Type"])
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answers(self, id: str) -> list[int]:
        """Return what was told of a message, delivery by delivery."""
        return [push.status for push in self.pushes if push.id == id]

    def pass_on(self, body: bytes, kind: str) -> int:
        """Return the worst answer of the instances."""
        status = max(self._ask(self.instances, body, kind), default=UNAVAILABLE)
        message = json.loads(body)["message"]
        data = json.loads(base64.b64decode(message["data"]))
        self.pushes.append(Push(message["messageId"], data, status))
        return status

    def _ask(self, instances: Sequence[str], body: bytes, kind: str) -> list[int]:
        if not instances:
            return []
        barrier = threading.Barrier(len(instances))

        def ask(url: str) -> int:
            barrier.wait(SECONDS)
            try:
                headers = {"Content-Type": kind}
                return requests.post(url, body, headers=headers, timeout=SECONDS).status_code
            except requests.ConnectionError:
                return UNAVAILABLE

        with ThreadPoolExecutor(len(instances)) as threads:
            return list(threads.map(ask, instances))
