"""The numerics of a network on a device: measured and tested once, kept in a file, never decided again by a stopwatch.

A record holds for every version of the same network configuration on the same device model with the same software, so
that neither a restart nor a new version changes a byte. The numerics and the reference tile are part of the ETag's
fingerprint; the smaller tiles are not, for they give the very same floats.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import nn

from app.engine.devices import Lane, describe_device, software
from app.engine.inputs import Inputs
from app.engine.network import PLAIN, Bits, Network, Numerics, candidates
from app.engine.tile import Painter
from app.engine.trial import MAX_ERROR, Step, Trial, error_of
from models.config.networks import GeneratorConfig
from models.config.values import Frozen
from models.files import replace_file

log = logging.getLogger(__name__)

# Powers of two, so that small tiles divide the reference.
CANDIDATES = (4, 8, 16, 32, 64, 128, 256)
SMALL = (1, 2, 4, 8, 16, 32, 64, 128)
PROBE = 8
"""The size of pass at which numerics are compared."""
ENOUGH = 0.85
"""The smallest tile is taken that gives this share of the best throughput seen: beyond, latency grows for little."""
UNFELT = 0.005
"""Seconds that nobody feels: up to here the largest tile is taken that is no slower. Each pass costs more on a busy
service than the stopwatch shows, for its thread competes with the event loop for the interpreter."""
WORTHWHILE = 0.95
"""Numerics other than the plain ones must take at most this share of their time."""
MAX_SECONDS = 0.1
"""A larger tile than the smallest must not take longer than this, whatever it gains: everybody waits for one tile."""


class CannotPaint(Exception):
    """The network's outputs are of no use: not finite, or not the same twice."""


class TooCoarse(Exception):
    """A version's images suffer more from reduced precision than those did for which it was chosen."""


class Key(Frozen):
    """What a record holds for."""

    generator: GeneratorConfig
    device: str
    software: dict[str, str]
    weights: Annotated[str | None, Field(description="sha256 of the only ones it holds for; None: all others")] = None

    @cached_property
    def digest(self) -> str:
        """A name for the record's file."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Record(Frozen):
    """What was decided."""

    format: Literal[2] = 2
    key: Key
    numerics: Numerics
    tile: Annotated[int, Field(ge=1, le=1024, description="the reference tile")]
    small: Annotated[tuple[int, ...], Field(description="smaller tiles with the very same floats, ascending")] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Tells numerics apart in ETags."""
        text = f"{self.key.digest} {self.numerics.model_dump_json()} {self.tile}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Calibrations:
    """The records, in memory and in files; safe to use from several threads, decided by one at a time.

    Args:
        folder: one JSON file per record; made when needed.
        lanes: where painters will paint; all of one kind.
    """

    def __init__(self, folder: Path, lanes: Sequence[Lane]) -> None:
        self._folder = folder
        self._lanes = lanes
        self._device, self._software = describe_device(lanes[0].device), software()
        self._records: dict[tuple[GeneratorConfig, str | None], Record | None] = {}

    def known(self, generator: GeneratorConfig, weights: str) -> Record | None:
        """Give what was decided for a version, None before that. A file that cannot be understood counts as none.

        Args:
            weights: their sha256.
        """
        return self._known(generator, weights) or self._known(generator, None)

    def painter(self, module: nn.Module, generator: GeneratorConfig, weights: str, step: Step) -> Painter:
        """Make a painter for a version, deciding its numerics if nobody did yet; tests it either way.

        Args:
            module: as `models.store.weights.load_generator` gives it; used up.
            weights: their sha256.
            step: runs each pass on a lane's thread.

        Raises:
            CannotPaint: the outputs are not finite, or depend on a slot or on neighbours even so.
        """
        workshop = _Workshop(module, generator, self._lanes, Trial(generator, step))
        if (record := self.known(generator, weights)) is None:
            record = self._keep(workshop.decide(self._key(generator, None)))
        try:
            return workshop.painter(record)
        except TooCoarse as problem:
            log.warning("%s: %s, so it is painted in fp32", weights[:12], problem)
            return workshop.painter(self._keep(workshop.decide(self._key(generator, weights), reduced=False)))

    def _key(self, generator: GeneratorConfig, weights: str | None) -> Key:
        return Key(generator=generator, device=self._device, software=self._software, weights=weights)

    def _known(self, generator: GeneratorConfig, weights: str | None) -> Record | None:
        place = (generator, weights)
        if place not in self._records:
            # What another thread has decided meanwhile stays.
            self._records.setdefault(place, self._read(self._key(generator, weights)))
        return self._records[place]

    def _keep(self, record: Record) -> Record:
        self._write(record)
        self._records[record.key.generator, record.key.weights] = record
        return record

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key.digest}.json"

    def _read(self, key: Key) -> Record | None:
        path = self._path(key)
        try:
            record = Record.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning("%s cannot be used, the numerics are decided anew: %s", path, error)
            return None
        return record if record.key == key else None

    def _write(self, record: Record) -> None:
        """Keep the record; without a disk to write on it holds until this process ends."""
        path = self._path(record.key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, record.model_dump_json(indent=1).encode())
        except OSError as error:
            log.warning("%s cannot be written, a restart may choose other numerics: %s", path, error)


