"""Chunks in, batches to the spool, envelopes out, acknowledgements back."""

from .pipeline import Limits, Shipper

__all__ = ["Limits", "Shipper"]
