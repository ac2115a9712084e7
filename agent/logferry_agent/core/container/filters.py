"""Choose which containers are read, and from which time on in containers that ran before the agent's first start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from pydantic import ConfigDict

from .source_settings import FilterSettings

ENABLE_LABEL: Final = "logferry.enable"
OWNER_LABEL: Final = "logferry.owner"

_ON: Final = frozenset({"true", "1", "yes", "on"})
_OFF: Final = frozenset({"false", "0", "no", "off"})
_ID_PREFIX: Final = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")
"""A pattern that is an image id, whole or cut as `docker images` shows it."""
_DEFAULT_REGISTRIES: Final = ("docker.io/", "index.docker.io/")
_SPAN: Final = re.compile(r"(\d+)(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class StartAtError(ValueError):
    """The setting `start_at` is neither `beginning`, `now` nor a span."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"start_at must be `beginning`, `now` or a span such as 90s, 15m, 1h or 7d, not {self.text!r}"


def parse_start_at(start_at: str, now: int) -> int:
    """Return the time from which on to read a container that ran before the agent's first start; 0: all of its log.

    Args:
        start_at: `beginning`, `now` or a span such as `15m`.
        now: nanoseconds since 1970, as is the result.

    Raises:
        StartAtError: `start_at` has another form.
    """
    if start_at == "beginning":
        return 0
    if start_at == "now":
        return now
    match = _SPAN.fullmatch(start_at)
    if match is None:
        raise StartAtError(start_at)
    return max(0, now - int(match[1]) * _SECONDS[match[2]] * 1_000_000_000)


class EnableLabelError(ValueError):
    """The label `logferry.enable` has a value that is neither true nor false."""

    def __init__(self, value: str) -> None:
        self.value = value
        super().__init__(value)

    def __str__(self) -> str:
        return f"the label {ENABLE_LABEL} must be `true` or `false`, not {self.value[:64]!r}"


def parse_enable_label(labels: Mapping[str, str]) -> bool | None:
    """Return the value of a container's label `logferry.enable`; None without the label.

    Raises:
        EnableLabelError: the value is neither true nor false.
    """
    value = labels.get(ENABLE_LABEL)
    if value is None:
        return None
    word = value.strip().lower()
    if word in _ON or word in _OFF:
        return word in _ON
    raise EnableLabelError(value)


