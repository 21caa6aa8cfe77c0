"""A server in front of a Firestore emulator that fails as Firestore does, before or after."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.cloud.firestore_v1.types import firestore as messages
from grpc import StatusCode as Code

REQUEST = messages.BatchWriteRequest.pb()
RESPONSE = messages.BatchWriteResponse.pb()
BURSTS = (Code.ABORTED, Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
STREAMS = {"BatchGetDocuments", "RunQuery", "RunAggregationQuery"}


class Faulty(grpc.GenericRpcHandler):
    """Passes calls on; `calls` and `writes` count what came, by method and by BatchWrite's writes.

    Args:
        whole: how likely a call fails as a whole, half of them after it was carried out.
        single: how likely a write of a BatchWrite fails alone, likewise.
        burst: calls that fail in a row, once one does.
    """

    def __init__(self, upstream, *, whole=0.0, single=0.0, burst=3, seed=1):
        self.whole, self.single, self.burst = whole, single, burst
        self.calls, self.writes, self.failed = Counter(), 0, Counter()
        self.held, self._most, self._released = threading.Event(), None, threading.Event()
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._left = 0
        self._channel = grpc.insecure_channel(upstream)
        self._server = grpc.server(ThreadPoolExecutor(16), handlers=[self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self.release()
        self._server.stop(0).wait()
        self._channel.close()

    def hold(self, after):
        """Keep each BatchWrite beyond *after* more writes waiting; `held` is set when one does."""
        with self._lock:
            self._released.clear()
            self._most = self.writes + after

    def release(self):
        """Carry out what waits, and all that comes."""
        with self._lock:
            self._most = None
            self._released.set()

    def service(self, handler_call_details):
        method = handler_call_details.method
        name = method.rpartition("/")[2]
        if name in STREAMS:
            call = self._channel.unary_stream(method)
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: self._pass(
                    name, context, lambda: iter([*call(request, metadata=_metadata(context))])
                )
            )
        call = self._channel.unary_unary(method)

        def send(request, context):
            return call(request, metadata=_metadata(context))

        if name == "BatchWrite":
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: self._pass(
                    name, context, lambda: self._batch(request, context, send)
                )
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._pass(name, context, lambda: send(request, context))
        )

    def _pass(self, name, context, carry_out):
        with self._lock:
            self.calls[name] += 1
            if self._left == 0 and self._chance.random() < self.whole:
                self._left = self._chance.randint(1, self.burst)
            fails = self._left > 0
            self._left -= fails
            code, after = self._chance.choice(BURSTS), self._chance.random() < 0.5
        if fails and not after:
            self.failed[code] += 1
            context.abort(code, "before")
        try:
            answer = carry_out()
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        if fails:
            self.failed[code] += 1
            context.abort(code, "after")
        return answer

    def _batch(self, request, context, send):
        asked = REQUEST.FromString(request)
        with self._lock:
            self.writes += len(asked.writes)
            waits = self._most is not None and self.writes > self._most
            fates = [
                self._chance.choice(("before", "after"))
                if self._chance.random() < self.single
                else None
                for _ in asked.writes
            ]
            codes = [self._chance.choice(BURSTS) for _ in fates]
        if waits:
            self.held.set()
            self._released.wait()
        sent = [n for n, fate in enumerate(fates) if fate != "before"]
        passed = REQUEST(database=asked.database, writes=[asked.writes[n] for n in sent])
        answers = RESPONSE()
        if sent:
            answers = RESPONSE.FromString(send(passed.SerializeToString(), context))
        statuses = dict(zip(sent, answers.status, strict=True))
        result = RESPONSE()
        for number, fate in enumerate(fates):
            result.write_results.add()
            status = result.status.add()
            if fate is None:
                status.CopyFrom(statuses[number])
            else:
                status.code = codes[number].value[0]
                self.failed[fate] += 1
                self.failed[codes[number]] += 1
        return result.SerializeToString()


def _metadata(context):
    kept = {"authorization", "google-cloud-resource-prefix", "x-goog-request-params"}
    return [(key, value) for key, value in context.invocation_metadata() if key in kept]
