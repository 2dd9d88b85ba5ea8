"""Calibration: the numerics of a network on a device, measured and tested once, then read from a file.

A record holds for every version of the same network configuration on the same device model with the same software. The
numerics and the reference batch size are part of the fingerprint in ETags.
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
from pydantic import ConfigDict, Field, ValidationError
from torch import nn

from app.engine.devices import WorkerThread, describe_device, software
from app.engine.network import PLAIN, Bits, Network, Numerics, candidates
from app.engine.runner import Runner
from app.engine.self_test import MAX_ERROR, RunPass, SelfTest, mean_error
from models.config.networks import GeneratorConfig
from models.config.values import Frozen
from models.files import replace_file
from models.inputs import Inputs

log = logging.getLogger(__name__)

# Powers of two, so that small sizes divide the reference size.
REFERENCE_SIZES = (4, 8, 16, 32, 64, 128, 256)
SMALL_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
# The batch size at which numerics are compared.
PROBE_SIZE = 8
# The smallest size is taken that gives this share of the best throughput: beyond, latency grows for little.
ENOUGH_THROUGHPUT = 0.85
# Up to here the largest size is taken that has no less throughput. Each pass costs more on a busy service than the
# stopwatch shows, for its thread competes with the event loop for the interpreter.
IMPERCEPTIBLE_SECONDS = 0.005
# Numerics other than `PLAIN` must take at most this share of its time.
WORTHWHILE = 0.95
# A size above the smallest must not take longer than this at any throughput: all requests wait for one batch.
MAX_SECONDS = 0.1


class SelfTestFailed(Exception):
    """The network's outputs are unusable: not finite, or not reproducible."""


class PrecisionTooLow(Exception):
    """Reduced precision changes a version's images more than those for which it was chosen."""


