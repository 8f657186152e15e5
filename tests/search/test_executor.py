from __future__ import annotations

import pytest
from tellapart.search.executor import Executor, InlineExecutor


class TestInline:
    """What any executor keeps to."""

    def make(self) -> Executor:
        return InlineExecutor()

    def test_a_result_comes_back(self) -> None:
        assert self.make().submit(lambda x: x + 1, 41).result() == 42

    def test_an_error_comes_out_of_the_result(self) -> None:
        future = self.make().submit(lambda x: 1 // x, 0)
        assert isinstance(future.exception(), ZeroDivisionError)
        with pytest.raises(ZeroDivisionError):
            future.result()

    def test_results_belong_to_their_settings(self) -> None:
        executor = self.make()
        futures = [executor.submit(lambda x: x * x, number) for number in range(20)]
        assert [future.result() for future in futures] == [number**2 for number in range(20)]


def test_a_signal_is_not_kept_in_a_future() -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        InlineExecutor().submit(stop, 0)
