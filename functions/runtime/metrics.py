"""Metrics in CloudWatch's embedded format."""

from aws_lambda_powertools import Metrics


def flush(metrics: Metrics) -> None:
    """Writes what was counted since the last flush; nothing, and no warning, when nothing was."""
    if metrics.provider.metric_set:
        metrics.flush_metrics()
