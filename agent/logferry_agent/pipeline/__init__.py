"""From chunks to the cloud: batches to the spool, envelopes out, acknowledgements back."""

from .pipeline import Pipeline, PipelineSettings

__all__ = ["Pipeline", "PipelineSettings"]
