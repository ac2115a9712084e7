"""The dead-letter folder: batches that the cloud refused permanently, kept for inspection."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from .private_folder import open_private
from .spool import Stored

KEPT = 1_000
"""Number of newest files kept, so that a cloud that refuses everything cannot fill the disk."""


class DeadLetters:
    """Files named after job and first sequence (`unsent-` and a number where there is none yet).

    The body decodes with `logferry_protocol.batch.decode_body`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, stored: Stored, reason: str, message: str) -> Path | None:
        """Write a refused batch to a file.

        Returns:
            The file; None when the disk does not take it. The gap entry still reports the loss.
        """
        batch = stored.batch
        document = {
            "job": stored.job,
            "first": stored.first,
            "count": batch.count,
            "reason": reason,
            "message": message,
            "start": batch.start,
            "end": batch.end,
            "digest": batch.digest,
            "cursor": batch.cursor,
            "body": base64.b64encode(batch.body).decode(),
        }
        number = stored.first if stored.first is not None else f"unsent-{stored.id}"
        path = self._folder / f"{stored.job}-{number}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(path, "w", opener=open_private) as file:
                json.dump(document, file)
            for old in sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError:
            return None
        return path
