"""Zstandard as Python 3.14's standard library has it, or its back-port."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["zstd"]
