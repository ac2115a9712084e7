"""Chunks in, batches to the spool, envelopes out, acknowledgements back."""

from .shipper import Limits, Shipper

__all__ = ["Limits", "Shipper"]
