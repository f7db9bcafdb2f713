"""Tasks side by side: in order, so many at a time, and none waited for beyond the limit."""

import subprocess
import sys
import threading
from datetime import timedelta

from maintenance.engine.side_by_side import within

HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=50)


def test_results_and_errors_are_in_the_order_of_the_tasks() -> None:
    looks = within(HOUR, 2, [lambda: 1, lambda: 1 // 0, lambda: 3])
    assert [look.exception() for look in looks if look.exception()] == [looks[1].exception()]
    assert isinstance(looks[1].exception(), ZeroDivisionError)
    assert [looks[0].result(), looks[2].result()] == [1, 3]
    assert within(HOUR, 2, list[type[int]]()) == []


def test_no_more_than_that_many_run_at_a_time() -> None:
    together = threading.Barrier(3, timeout=60)
    assert all(look.done() for look in within(HOUR, 3, [together.wait] * 6))
    alone = threading.Lock()

    def only_one() -> bool:
        with alone:
            return threading.active_count() < n_before + 4

    n_before = threading.active_count()
    assert all(look.result() for look in within(HOUR, 3, [only_one] * 30))


def test_task_that_hangs_is_left_alone_and_those_behind_it_never_begin() -> None:
    end, begun = threading.Event(), list[str]()
    hung, behind = within(MOMENT, 1, [end.wait, lambda: begun.append("behind")])
    assert not hung.done()
    assert behind.cancelled()
    end.set()
    assert hung.result(60)
    assert begun == []


ENDS = """
import threading
from datetime import timedelta
from maintenance.engine.side_by_side import within
within(timedelta(milliseconds=50), 1, [threading.Event().wait])
print("ended")
"""


def test_task_that_hangs_does_not_keep_the_process_from_ending() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=True)
    assert done.stdout == "ended\n"