class Key(Frozen):
    """The networks, device and software for which a record holds."""

    generator: GeneratorConfig
    device: str
    software: dict[str, str]
    weights: Annotated[str | None, Field(description="sha256 of the only ones it holds for; None: all others")] = None

    @cached_property
    def digest(self) -> str:
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Record(Frozen):
    """A decision, as it is stored."""

    model_config = ConfigDict(validate_by_name=True)

    format: Literal[2] = 2
    key: Key
    numerics: Numerics
    batch_size: Annotated[int, Field(alias="tile", ge=1, le=1024, description="the reference size")]
    small_sizes: Annotated[
        tuple[int, ...], Field(alias="small", description="smaller sizes with the very same floats, ascending")
    ] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Distinguishes numerics in ETags."""
        # Smaller batch sizes are left out: they give the very same floats.
        text = f"{self.key.digest} {self.numerics.model_dump_json()} {self.batch_size}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Calibrations:
    """The records, in memory and in files. Thread-safe; only one thread may decide new ones.

    Args:
        folder: of one JSON file per record; made when needed.
        workers: those that will run the networks; all on devices of one kind.
    """

    def __init__(self, folder: Path, workers: Sequence[WorkerThread]) -> None:
        self._folder = folder
        self._workers = workers
        self._device, self._software = describe_device(workers[0].device), software()
        self._records: dict[tuple[GeneratorConfig, str | None], Record | None] = {}

    def known(self, generator: GeneratorConfig, weights: str) -> Record | None:
        """Return the record for a version, None before there is one. A file that cannot be parsed is ignored.

        Args:
            weights: their sha256.
        """
        # Kept in files, so that neither a restart nor a new version of the model changes a byte.
        return self._known(generator, weights) or self._known(generator, None)

    def build_runner(self, module: nn.Module, generator: GeneratorConfig, weights: str, run_pass: RunPass) -> Runner:
        """Build and test a runner for a version; its numerics are decided if they are not yet.

        Args:
            module: as `models.store.weights.load_generator` returns it; it must not be used afterwards.
            weights: their sha256.
            run_pass: runs each pass on a worker's thread.

        Raises:
            SelfTestFailed: the outputs are not finite, or depend on a slot or on neighbours in fp32 too.
        """
        calibrator = _Calibrator(module, self._workers, SelfTest(generator.inputs, run_pass))
        if (record := self.known(generator, weights)) is None:
            record = self._keep(calibrator.decide(self._key(generator, None)))
        try:
            return calibrator.build_runner(record)
        except PrecisionTooLow as problem:
            log.warning("%s: %s, so it runs in fp32", weights[:12], problem)
            record = calibrator.decide(self._key(generator, weights), reduced=False)
            return calibrator.build_runner(self._keep(record))

    def _key(self, generator: GeneratorConfig, weights: str | None) -> Key:
        return Key(generator=generator, device=self._device, software=self._software, weights=weights)

    def _known(self, generator: GeneratorConfig, weights: str | None) -> Record | None:
        place = (generator, weights)
        if place not in self._records:
            # A record that another thread has decided meanwhile stays.
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
            log.warning("%s is invalid, the numerics are decided anew: %s", path, error)
            return None
        return record if record.key == key else None

    def _write(self, record: Record) -> None:
        """Write a record to its file."""
        # On a read-only or full disk the record holds until this process ends.
        path = self._path(record.key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, record.model_dump_json(indent=1, by_alias=True).encode())
        except OSError as error:
            log.warning("%s cannot be written, a restart may choose other numerics: %s", path, error)


class _Calibrator:
    """Builds a version's networks, to test them and in the end to serve.

    Args:
        module: the generator, copied for each network.
    """

    def __init__(self, module: nn.Module, workers: Sequence[WorkerThread], self_test: SelfTest) -> None:
        self._module = module
        self._workers = workers
        self._test = self_test

    def decide(self, key: Key, *, reduced: bool = True) -> Record:
        """Choose numerics and reference size by measurement among those that pass the test, then the small sizes.

        Args:
            reduced: consider precisions below fp32.
        """
        ranking = self._rank_numerics(reduced)
        for numerics in ranking:
            for size in _by_preference(self._measure(numerics)):
                if (record := self._test_size(key, numerics, size)) is not None:
                    return record
        if (record := self._test_size(key, ranking[0], 1)) is not None:
            return record
        raise SelfTestFailed("the same latent gave two different images in a row")

    def build_runner(self, record: Record) -> Runner:
        """Build the networks that serve and test them on every worker, the probes in other slots than before.

        Raises:
            PrecisionTooLow: the record's precision, chosen for other weights, is not enough for these.
        """
        # A small size that disagrees is left out here: batches are then padded to the next size, which changes no byte.
        networks = self._build_networks(record)
        network, probes = networks[0], self._test.inputs(record.batch_size)
        images = self._test.run(network, probes)
        _check_finite(images)
        self._check_precision(record, probes, images)
        for worker, each in enumerate(networks):
            if not np.array_equal(self._test.run(each, _reversed(probes), worker)[::-1], images):
                where = self._workers[worker].name
                raise SelfTestFailed(
                    f"its images depend on their neighbours in a batch of {record.batch_size} on {where}"
                )
        first_workers = {id(each): worker for worker, each in reversed(list(enumerate(networks)))}.values()
        small = tuple(
            size
            for size in record.small_sizes
            if all(self._agrees(networks[worker], probes, images, size, worker=worker) for worker in first_workers)
        )
        if small != record.small_sizes:
            log.warning(
                "%s: of the small batch sizes %s only %s hold for these weights",
                record.key.digest, record.small_sizes, small,
            )  # fmt: skip
        sizes = (*small, record.batch_size)
        for each in networks:
            each.keep(sizes)
        seconds = self._test.seconds(network, record.batch_size)
        return Runner(networks, sizes, seconds, record.fingerprint)

    def _check_precision(self, record: Record, probes: Inputs, images: Bits) -> None:
        if record.numerics.precision == "fp32" or record.key.weights is not None:
            return
        error = mean_error(images, self._test.run(self._build_network(PLAIN, record.batch_size), probes))
        if error > MAX_ERROR:
            raise PrecisionTooLow(f"in {record.numerics.precision} its images are {error:.2f} levels of 255 off")

    def _build_network(self, numerics: Numerics, batch: int) -> Network:
        return Network(copy.deepcopy(self._module), self._workers[0].device, numerics, batch)

    def _build_networks(self, record: Record) -> list[Network]:
        built: dict[torch.device, Network] = {}
        for device in dict.fromkeys(worker.device for worker in self._workers):
            built[device] = Network(copy.deepcopy(self._module), device, record.numerics, record.batch_size)
        return [built[worker.device] for worker in self._workers]

    def _rank_numerics(self, reduced: bool) -> list[Numerics]:
        """Return the candidates by speed, without those with too large an error or too little gain over `PLAIN`."""
        plain, probes = self._build_network(PLAIN, PROBE_SIZE), self._test.inputs(PROBE_SIZE)
        expected = self._test.run(plain, probes)
        _check_finite(expected)
        seconds = {PLAIN: self._test.seconds(plain, PROBE_SIZE)}
        for numerics in candidates(self._module, self._workers[0].device)[1:]:
            if not reduced and numerics.precision != "fp32":
                continue
            network = self._build_network(numerics, PROBE_SIZE)
            if mean_error(self._test.run(network, probes), expected) <= MAX_ERROR:
                seconds[numerics] = self._test.seconds(network, PROBE_SIZE)
        bound = WORTHWHILE * seconds[PLAIN]
        return sorted((n for n in seconds if n == PLAIN or seconds[n] <= bound), key=lambda n: seconds[n])

    def _measure(self, numerics: Numerics) -> dict[int, float]:
        """Time the reference sizes, ascending, up to the first that takes too long."""
        seconds: dict[int, float] = {}
        for size in REFERENCE_SIZES:
            # Each on weights that are laid out for it.
            seconds[size] = self._test.seconds(self._build_network(numerics, size), size)
            if seconds[size] > MAX_SECONDS:
                break
        return seconds

    def _test_size(self, key: Key, numerics: Numerics, batch_size: int) -> Record | None:
        """Return the record of a reference size, with its small sizes; None if it does not pass the test."""
        network = self._build_network(numerics, batch_size)
        if not self._test.independent(network, batch_size):
            return None
        probes = self._test.inputs(batch_size)
        images = self._test.run(network, probes)
        small = tuple(
            size
            for size in SMALL_SIZES
            if size < batch_size
            and all(self._agrees(network, probes, images, size, at) for at in range(0, batch_size, size))
        )
        log.info("numerics of %s: %s, batch size %d, small sizes %s", key.digest, numerics, batch_size, small)
        return Record(key=key, numerics=numerics, batch_size=batch_size, small_sizes=small)

    def _agrees(self, network: Network, probes: Inputs, images: Bits, small: int, at: int = 0, worker: int = 0) -> bool:
        """Check that some of a reference batch's probes have the same floats in a smaller batch."""
        part = probes.slice(at, at + small)
        return np.array_equal(self._test.run(network, part, worker), images[at : at + small])


def _check_finite(images: Bits) -> None:
    if not np.isfinite(images.view(np.float32)).all():
        raise SelfTestFailed("its outputs are not finite numbers: the weights are damaged or the training diverged")


def _reversed(inputs: Inputs) -> Inputs:
    return Inputs({name: array[::-1].copy() for name, array in inputs.arrays.items()})


def _by_preference(seconds: dict[int, float]) -> Sequence[int]:
    """Order batch sizes by preference: the best one first, then the smaller ones."""
    sizes = sorted(seconds)
    rates = {size: size / seconds[size] for size in sizes if seconds[size] <= MAX_SECONDS or size == sizes[0]}
    chosen = next(size for size in sorted(rates) if rates[size] >= ENOUGH_THROUGHPUT * max(rates.values()))
    quick = [size for size in rates if seconds[size] <= IMPERCEPTIBLE_SECONDS and rates[size] >= rates[chosen]]
    chosen = max([chosen, *quick])
    return [size for size in reversed(sizes) if size <= chosen]
