"""The same bytes under any load, and versions that come, go and break while others serve."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.engine.admission import Admission, Overloaded, ThreadPool
from app.engine.chunks import CHUNK_IMAGES, collect
from app.engine.engine import SamplingEngine, Source
from app.engine.queue import Images
from models.config.networks import GeneratorConfig
from models.inputs import Inputs, make_inputs
from models.store.errors import BrokenVersion, UnknownModel
from models.store.local import LocalStore
from models.store.manifest import WEIGHTS
from models.store.versions import WholeVersion
from tests.fixtures.models import TINY_DCGAN, TINY_MLP, expected_images, swap_weights, write_version

BIG = 1 << 30
Request = tuple[str, int, int, float]


@asynccontextmanager
async def sampling(
    folder: Path, budget: int = BIG, default: str | None = None, start: bool = True
) -> AsyncIterator[SamplingEngine]:
    engine = SamplingEngine(
        LocalStore(folder / "models", default),
        device="cpu",
        threads=2,
        calibration_dir=folder / "calibration",
        budget_bytes=budget,
        max_wait_seconds=10,
        max_flight_bytes=1 << 30,
    )
    if start:
        await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def generated(engine: SamplingEngine, version: WholeVersion, source: Source) -> Images:
    return await collect(engine.generate(version, source))


async def soon(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        await asyncio.sleep(0.01)


@dataclass
class SeedRange:
    """Some images of a seed."""

    generator: GeneratorConfig
    seed: int
    indices: range
    psi: float

    def __len__(self) -> int:
        return len(self.indices)

    def inputs(self, start: int, stop: int) -> Inputs:
        part = self.indices[start:stop]
        return make_inputs(self.generator.inputs, self.seed, np.arange(part.start, part.stop), psi=self.psi)


def seeded(version: WholeVersion, seed: int, indices: range, psi: float = 1.0) -> SeedRange:
    return SeedRange(version.manifest.generator, seed, indices, psi)


def digest(images: Images) -> str:
    return hashlib.sha256(images.tobytes()).hexdigest()


def test_an_image_depends_on_its_seed_and_index_alone(tmp_path: Path, model_root: Path) -> None:
    async def main() -> None:
        async with sampling(tmp_path) as engine:
            version = await engine.load("digits")
            whole = await generated(engine, version, seeded(version, 7, range(600)))
            for indices in (range(1), range(5), range(300, 301), range(3, 77), range(500, 600)):
                part = await generated(engine, version, seeded(version, 7, indices))
                assert np.array_equal(part, whole[indices.start : indices.stop])
            expected = expected_images(TINY_MLP, 1, 7, 600)
            assert np.abs(whole.astype(int) - expected).mean() < 1

    asyncio.run(main())


REQUESTS = st.tuples(
    st.sampled_from(["digits", "petals", "digits@1"]),
    st.integers(0, 3),
    st.integers(1, 90),
    st.sampled_from([1.0, 0.7]),
)


def test_requests_in_flight_together_get_the_bytes_they_get_alone(tmp_path: Path, model_root: Path) -> None:
    alone: dict[Request, str] = {}

    async def one(engine: SamplingEngine, name: str, seed: int, n: int, psi: float) -> str:
        version = await engine.load(name)
        return digest(await generated(engine, version, seeded(version, seed, range(n), psi)))

    async def check(engine: SamplingEngine, requests: list[Request]) -> None:
        for request in set(requests) - alone.keys():
            alone[request] = await one(engine, *request)
        together = await asyncio.gather(*(one(engine, *request) for request in requests))
        assert together == [alone[request] for request in requests]

    with asyncio.Runner() as runner:
        context = sampling(tmp_path)
        engine = runner.run(context.__aenter__())

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(REQUESTS, min_size=2, max_size=25))
        def check_all(requests: list[Request]) -> None:
            runner.run(check(engine, requests))

        try:
            check_all()
        finally:
            runner.run(context.__aexit__(None, None, None))


def test_every_generator_of_a_version_can_be_run_by_name(tmp_path: Path, model_root: Path) -> None:
    write_version(model_root, "pair", others={"other": TINY_DCGAN}, seed=6)

    async def main() -> None:
        async with sampling(tmp_path) as engine:
            version = await engine.load("pair")
            for name, config in ((None, TINY_MLP), ("generator", TINY_MLP), ("other", TINY_DCGAN)):
                images = await collect(engine.generate(version, SeedRange(config, 3, range(5), 1.0), name))
                assert np.abs(images.astype(int) - expected_images(config, 6, 3, 5)).mean() < 1
            weights = (TINY_MLP.parameters() + TINY_DCGAN.parameters()) * 2
            assert engine.loaded()["pair@1"] >= weights

    asyncio.run(main())


def test_a_restart_changes_no_byte(tmp_path: Path, model_root: Path) -> None:
    async def main() -> None:
        found = []
        for _ in range(2):
            async with sampling(tmp_path) as engine:
                version = await engine.load("petals")
                found.append(
                    (
                        digest(await generated(engine, version, seeded(version, 3, range(40)))),
                        engine.fingerprint(version),
                    )
                )
        assert found[0] == found[1]

    asyncio.run(main())


def test_psi_shrinks_the_latents_and_one_changes_nothing(tmp_path: Path, model_root: Path) -> None:
    async def main() -> None:
        async with sampling(tmp_path) as engine:
            version = await engine.load("digits")
            plain = await generated(engine, version, seeded(version, 1, range(8)))
            assert np.array_equal(await generated(engine, version, seeded(version, 1, range(8), psi=1.0)), plain)
            mean = await generated(engine, version, seeded(version, 1, range(8), psi=0.0))
            assert (mean == mean[0]).all()
            half = await generated(engine, version, seeded(version, 1, range(8), psi=0.5))
            assert np.abs(half.astype(int) - mean).mean() < np.abs(plain.astype(int) - mean).mean()

    asyncio.run(main())


def test_a_large_request_comes_in_whole_batches_and_is_dropped_when_closed(tmp_path: Path, model_root: Path) -> None:
    async def main() -> None:
        async with sampling(tmp_path) as engine:
            version = await engine.load("digits")
            async with aclosing(engine.generate(version, seeded(version, 0, range(100_000)))) as chunks:
                first = await anext(chunks)
                assert len(first) == CHUNK_IMAGES
            await soon(lambda: engine._batcher.seconds_ahead() == 0, "the rest to be dropped")
            assert np.array_equal(first[:9], await generated(engine, version, seeded(version, 0, range(9))))

    asyncio.run(main())


def test_a_cancelled_task_drops_its_images(tmp_path: Path, model_root: Path) -> None:
    async def main() -> None:
        async with sampling(tmp_path) as engine:
            version = await engine.load("digits")
            task = asyncio.create_task(generated(engine, version, seeded(version, 0, range(1_000_000))))
            await soon(lambda: engine._batcher.seconds_ahead() > 0, "the request to wait")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await soon(lambda: engine._batcher.seconds_ahead() == 0, "the rest to be dropped")

    asyncio.run(main())


def test_a_new_version_serves_once_it_is_loaded_and_nobody_fails_or_waits(tmp_path: Path, model_root: Path) -> None:
    async def main() -> None:
        async with sampling(tmp_path) as engine:
            first = await engine.load("digits")
            assert first.ref == "digits@1"
            stop = False
            served: list[str] = []

            async def client() -> None:
                while not stop:
                    version = await engine.load("digits")
                    served.append(version.ref)
                    await generated(engine, version, seeded(version, 0, range(10)))

            clients = [asyncio.create_task(client()) for _ in range(4)]
            write_version(model_root, "digits", 2, seed=9)
            await soon(lambda: "digits@2" in served, "the new version to serve")
            stop = True
            await asyncio.gather(*clients)
            assert served == sorted(served)

    asyncio.run(main())


def test_a_broken_new_version_leaves_the_old_one_serving(tmp_path: Path, model_root: Path) -> None:
    async def main() -> None:
        async with sampling(tmp_path) as engine:
            await engine.load("digits")
            write_version(model_root, "digits", 2, weights=b"\x80\x04 a pickle")

            def state() -> str:
                return engine._store.model("digits").versions[-1].state

            await soon(lambda: state() == "broken", "the new version to be found broken")
            assert (await engine.load("digits")).ref == "digits@1"
            with pytest.raises(BrokenVersion, match="pickles are never read"):
                await engine.load("digits@2")

    asyncio.run(main())


def test_at_start_a_broken_newest_version_gives_way_to_the_one_before(tmp_path: Path, model_root: Path) -> None:
    folder = write_version(model_root, "digits", 2)
    swap_weights(folder, bytes((folder / WEIGHTS).stat().st_size))

    async def main() -> None:
        async with sampling(tmp_path, start=False) as engine:
            assert (await engine.load("digits")).ref == "digits@1"

    asyncio.run(main())


def test_a_loaded_version_serves_on_when_its_files_are_damaged_and_ends_when_it_is_deleted(
    tmp_path: Path, model_root: Path
) -> None:
    async def main() -> None:
        async with sampling(tmp_path) as engine:
            version = await engine.load("digits")
            before = digest(await generated(engine, version, seeded(version, 0, range(4))))
            swap_weights(model_root / "digits" / "1", b"short")
            await soon(lambda: engine._store.model("digits").versions[0].state == "arriving", "a scan")
            version = await engine.load("digits")
            assert digest(await generated(engine, version, seeded(version, 0, range(4)))) == before
            engine._store.delete_version("digits", 1)
            with pytest.raises(UnknownModel):
                await engine.load("digits")

    asyncio.run(main())


def test_the_default_model_is_loaded_without_a_request_and_follows_publications(
    tmp_path: Path, model_root: Path
) -> None:
    async def main() -> None:
        async with sampling(tmp_path) as engine:
            await soon(lambda: engine.ready()[0], "the default model")
            assert engine.ready() == (True, "digits@1 is loaded")
            write_version(model_root, "petals", 2, TINY_DCGAN, seed=4)
            await soon(lambda: engine.ready() == (True, "petals@2 is loaded"), "the model published last")

    asyncio.run(main())


def test_a_default_model_that_does_not_exist_is_reported(tmp_path: Path, model_root: Path) -> None:
    async def main() -> None:
        async with sampling(tmp_path, default="nobody") as engine:
            await soon(lambda: "nobody" in engine.ready()[1], "the reason")
            assert engine.ready() == (False, 'there is no model "nobody"')

    asyncio.run(main())


def test_versions_evicted_in_turn_still_give_the_same_bytes(tmp_path: Path, model_root: Path) -> None:
    for number in (2, 3, 4):
        write_version(model_root, "digits", number, seed=number)
    refs = [f"digits@{number}" for number in (1, 2, 3, 4)]

    async def one(engine: SamplingEngine, ref: str) -> str:
        version = await engine.load(ref)
        return digest(await generated(engine, version, seeded(version, 5, range(6))))

    async def main() -> None:
        async with sampling(tmp_path, start=False) as engine:
            expected = {ref: await one(engine, ref) for ref in refs}
        async with sampling(tmp_path, budget=TINY_MLP.parameters() * 9, start=False) as engine:
            wanted = [refs[i % 4] for i in range(24)]
            assert await asyncio.gather(*(one(engine, ref) for ref in wanted)) == [expected[ref] for ref in wanted]
            assert len(engine.loaded()) == 2

    asyncio.run(main())


def test_too_long_a_queue_refuses_newcomers_and_says_when_to_return() -> None:
    ahead = 0.0
    admission = Admission(lambda: ahead, max_seconds=10, max_bytes=1000)
    with admission.admit(5000):
        pass
    ahead = 12.5
    with pytest.raises(Overloaded) as refusal, admission.admit(1):
        pass
    assert refusal.value.retry_after == 9
    assert admission.bytes == 0


def test_bytes_in_flight_are_bounded_but_one_request_alone_is_always_let_in() -> None:
    admission = Admission(lambda: 0.0, max_seconds=10, max_bytes=1000)
    with admission.admit(5000):
        with pytest.raises(Overloaded) as refusal, admission.admit(1):
            pass
        assert refusal.value.retry_after == 1
    with admission.admit(600), admission.admit(400):
        assert admission.bytes == 1000


def test_work_that_nobody_waits_for_any_more_is_not_begun() -> None:
    async def main() -> None:
        threads = ThreadPool(1)
        begun: list[int] = []
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()

        def blocking() -> None:
            begun.append(0)
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(30)

        first = asyncio.create_task(threads.run(blocking))
        await soon(lambda: begun, "the first to begin")
        second = asyncio.create_task(threads.run(lambda: begun.append(1)))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.set()
        await first
        await asyncio.to_thread(threads.stop)
        assert begun == [0]
        assert threads.seconds_ahead() == 0

    asyncio.run(main())


def test_a_version_that_is_watched_but_not_requested_makes_room_first(
    tmp_path: Path, model_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(engine: SamplingEngine, ref: str) -> None:
        version = await engine.load(ref)
        await generated(engine, version, seeded(version, 0, range(1)))

    async def main() -> None:
        for name in ("a", "b", "c"):
            write_version(model_root, name)
        async with sampling(tmp_path, default="a") as engine:
            await use(engine, "a")
            (size,) = engine.loaded().values()
        async with sampling(tmp_path, default="a", budget=size * 7 // 2) as engine:
            await use(engine, "a")
            await use(engine, "digits")
            await use(engine, "b@1")
            scans = 0
            real = engine._store.scan

            def counted() -> frozenset[str]:
                nonlocal scans
                scans += 1
                return real()

            monkeypatch.setattr(engine._store, "scan", counted)
            await soon(lambda: scans >= 3, "the watcher to look at every name that was requested")
            await use(engine, "c")
            assert sorted(engine.loaded()) == ["a@1", "b@1", "c@1"]

    asyncio.run(main())
