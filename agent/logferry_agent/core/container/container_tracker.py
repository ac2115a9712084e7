"""Decide what the engine's lists, answers and events mean for the reading of each container.

Theory of operation
-------------------
Three sources tell of a container: the engine's list, `inspect`, and events. Events may be lost, and `inspect` knows
only the newest run. `ContainerTracker` keeps what none of the three repeats: which containers are excluded, which were
created while the agent watched, and how a run ended. It compares each report with the metadata that is known so far,
and returns a value that says what changed (`Observation`, `Admission`).

The tracker has no clock, no threads and does no I/O. edge/readers.py calls it from two threads and holds a lock around
the calls that end in an `Observation`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from logferry_protocol.events import Notice
from logferry_protocol.job import Container, LifeCycle

from ..batching.lifecycle import RunState
from ..batching.processing import ProcessingOptions
from ..redaction.redaction import compile_rules
from . import label_settings
from .ecs_task import EcsTask
from .filters import Selection
from .metadata import ContainerMetadata, from_event, from_inspect
from .oom import WAIT_S, OomDetector

_EXIT_CODE_LABEL: Final = "exitCode"
"""The engine writes a label of this name over its own attribute in a `die` event (moby 20879)."""
_EXIT_CODE: Final = re.compile(r"-?[0-9]{1,10}")
_APPEARANCES: Final = frozenset({"create", "start", "restart"})
"""Events that show a container which `inspect` no longer finds."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a report changes for a container that is being read. Apply `ended` first, then `metadata`."""

    ended: tuple[RunState, ...] = ()
    """Ends to record, in order."""
    metadata: ContainerMetadata | None = None
    """The container's new metadata; None: unchanged, apart from `ended`."""
    inspect_after_s: float | None = None
    """Inspect the container again after this many seconds; None: not needed."""

    @property
    def changes(self) -> bool:
        """Return whether there is anything to record."""
        return bool(self.ended) or self.metadata is not None


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision on a container that is not being read yet."""

    metadata: ContainerMetadata | None
    """The metadata to read it with; None: do not read it."""
    reason: str = ""
    """Why the container is not read, in words that follow "because". With `metadata`, an earlier run of the agent read
    it: its job gets a notice and follows the container to its end."""
    fresh: bool = False
    """Whether the container's whole life is seen, so that its first start comes before everything in the log."""


