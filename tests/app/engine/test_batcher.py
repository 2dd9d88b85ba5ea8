"""Who gets which place in which tile, who is dropped, and what happens beside the tiles."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future

import numpy as np
import pytest
import torch

from app.engine.batcher import CHORE_EVERY, Batcher, Stopped
from app.engine.devices import lanes
from app.engine.inputs import Inputs
from app.engine.queue import TURN, Pictures, Queue, Ticket
from tests.fixtures.waiting import until

LANES = lanes([torch.device("cpu")], 1)


class Echo:
    """A painter whose images hold their latent's first value, and which can be held up."""

    seconds = 0.25

    def __init__(self, tile: int = 8) -> None:
        self.tile = tile
        self.go = threading.Event()
        self.go.set()
        self.painting = threading.Event()
        self.tiles: list[list[int]] = []

    def share(self, waiting: int) -> int:
        return min(waiting, self.tile)

    def places(self, count: int) -> int:
        return self.tile

    def paint(self, inputs: Inputs, lane: int) -> Pictures:
        self.painting.set()
        assert self.go.wait(30)
        self.tiles.append([int(value) for value in inputs.z[:, 0]])
        return inputs.z[:, :1].astype(np.uint8).reshape(-1, 1, 1, 1)


def latents_of(*values: int) -> Inputs:
    return Inputs(np.array(values, np.float32)[:, None])


def deals(queue: Queue) -> list[list[int]]:
    dealt = []
    while (deal := queue.deal()) is not None:
        dealt.append([int(value) for share in deal.shares for value in share.inputs.z[:, 0]])
    return dealt


def values(future: Future[Pictures]) -> list[int]:
    return [int(value) for value in future.result(30).ravel()]


def test_the_wait_is_that_of_everybodys_turn_whoever_waits_and_is_dropped() -> None:
    queue, one, other = Queue(), Echo(tile=8), Echo(tile=2)
    tickets = [Ticket(one, latents_of(*range(n))) for n in (3, 20, 5)] + [Ticket(other, latents_of(1, 2, 3))]
    for ticket in tickets:
        queue.add(ticket)
    while len(queue):
        line = [ticket for line in queue._lines.values() for ticket in line]
        expected = sum(min(t.left, t.turn) / t.painter.tile * t.painter.seconds for t in line)
        assert queue.seconds() == pytest.approx(expected)
        queue.deal()
        tickets[2].future.cancel()
    assert queue.seconds() == 0
    assert not queue._wanted


def test_a_tile_is_filled_from_several_requests_in_order() -> None:
    queue, painter = Queue(), Echo()
    for start, count in ((10, 3), (20, 4), (30, 5)):
        queue.add(Ticket(painter, latents_of(*range(start, start + count))))
    assert deals(queue) == [[10, 11, 12, 20, 21, 22, 23, 30], [31, 32, 33, 34]]


