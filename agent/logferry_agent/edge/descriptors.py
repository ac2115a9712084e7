"""The limit of open files, and how much of it logs may use."""

from __future__ import annotations

import errno
import os
import resource
from typing import Final

RESERVED: Final = 64
"""Descriptors that logs leave free for the engine, the cloud and the spool. Without one of those the agent stalls, and
misses the ends of containers that would free others. Of a limit below 128, half is left."""
_MOST: Final = 1_048_576


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one, as far as the kernel allows, and return the limit.

    The soft limit is 1,024 nearly everywhere, for programs that use `select`. Three hundred containers need more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
        return wanted
    return soft


def open_log(path: str | os.PathLike[str]) -> int:
    """Open a log file for reading.

    Raises:
        OSError: It does not exist, may not be read, or logs already have so many files open that none is left for
            others.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # The kernel gives the lowest free number: a high one means that nearly all are in use.
    if limit != resource.RLIM_INFINITY and descriptor >= limit - min(RESERVED, limit // 2):
        os.close(descriptor)
        raise OSError(
            errno.EMFILE,
            f"the agent may have {limit} files open, too few for this many logs: raise its limit "
            "(docker run --ulimit nofile=65536, systemd's LimitNOFILE=, ulimit -n)",
        )
    return descriptor
