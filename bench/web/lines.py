"""Generate a long job like a service's log: coloured requests, JSON, warnings, errors with their traces."""

from collections.abc import Iterator

PATHS = ("/api/items", "/api/orders", "/health", "/login", "/static/app.js")


def service_lines(count: int) -> Iterator[str]:
    """Yield `count` lines of some 100 bytes each, the same every time."""
    for number in range(1, count + 1):
        path = PATHS[number % 5]
        kind = number % 20
        if kind < 9:
            colour = 31 if number % 500 == 0 else 32
            request = f"request id={number:08x} \x1b[1mGET\x1b[0m {path}/{number % 9973} 200"
            yield f"\x1b[{colour}mINFO\x1b[0m  {request} in {number % 97} ms from 10.0.{number % 250}.7"
        elif kind < 15:
            head = f'{{"level":"info","msg":"handled","path":"{path}/{number % 9973}"'
            yield f'{head},"ms":{number % 97},"request":"{number:08x}","pod":"web-{number % 7}"}}'
        elif kind == 15:
            yield f"WARN slow query on shard {number % 31}: {number % 900} ms, select * from items where id = {number}"
        elif kind == 16 and number % 200 == 16:
            yield f"ERROR could not reach db-{number % 13}: connection refused (attempt {number % 5}) ✗"
        else:
            trace = number * 2654435761 % 2**32
            yield f"worker {number % 64} took job {number:08x} of queue a, {number % 4096} bytes, trace {trace:08x}"


def service_streams(count: int) -> str:
    """Return the streams of the lines, a third on stderr."""
    return ("ooe" * (count // 3 + 1))[:count]