def test_a_large_request_takes_turns_with_those_that_came_later() -> None:
    queue, painter = Queue(), Echo(tile=TURN // 2)
    large = list(range(TURN * 2 + 1))
    queue.add(Ticket(painter, latents_of(*large)))
    queue.add(Ticket(painter, latents_of(1001, 1002, 1003)))
    dealt = deals(queue)
    assert [value for tile in dealt for value in tile] == [*large[:TURN], 1001, 1002, 1003, *large[TURN:]]
    assert [len(tile) for tile in dealt] == [TURN // 2] * 4 + [4]


def test_a_request_of_one_turn_is_finished_before_those_that_came_later() -> None:
    queue, painter = Queue(), Echo(tile=4)
    for start in (0, 100, 200):
        queue.add(Ticket(painter, latents_of(*range(start, start + 25))))
    dealt = [value for tile in deals(queue) for value in tile]
    assert dealt == [*range(25), *range(100, 125), *range(200, 225)]


def test_small_requests_are_served_in_order_of_arrival_however_many_wait() -> None:
    queue, painter = Queue(), Echo(tile=4)
    for start in range(0, 90, 3):
        queue.add(Ticket(painter, latents_of(start, start + 1, start + 2)))
    assert [value for tile in deals(queue) for value in tile] == list(range(90))


def test_painters_take_turns() -> None:
    queue, one, other = Queue(), Echo(tile=2), Echo(tile=2)
    queue.add(Ticket(one, latents_of(*range(TURN + 2))))
    queue.add(Ticket(other, latents_of(*range(1000, 1000 + TURN + 2))))
    dealt = [value for tile in deals(queue) for value in tile]
    assert dealt == [*range(TURN), *range(1000, 1000 + TURN), TURN, TURN + 1, 1000 + TURN, 1001 + TURN]


def test_the_wait_of_a_newcomer_is_one_turn_of_everybody() -> None:
    queue, painter = Queue(), Echo(tile=8)
    assert queue.seconds() == 0
    queue.add(Ticket(painter, latents_of(*range(800))))
    queue.add(Ticket(painter, latents_of(1, 2)))
    assert queue.seconds() == pytest.approx(0.25 * TURN / 8 + 0.25 * 2 / 8)


def test_images_come_back_to_their_own_request_in_order() -> None:
    batcher, painter = Batcher(LANES), Echo(tile=4)
    futures = [batcher.submit(painter, latents_of(*range(n))) for n in (1, 9, 2, 30, 4, 1)]
    assert [values(future) for future in futures] == [list(range(n)) for n in (1, 9, 2, 30, 4, 1)]
    batcher.stop()


def test_an_idle_device_runs_at_once_and_what_arrives_meanwhile_shares_a_tile() -> None:
    batcher, painter = Batcher(LANES), Echo()
    painter.go.clear()
    first = batcher.submit(painter, latents_of(1))
    assert painter.painting.wait(30)
    others = [batcher.submit(painter, latents_of(n)) for n in (2, 3, 4)]
    painter.go.set()
    assert [values(f) for f in (first, *others)] == [[1], [2], [3], [4]]
    assert painter.tiles == [[1], [2, 3, 4]]
    batcher.stop()


def test_a_cancelled_request_is_not_painted_further() -> None:
    batcher, painter = Batcher(LANES), Echo(tile=2)
    painter.go.clear()
    left = batcher.submit(painter, latents_of(*range(10)))
    assert painter.painting.wait(30)
    stays = batcher.submit(painter, latents_of(77))
    assert left.cancel()
    painter.go.set()
    assert values(stays) == [77]
    assert painter.tiles == [[0, 1], [77]]
    with pytest.raises(CancelledError):
        left.result()
    batcher.stop()


def test_a_failing_tile_fails_those_in_it_and_nobody_else() -> None:
    class Failing(Echo):
        def paint(self, inputs: Inputs, lane: int) -> Pictures:
            raise MemoryError("no memory for the tile")

    batcher, painter = Batcher(LANES), Echo()
    bad = batcher.submit(Failing(tile=2), latents_of(1, 2, 3, 4, 5))
    good = batcher.submit(painter, latents_of(6))
    with pytest.raises(MemoryError, match="no memory"):
        bad.result(30)
    assert values(good) == [6]
    batcher.stop()


def test_a_chore_waits_for_requests_but_not_for_ever() -> None:
    batcher, painter = Batcher(LANES), Echo(tile=1)
    painter.go.clear()
    batcher.submit(painter, latents_of(0))
    assert painter.painting.wait(30)
    done: list[int] = []
    chore = threading.Thread(target=lambda: batcher.chore(lambda _: done.append(len(painter.tiles))))
    chore.start()
    until(lambda: batcher._chores, "the chore to wait")
    last = batcher.submit(painter, latents_of(*range(30)))
    painter.go.set()
    last.result(30)
    chore.join(30)
    assert done == [CHORE_EVERY]
    batcher.stop()


def test_a_chore_is_done_when_all_who_waited_have_left() -> None:
    batcher, painter = Batcher(LANES), Echo(tile=1)
    painter.go.clear()
    batcher.submit(painter, latents_of(0))
    assert painter.painting.wait(30)
    leaving = [batcher.submit(painter, latents_of(1, 2)) for _ in range(3)]
    chore = threading.Thread(target=lambda: batcher.chore(lambda _: None))
    chore.start()
    until(lambda: batcher._chores, "the chore to wait")
    for future in leaving:
        future.cancel()
    painter.go.set()
    chore.join(30)
    assert not chore.is_alive()
    assert batcher.seconds_ahead() == 0
    batcher.stop()


def test_a_chore_passes_on_result_and_error() -> None:
    batcher = Batcher(LANES)
    assert batcher.chore(lambda _: 42) == 42
    with pytest.raises(ZeroDivisionError):
        batcher.chore(lambda _: 1 // 0)
    batcher.stop()


def test_stopping_fails_who_still_waits_and_refuses_newcomers() -> None:
    batcher, painter = Batcher(LANES), Echo(tile=1)
    painter.go.clear()
    waiting = batcher.submit(painter, latents_of(1, 2))
    assert painter.painting.wait(30)
    stopping = threading.Thread(target=batcher.stop)
    stopping.start()
    painter.go.set()
    stopping.join(30)
    with pytest.raises(Stopped):
        waiting.result(30)
    with pytest.raises(Stopped):
        batcher.submit(painter, latents_of(3))
    with pytest.raises(Stopped):
        batcher.chore(lambda _: None)


def test_a_tile_during_which_the_machine_slept_is_no_measure_of_the_next() -> None:
    batcher, painter = Batcher(LANES), Echo(tile=1)
    painter.seconds = 1e-9
    batcher.submit(painter, latents_of(1)).result(30)
    until(lambda: painter.seconds > 1e-9, "the tile to count")
    assert painter.seconds <= 2e-9
    batcher.stop()
