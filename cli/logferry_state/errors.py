"""Errors of the local cloud, each with what to do about it."""

from __future__ import annotations


class LocalCloudError(Exception):
    """A step of the local cloud failed.

    `sentence` says which and why, `advice` what the user can do.
    """

    def __init__(self, sentence: str, advice: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.sentence} {self.advice}"


class NotRunningError(LocalCloudError):
    """The state folder holds no local cloud."""


class StepFailedError(LocalCloudError):
    """A program that a step runs (sam, npm, ministack …) failed."""
