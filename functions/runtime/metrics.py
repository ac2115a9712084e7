"""Metrics in CloudWatch's embedded format."""

from aws_lambda_powertools import Metrics


def flush(metrics: Metrics) -> None:
    """Write what was counted since the last flush. Without anything counted, write nothing and no warning."""
    if metrics.provider.metric_set:
        metrics.flush_metrics()
