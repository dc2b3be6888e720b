"""Two commands on one folder, or on one cache, at the same time."""

from tests.commands import sentence_of
from tests.faults.lives import TWO, Life, until

REFUSED = "Another process works in"


def test_the_second_command_on_one_folder_is_refused_and_the_first_is_not_hindered(
    life: Life, undisturbed: Life
) -> None:
    first = life.begin(*TWO)
    until(lambda: (life.out / "manifest.json").exists(), first)
    assert REFUSED in life.refusal()
    assert life.end(first).returncode == 0
    assert life.contents() == undisturbed.contents()


def test_two_commands_that_begin_together_leave_one_run(life: Life, undisturbed: Life) -> None:
    both = [life.end(run) for run in [life.begin(), life.begin()]]
    refused = [done for done in both if done.returncode]
    assert len(refused) < 2
    assert all(REFUSED in sentence_of(done) for done in refused)
    assert life.contents() == undisturbed.contents()
