"""Long work in slices: the size of a slice, and the order of the tasks."""

from __future__ import annotations

import asyncio

import pytest

from promo_sandbox.base.slices import Unfinished, Work, finish, run_slice


def steps(of: int, done: list[str], name: str = "step") -> Work[int]:
    for _ in range(of):
        done.append(name)
        yield
    return of


def test_a_slice_ends_when_its_time_is_over() -> None:
    done: list[str] = []
    work = steps(3, done)

    with pytest.raises(Unfinished):
        run_slice(work, 0)

    assert done == ["step"]


def test_work_that_takes_no_longer_than_a_slice_is_done_at_once() -> None:
    done: list[str] = []

    assert run_slice(steps(3, done), 60) == 3
    assert done == ["step"] * 3


def test_the_result_of_work_is_handed_on_when_it_has_ended() -> None:
    assert asyncio.run(finish(steps(2, []))) == 2


def test_of_several_who_work_one_has_its_turn_and_then_all_others_have_theirs() -> None:
    done: list[str] = []

    async def bystander() -> None:
        while len(done) < 8:
            done.append(".")
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(finish(slow("a")), finish(slow("b")), bystander())

    def slow(name: str) -> Work[None]:
        for _ in range(3):
            done.append(name)
            spend()
            yield

    asyncio.run(all_of_them())

    assert "".join(done).replace(".", "") == "ababab"
    assert "ab" not in "".join(done[:4])


def spend() -> None:
    """More processor time than a slice has."""
    sum(range(600_000))


def test_work_in_one_event_loop_does_not_wait_for_another_one() -> None:
    async def twice() -> list[str]:
        done: list[str] = []
        await asyncio.gather(finish(steps(2, done)), finish(steps(2, done)))
        return done

    assert asyncio.run(twice()) == asyncio.run(twice()) == ["step"] * 4
