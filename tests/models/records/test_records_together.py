"""Many processes and threads on one database: nothing is done twice, and nobody is told that it is locked."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from models.records import LeaseState, Records, WrongState
from tests.fixtures.versions import training_config

PROCESSES = 2
THREADS = 4
RUNS = 60


def _claim_all(records: Records, worker: str) -> list[str]:
    """Work through the queue as a worker does; every second run is handed over once and claimed again by somebody."""
    claimed = []
    while (run := records.claim_run(worker, 1)) is not None:
        claimed.append(f"{run.id} {run.token}")
        records.beat_run(run.claim)
        assert records.wanted(run.claim) is None
        again = run.token == 1 and int(run.config["seed"]) % 2 == 0
        records.release_run(run.claim, "queued" if again else "succeeded")
    return claimed


def _process(url: str, name: str, claimed: multiprocessing.SimpleQueue[list[str]]) -> None:
    records = Records(url)
    with ThreadPoolExecutor(THREADS) as pool:
        for result in pool.map(lambda n: _claim_all(records, f"{name}-{n}"), range(THREADS)):
            claimed.put(result)
    records.close()


def test_every_run_is_claimed_exactly_once_per_token(migrated_url: str, records: Records) -> None:
    runs = [records.create_run(training_config(seed=n), {})[0] for n in range(RUNS)]
    context = multiprocessing.get_context("spawn")
    claimed = context.SimpleQueue()
    processes = [context.Process(target=_process, args=(migrated_url, str(n), claimed)) for n in range(PROCESSES)]
    for process in processes:
        process.start()
    results = [claimed.get() for _ in range(PROCESSES * THREADS)]
    for process in processes:
        process.join()
    expected = [f"{run.id} 1" for run in runs] + [f"{run.id} 2" for run in runs[::2]]
    assert Counter(claim for result in results for claim in result) == Counter(expected)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert len(records.list_runs(state="succeeded", limit=RUNS + 1)[0]) == RUNS


def test_runs_that_publish_into_one_model_at_once_get_numbers_of_their_own(records: Records) -> None:
    for _ in range(6):
        records.create_run(training_config(), {})
    runs = [run for _ in range(6) if (run := records.claim_run("worker", 1))]
    with ThreadPoolExecutor(6) as pool:
        numbers = pool.map(lambda run: [records.allocate(run.claim, images, "digits") for images in range(5)], runs)
    assert sorted(number for several in numbers for number in several) == list(range(1, 31))


def test_one_idempotency_key_makes_one_run_however_many_send_it_at_once(records: Records) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: records.create_run(training_config(), {"a": 1}, "key"), range(8)))
    assert sum(created for _, created in results) == 1
    assert len({run.id for run, _ in results}) == 1


def test_a_run_that_is_claimed_and_cancelled_at_once_is_one_or_the_other(records: Records) -> None:
    runs = [records.create_run(training_config(), {})[0] for _ in range(20)]
    with ThreadPoolExecutor(2) as pool:
        claims = pool.submit(lambda: [run for _ in runs if (run := records.claim_run("worker", 1))])
        cancels = pool.submit(lambda: [records.cancel(run.id) for run in runs])
    claimed = {run.id: run.claim for run in claims.result()}
    for run in cancels.result():
        if run.id in claimed:
            assert records.wanted(claimed[run.id]) == "cancelled"
        else:
            assert run.state == "cancelled"


def test_a_lost_run_is_taken_back_by_one_of_many_reapers(records: Records) -> None:
    records.create_run(training_config(), {})
    held = records.claim_run("worker", 1)
    assert held is not None
    with ThreadPoolExecutor(8) as pool:
        taken = list(
            pool.map(lambda _: records.take_back(LeaseState(held.claim, held.beat, held.worker), "silent"), range(8))
        )
    assert [row.failures for row in taken if row is not None] == [1]


def test_resuming_many_times_at_once_queues_a_run_once(records: Records) -> None:
    run = records.pause(records.create_run(training_config(), {})[0].id)

    def resume() -> bool:
        try:
            return records.resume(run.id).state == "queued"
        except WrongState:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: resume(), range(8))) == 1
