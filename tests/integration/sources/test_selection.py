"""Test with real engines' lists, events and inspections which containers are read, and which source decides."""

from __future__ import annotations

import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.engines import IMAGE, Engine

from logferry_protocol.events import Exited, Notice

pytestmark = pytest.mark.engine


def test_inspection_overrides_labels_and_moved_tags(engine: Engine, watch: Watcher, prefix: str) -> None:
    """A container whose image's tag moved keeps its image name; a label `exitCode` is no exit code."""
    image = f"{prefix}api"
    engine.client.images.get(IMAGE).tag(image, "latest")
    script = "while [ ! -e /go ]; do sleep 0.05; done; echo done; exit 3"
    labels = {"exitCode": "0", "name": "forged", "image": "forged", "oldName": "forged", "signal": "9"}
    options = {"type": "json-file", "config": {"mode": "non-blocking"}}
    container = engine.run(script, image=image, name=prefix + "a", labels=labels, log_config=options)
    try:
        container.commit(image, "latest", message="another image takes the tag")
        (listed,) = engine.client.api.containers(filters={"id": container.id})
        assert not listed["Image"].startswith(image), "the engine shows the image's id now"
        seen = watch("api", include_names=[], include_images=[image])
        log = seen.log(container.id)
        container.exec_run(["sh", "-c", ": > /go"])
        seen.ended(container.id)
        assert log.lines() == ["done"]
        assert [event.exit_code for event in log.events() if isinstance(event, Exited)] == [3]
        assert [event.code for event in log.events() if isinstance(event, Notice)] == ["non_blocking"]
        known = log.jobs[-1].container
        assert (known.name, known.image) == (prefix + "a", image)
        assert known.labels["exitCode"] == "0"
    finally:
        container.remove(force=True)
        engine.client.images.remove(image, force=True)