class ContainerTracker:
    """Tracks the containers of one engine."""

    def __init__(
        self,
        filters: Selection,
        *,
        host: str = "",
        processing: ProcessingOptions | None = None,
        allow_labels: Collection[str] = label_settings.ALL,
    ) -> None:
        """Start without any container.

        Args:
            filters: which containers are read.
            host: the name to record as the containers' host.
            processing: what the agent's operator has set. Labels add to it.
            allow_labels: names of `label_settings.ALL` that a container may set by a label.
        """
        self.jobs_before: frozenset[str] = frozenset()
        """Containers that an earlier run of the agent read, to their end or not."""
        self.task: EcsTask | None = None
        """The ECS task that the agent runs in, once it is known."""
        self.ended: set[str] = set()
        """Containers whose last event in order was the end of a run. Only then does a start event begin a new run: the
        start time that `inspect` gives for the same run is a little earlier than the event."""
        self._filters = filters
        self._host = host
        self._processing = processing or ProcessingOptions()
        self._allow_labels = allow_labels
        self._excluded: dict[str, str] = {}
        """Containers that are not read, with the name that the decision used. Everything else that counts never
        changes."""
        self._created: set[str] = set()
        """Containers that were created while the agent watched: their whole life is seen."""
        self._oom = OomDetector()

    # --- descriptions ---

    def describe(self, found: Mapping[str, Any]) -> ContainerMetadata:
        """Return the metadata of a container from the engine's answer to `inspect`."""
        named = self._filters.named_labels
        return self._with_label_settings(from_inspect(found, self._host, self.task, named=named))

    def describe_from_event(
        self, action: str, container: str, attributes: Mapping[str, str], time_ns: int
    ) -> ContainerMetadata | None:
        """Return the metadata of a container that `inspect` no longer finds.

        Args:
            action: the event's. Only a creation or a start shows that the container is new; others give None.
            container: its id.
            attributes: the event's.
            time_ns: the event's time in nanoseconds since 1970.
        """
        if action not in _APPEARANCES:
            return None
        named = self._filters.named_labels
        metadata = self._with_label_settings(
            from_event(container, attributes, self._host, time_ns, self.task, named=named)
        )
        if action == "create":
            life = LifeCycle(state="created", created=time_ns // 1_000_000)
            metadata = replace(metadata, run_state=RunState(), life=life)
        return metadata

    def with_task(self, metadata: ContainerMetadata, task: EcsTask) -> ContainerMetadata:
        """Return the metadata with the labels and the project of the agent's own ECS task."""
        metadata = metadata.with_task(task)
        return replace(metadata, container=self._with_allowed_owner(metadata.container))

    def processing_of(self, metadata: ContainerMetadata) -> ProcessingOptions:
        """Return what is done with a container's lines."""
        labels = metadata.container.labels
        return label_settings.apply_label_settings(self._processing, labels, self._allow_labels).processing

    # --- which containers are read ---

    def created(self, container: str) -> None:
        """Record that a container was created just now."""
        self._created.add(container)

    def is_excluded(self, container: str, known: ContainerMetadata | None) -> bool:
        """Return whether a container is known not to be read."""
        return container in self._excluded or (known is not None and bool(known.left_out))

    def needs_inspection(
        self, summary: Mapping[str, Any], known: ContainerMetadata | None, *, again: bool, read_from_api: bool = False
    ) -> bool:
        """Return whether to inspect a listed container.

        Only `inspect` tells whether to read one, so each is inspected once, and again when its name changed.

        Args:
            summary: the container's entry in the engine's list.
            known: its metadata, when it is being read.
            again: no event was missed since the list before.
            read_from_api: its log is read through the engine's API.
        """
        name = own_name(summary)
        if known is None:
            container = str(summary["Id"])
            return container not in self._excluded or name not in {"", self._excluded[container]}
        # When the events of a run between two lists were lost, only `inspect` shows that run: no file has its lines.
        quiet = read_from_api and not known.run_state.running
        return not again or quiet or name not in {"", known.name} or summary.get("State") != known.life.state

    def admit(self, metadata: ContainerMetadata) -> Admission:
        """Decide whether to read a container that is not being read."""
        container = metadata.id
        reason = self._exclusion_reason(metadata) or ""
        if reason:
            if container not in self.jobs_before:
                self._excluded[container] = metadata.name
                return Admission(None, reason)
            # An earlier run of the agent read it. The job must not stay as that run left it.
            metadata = replace(metadata, left_out=reason)
        self._excluded.pop(container, None)
        # The first run of a container is seen whole, whenever the agent came, unless a run ended before it.
        fresh = container in self._created or not metadata.run_state.ended
        self._created.discard(container)
        return Admission(metadata, reason, fresh=fresh)

    # --- what is reported of containers that are being read ---

    def inspected(
        self, metadata: ContainerMetadata, known: ContainerMetadata | None, *, action: str, now: float
    ) -> Observation:
        """Compare an answer to `inspect` with what is known.

        Args:
            metadata: as `describe` gave it.
            known: the container's metadata, when it is being read.
            action: the event that led to the question, `list` or `examine`.
            now: seconds of a monotonic clock.
        """
        ended: tuple[RunState, ...] = ()
        if known is not None:
            metadata = replace(metadata, left_out=self._exclusion_reason(metadata) or "")
            if metadata.run_state.started > known.run_state.started:
                ended = self._settle(known)
        if action == "start":
            self._oom.forget(metadata.id)
        unexpected = action == "start" if known is None else known.run_state.running and not ended
        run_state = self._oom.check_end(metadata.id, metadata.run_state, now, news=unexpected)
        if run_state is None:
            metadata = metadata.with_start(metadata.run_state.started)
        else:
            life = metadata.life.model_copy(update={"oom": run_state.oom})
            metadata = replace(metadata, run_state=run_state, life=life)
        if known is not None and metadata.run_state.running:
            self.ended.discard(metadata.id)
        return Observation(ended, metadata, WAIT_S if run_state is None else None)

    def start_seen(self, known: ContainerMetadata, time_ns: int) -> Observation:
        """Record a start event at once, because a short run may be over before the engine can be asked about it."""
        ended = self._settle(known)
        return Observation(ended, self._begun(_after(known, ended), time_ns))

    def handle_event(
        self, action: str, known: ContainerMetadata, attributes: Mapping[str, str], time_ns: int, *, now: float
    ) -> Observation:
        """Record an event that `inspect` cannot replace.

        Args:
            action: the event's.
            known: the container's metadata.
            attributes: the event's.
            time_ns: the event's time in nanoseconds since 1970.
            now: seconds of a monotonic clock.
        """
        match action:
            case "die":
                return self._died(known, attributes, time_ns, now)
            case "start":
                observation = self.start_seen(known, time_ns)
                self._oom.forget(known.id)
                return observation
            case "restart":
                return self.start_seen(known, time_ns)
            case "destroy":
                return self.removed(known)
            case "kill":
                self._oom.record_kill(known.id)
            case "oom":
                self._oom.record_oom(known.id)
        return Observation(self._settle(known))

    def removed(self, known: ContainerMetadata) -> Observation:
        """Record that a container does not exist any more."""
        ended = self._settle(known)
        return Observation((*ended, replace(_after(known, ended).run_state, running=False, gone=True)))

    def keep_listed(self, containers: Collection[str]) -> None:
        """Forget the excluded containers that the engine's list does not contain any more."""
        self._excluded = {container: name for container, name in self._excluded.items() if container in containers}

    def forget(self, container: str) -> None:
        """Forget a container that was read to its end."""
        self._oom.forget(container)

    # --- details ---

    def _died(self, known: ContainerMetadata, attributes: Mapping[str, str], time_ns: int, now: float) -> Observation:
        self.ended.add(known.id)
        run_state = known.run_state
        if time_ns < run_state.started:
            return Observation()
        if _EXIT_CODE_LABEL in known.labels:
            # The event's exit code may be the label's: only `inspect` tells how the run ended, or nothing does.
            return Observation(inspect_after_s=0.0)
        code = attributes.get("exitCode", "")
        ended = RunState(
            running=False,
            started=run_state.started or time_ns,
            ended=time_ns,
            exit_code=int(code) if _EXIT_CODE.fullmatch(code) else None,
            oom=run_state.oom,
            restarts=run_state.restarts,
        )
        judged = self._oom.check_end(known.id, ended, now, news=run_state.running)
        return Observation(inspect_after_s=WAIT_S) if judged is None else Observation((judged,))

    def _settle(self, known: ContainerMetadata) -> tuple[RunState, ...]:
        """Return the end that is still being judged, if there is one, as it is known now."""
        run_state = self._oom.end_delay(known.id)
        return () if run_state is None else (run_state,)

    def _begun(self, known: ContainerMetadata, time_ns: int) -> ContainerMetadata | None:
        """Return the metadata after a start event; None when the event's run is known already."""
        run_state = known.run_state
        begins = run_state.started == 0 or (not run_state.running and known.id in self.ended)
        self.ended.discard(known.id)
        return known.with_start(time_ns) if begins else None

    def _exclusion_reason(self, metadata: ContainerMetadata) -> str | None:
        return self._filters.exclusion_reason(
            metadata.id,
            metadata.name,
            metadata.image,
            label_settings.allowed_labels(metadata.labels, self._allow_labels),
            image_id=metadata.image_id,
        )

    def _with_label_settings(self, metadata: ContainerMetadata) -> ContainerMetadata:
        """Return the metadata with a notice for each label that has no effect."""
        found = label_settings.apply_label_settings(self._processing, metadata.labels, self._allow_labels)
        notices = tuple(Notice(code="label", detail=problem) for problem in found.problems)
        if redaction := found.processing.redaction:
            rules = compile_rules(redaction)
            metadata = metadata.with_redacted_notices(lambda text: rules.redact_text(text, Counter()))
        container = self._with_allowed_owner(metadata.container)
        return replace(metadata, container=container, notices=metadata.notices + notices)

    def _with_allowed_owner(self, container: Container) -> Container:
        if label_settings.OWNER in self._allow_labels:
            return container
        return container.model_copy(update={"owner": None})


def own_name(summary: Mapping[str, Any]) -> str:
    """Return a container's own name from the list, which also names it by the aliases of links (`/web/database`)."""
    names = [str(name).removeprefix("/") for name in summary.get("Names") or ()]
    return next((name for name in names if "/" not in name), "")


def _after(known: ContainerMetadata, ended: tuple[RunState, ...]) -> ContainerMetadata:
    for run_state in ended:
        known = known.with_end(run_state)
    return known
