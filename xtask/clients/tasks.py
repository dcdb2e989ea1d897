"""A job queue in Python: Dramatiq. Prints what became of the messages.

usage: python tasks.py PORT
"""

import json
import sys
import threading
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, Middleware
from dramatiq.rate_limits import ConcurrentRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultBackend

ADDRESS = {"host": "127.0.0.1", "port": int(sys.argv[1])}


class Count(Middleware):
    """Counts how messages ended."""

    def __init__(self):
        self.lock = threading.Lock()
        self.ended = {"done": 0, "raised": 0, "skipped": 0}

    def _add(self, how):
        with self.lock:
            self.ended[how] += 1

    def after_process_message(self, broker, message, *, result=None, exception=None):
        self._add("done" if exception is None else "raised")

    def after_skip_message(self, broker, message):
        self._add("skipped")


count = Count()
results = ResultBackend(**ADDRESS)
broker = RedisBroker(**ADDRESS, dead_message_ttl=60_000)
for middleware in (Results(backend=results), CurrentMessage(), count):
    broker.add_middleware(middleware)
dramatiq.set_broker(broker)
limiter = ConcurrentRateLimiter(LimitBackend(**ADDRESS), "one", limit=1)


@dramatiq.actor(store_results=True, max_retries=0)
def square(number):
    return number * number


@dramatiq.actor(max_retries=2, min_backoff=10, max_backoff=20)
def fails(times):
    message = CurrentMessage.get_current_message()
    if message.options.get("retries", 0) < times:
        raise RuntimeError("again")


@dramatiq.actor(queue_name="other", store_results=True, max_retries=0)
def alone(number):
    with limiter.acquire(raise_on_failure=False) as acquired:
        return [number, bool(acquired)]


messages = [square.send(number) for number in range(50)]
late = square.send_with_options(args=(100,), delay=50)
for times in (0, 1, 2, 5):
    fails.send(times)
others = [alone.send(number) for number in range(5)]
before = {name: broker.client.llen(f"dramatiq:{name}") for name in ("default", "other")}
worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=50)
worker.start()
for name in ("default", "other"):
    broker.join(name)
deadline = time.monotonic() + 20
while count.ended["done"] < 50 + 1 + 3 + 5 and time.monotonic() < deadline:
    time.sleep(0.01)
worker.join()
outcome = {
    "before": before,
    "squares": [results.get_result(message, block=True, timeout=5000) for message in messages],
    "late": results.get_result(late, block=True, timeout=5000),
    "others": sorted(results.get_result(message, block=True)[0] for message in others),
    "ended": count.ended,
    "dead": broker.client.zcard("dramatiq:default.XQ"),
    "left": [broker.client.llen(f"dramatiq:{name}") for name in ("default", "other")],
    "unacknowledged": sum(broker.client.scard(key) for key in broker.client.keys("*acks*")),
}
worker.stop()
print(json.dumps(outcome, sort_keys=True))