class Selection(FilterSettings):
    """The filters that choose containers. Names and images are shell patterns; labels are `key` or `key=pattern`.

    A container is read unless one of these is true:

    - it is the agent's own container;
    - an exclude pattern matches;
    - its label `logferry.enable` is `false`;
    - `discover` is `labelled` and that label is not `true`;
    - there are include patterns and none matches. One match is enough, whether for names, images or labels.

    A label never overrides the patterns.

    Names and images are those that `inspect` gives. The engine's list also has the aliases of links among the names,
    and shows an image's id once its tag was moved.
    """

    model_config = ConfigDict(extra="forbid")

    own_container: str = ""
    """The id of the container that the agent runs in; empty when it runs in none."""

    @classmethod
    def of(cls, settings: FilterSettings, own_container: str) -> Selection:
        """Return the filters that some settings ask for.

        Args:
            settings: the agent's settings, or a part of them.
            own_container: the id of the container that the agent itself runs in; empty when it runs in none.
        """
        fields = {name: getattr(settings, name) for name in FilterSettings.model_fields}
        return cls(**fields, own_container=own_container)

    def selects(self, container: str, name: str, image: str, labels: Mapping[str, str], *, image_id: str = "") -> bool:
        """Return whether a container is read."""
        return self.exclusion_reason(container, name, image, labels, image_id=image_id) is None

    def exclusion_reason(
        self, container: str, name: str, image: str, labels: Mapping[str, str], *, image_id: str = ""
    ) -> str | None:
        """Return why a container is not read, in words that follow "because"; None when it is read.

        Args:
            container: the container's id.
            name: the container's own name, without the slash.
            image: the reference that the container was created with, as `inspect` gives it in `Config.Image`.
            labels: all labels of the container.
            image_id: the image's id (`sha256:…`), as `inspect` gives it in `Image`.
        """
        if container == self.own_container:
            return "it is the agent's own container"
        for setting, pattern in (
            ("exclude_names", _first(self.exclude_names, lambda pattern: fnmatchcase(name, pattern))),
            ("exclude_images", _first(self.exclude_images, lambda pattern: _is_image(pattern, image, image_id))),
            ("exclude_labels", _first(self.exclude_labels, lambda pattern: _has_label(pattern, labels))),
        ):
            if pattern is not None:
                return f"the agent's setting {setting} has {pattern!r}"
        try:
            wanted = parse_enable_label(labels)
        except EnableLabelError:
            wanted = None
        if wanted is False:
            return f"its label {ENABLE_LABEL} says so"
        if self.discover == "labelled" and not wanted:
            return f"the agent reads only containers whose label {ENABLE_LABEL} is `true`"
        includes = [
            setting
            for setting, patterns in (
                ("include_names", self.include_names),
                ("include_images", self.include_images),
                ("include_labels", self.include_labels),
            )
            if patterns
        ]
        if not includes or (
            any(fnmatchcase(name, pattern) for pattern in self.include_names)
            or any(_is_image(pattern, image, image_id) for pattern in self.include_images)
            or any(_has_label(pattern, labels) for pattern in self.include_labels)
        ):
            return None
        return f"the agent's setting {' or '.join(includes)} does not name it"

    @property
    def named_labels(self) -> frozenset[str]:
        """Return the keys of the labels in the patterns."""
        return frozenset(pattern.partition("=")[0] for pattern in (*self.include_labels, *self.exclude_labels))


def _first(patterns: Sequence[str], matches: Callable[[str], bool]) -> str | None:
    return next((pattern for pattern in patterns if matches(pattern)), None)


def _is_image(pattern: str, image: str, image_id: str) -> bool:
    """Return whether an image pattern matches.

    A pattern without a tag matches every tag, and one without a digest matches every digest. An image's id or digest
    alone also matches, whole or with at least its first twelve digits. `docker.io/` is optional in the name of an image
    from Docker's own registry.
    """
    ids = [image_id, image.partition("@")[2]]
    digits = _ID_PREFIX.fullmatch(pattern)
    if digits is not None and any(known.removeprefix("sha256:").startswith(digits[1]) for known in (*ids, image)):
        return True
    if pattern.startswith("sha256:") and any(fnmatchcase(known, pattern) for known in ids):
        return True
    return any(fnmatchcase(form, pattern) for form in _forms(image, qualified=pattern.startswith(_DEFAULT_REGISTRIES)))


def _forms(image: str, *, qualified: bool) -> list[str]:
    """Return the forms of an image reference: whole, without digest, without tag, and with neither.

    Args:
        image: the reference.
        qualified: also return the forms with the name of Docker's own registry.
    """
    name, at, digest = image.partition("@")
    repository = name
    if ":" in name.rpartition("/")[2] and not name.startswith("sha256:"):
        repository = name.rpartition(":")[0]
    forms = {image, name, repository}
    if at:
        forms.add(f"{repository}@{digest}")
    for registry in _DEFAULT_REGISTRIES:
        if image.startswith(registry):
            forms |= {form.removeprefix(registry).removeprefix("library/") for form in forms}
    if qualified and not _has_registry(image):
        library = "" if "/" in repository else "library/"
        forms |= {registry + library + form for form in tuple(forms) for registry in _DEFAULT_REGISTRIES}
    return sorted(forms)


def _has_registry(image: str) -> bool:
    """Return whether a reference begins with a registry's host, by Docker's rule."""
    first, slash, _ = image.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def _has_label(pattern: str, labels: Mapping[str, str]) -> bool:
    key, equals, wanted = pattern.partition("=")
    return key in labels and (not equals or fnmatchcase(labels[key], wanted))