class _Workshop:
    """One version's weights, from which networks are built to be tried and, in the end, to serve."""

    def __init__(self, module: nn.Module, generator: GeneratorConfig, lanes: Sequence[Lane], trial: Trial) -> None:
        self._module = module
        self._generator = generator
        self._lanes = lanes
        self._trial = trial

    def decide(self, key: Key, *, reduced: bool = True) -> Record:
        """Choose numerics and reference tile by measure among those that pass the test, then the small tiles.

        Args:
            reduced: consider less precise numbers than fp32.
        """
        ranking = self._ranking(reduced)
        for numerics in ranking:
            for size in _preferred(self._measure(numerics)):
                if (record := self._record(key, numerics, size)) is not None:
                    return record
        if (record := self._record(key, ranking[0], 1)) is not None:
            return record
        raise CannotPaint("the same latent gave two different images in a row")

    def painter(self, record: Record) -> Painter:
        """Build what serves and test it: every small tile, every lane, and the reference with probes in other slots.

        A small tile that disagrees is left out here, which changes no byte.

        Raises:
            TooCoarse: the record's precision, chosen for other weights, is not enough for these.
        """
        networks = self._networks(record)
        network, probes = networks[0], self._trial.inputs(record.tile)
        images = self._trial.run(network, probes)
        _check_finite(images)
        if record.numerics.precision != "fp32" and record.key.weights is None:
            error = error_of(images, self._trial.run(self._network(PLAIN, record.tile), probes))
            if error > MAX_ERROR:
                raise TooCoarse(f"in {record.numerics.precision} its images are {error:.2f} levels of 255 off")
        for lane, each in enumerate(networks):
            if not np.array_equal(self._trial.run(each, _reversed(probes), lane)[::-1], images):
                where = self._lanes[lane].name
                raise CannotPaint(f"its images depend on their neighbours in a tile of {record.tile} on {where}")
        first_lanes = {id(each): lane for lane, each in reversed(list(enumerate(networks)))}.values()
        small = tuple(
            size
            for size in record.small
            if all(self._agrees(networks[lane], probes, images, size, lane=lane) for lane in first_lanes)
        )
        if small != record.small:
            log.warning(
                "%s: of the small tiles %s only %s hold on these weights", record.key.digest, record.small, small
            )
        sizes = (*small, record.tile)
        for each in networks:
            each.keep(sizes)
        return Painter(networks, sizes, self._trial.seconds(network, record.tile))

    def _network(self, numerics: Numerics, batch: int) -> Network:
        return Network(copy.deepcopy(self._module), self._lanes[0].device, numerics, batch)

    def _networks(self, record: Record) -> list[Network]:
        """Build one network per device, and give it to each of that device's lanes."""
        built: dict[torch.device, Network] = {}
        for device in dict.fromkeys(lane.device for lane in self._lanes):
            built[device] = Network(copy.deepcopy(self._module), device, record.numerics, record.tile)
        return [built[lane.device] for lane in self._lanes]

    def _ranking(self, reduced: bool) -> list[Numerics]:
        """Order the candidates by speed, without those that err too much or gain too little over the plain one."""
        plain, probes = self._network(PLAIN, PROBE), self._trial.inputs(PROBE)
        expected = self._trial.run(plain, probes)
        _check_finite(expected)
        seconds = {PLAIN: self._trial.seconds(plain, PROBE)}
        for numerics in candidates(self._module, self._lanes[0].device)[1:]:
            if not reduced and numerics.precision != "fp32":
                continue
            network = self._network(numerics, PROBE)
            if error_of(self._trial.run(network, probes), expected) <= MAX_ERROR:
                seconds[numerics] = self._trial.seconds(network, PROBE)
        bound = WORTHWHILE * seconds[PLAIN]
        return sorted((n for n in seconds if n == PLAIN or seconds[n] <= bound), key=lambda n: seconds[n])

    def _measure(self, numerics: Numerics) -> dict[int, float]:
        """Time the tile sizes, ascending, up to the first that takes too long; each on weights laid out for it."""
        seconds: dict[int, float] = {}
        for size in CANDIDATES:
            seconds[size] = self._trial.seconds(self._network(numerics, size), size)
            if seconds[size] > MAX_SECONDS:
                break
        return seconds

    def _record(self, key: Key, numerics: Numerics, tile: int) -> Record | None:
        """Give the record of a reference tile that passes the test, with its small tiles; None if it does not."""
        network = self._network(numerics, tile)
        if not self._trial.independent(network, tile):
            return None
        probes = self._trial.inputs(tile)
        images = self._trial.run(network, probes)
        small = tuple(
            size
            for size in SMALL
            if size < tile and all(self._agrees(network, probes, images, size, at) for at in range(0, tile, size))
        )
        log.info("numerics of %s: %s, tile %d, small tiles %s", key.digest, numerics, tile, small)
        return Record(key=key, numerics=numerics, tile=tile, small=small)

    def _agrees(self, network: Network, probes: Inputs, images: Bits, small: int, at: int = 0, lane: int = 0) -> bool:
        """Whether some of a reference tile's probes have the same floats in a small tile."""
        part = probes.part(at, at + small)
        return np.array_equal(self._trial.run(network, part, lane), images[at : at + small])


def _check_finite(images: Bits) -> None:
    if not np.isfinite(images.view(np.float32)).all():
        raise CannotPaint("its outputs are not finite numbers: the weights are damaged or the training diverged")


def _reversed(inputs: Inputs) -> Inputs:
    return Inputs(inputs.z[::-1].copy(), None if inputs.labels is None else inputs.labels[::-1].copy())


def _preferred(seconds: dict[int, float]) -> Sequence[int]:
    """Order tile sizes by preference: the one to take if it passes the test, then those below it."""
    sizes = sorted(seconds)
    rates = {size: size / seconds[size] for size in sizes if seconds[size] <= MAX_SECONDS or size == sizes[0]}
    chosen = next(size for size in sorted(rates) if rates[size] >= ENOUGH * max(rates.values()))
    unfelt = [size for size in rates if seconds[size] <= UNFELT and rates[size] >= rates[chosen]]
    chosen = max([chosen, *unfelt])
    return [size for size in reversed(sizes) if size <= chosen]
