"""The constant proof: no answer that ignores its arguments earns a point, in any exercise."""

from pathlib import Path

import pytest

from coursekit.grade import list_exercises, load_exercise
from coursekit.grade.proof import unearned

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", list_exercises(ROOT))
def test_no_constant_no_replay_and_no_trivial_answer_passes_a_check(name):
    assert unearned(load_exercise(name, ROOT), (11, 12)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", list_exercises(ROOT))
def test_the_same_with_other_seeds(name):
    # the several answers that repeat one value of another seed are one coincidence of that seed, not several
    found = {
        (seed, passed.partition(" accepts ")[0])
        for seed in range(5)
        for passed in unearned(load_exercise(name, ROOT), (100 + seed, 200 + seed))
    }
    assert len(found) <= 1, found  # a value can be the same by chance, but not twice


def test_the_proof_sees_a_check_that_a_constant_passes():
    from dataclasses import replace

    exercise = load_exercise("03", ROOT)
    weak = '''
from coursekit.grade.checks import check, close

@check("auc")
def always_the_same(student, rng):
    """All scores are equal."""
    close(student.auc(rng.permutation([0, 1, 1]), rng.random(3) * 0), 0.5)
'''
    assert any("one half" in passed for passed in unearned(replace(exercise, checks_source=weak)))
