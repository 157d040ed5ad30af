"""Rate control: the exact choice is brute force's, the greedy one and its bound enclose it."""

import itertools
import time

import numpy as np
import pytest

from common import rate_control
from common.errors import RelicError


def problem(seed, pictures, choices):
    random = np.random.RandomState(seed)
    sizes = random.randint(1, 60, (pictures, choices)).tolist()
    return sizes, random.rand(pictures, choices).round(2).tolist(), int(random.randint(15 * pictures, 45 * pictures))


def _sum(rows, choice):
    return sum(of[j] for of, j in zip(rows, choice, strict=True))


def brute_force(sizes, values, budget):
    """Return the greatest value of a selection within the budget, None where none is."""
    every = itertools.product(*(range(len(of)) for of in sizes))
    sums = ((_sum(sizes, c), _sum(values, c)) for c in every)
    return max((value for size, value in sums if size <= budget), default=None)


@pytest.mark.parametrize("pictures, choices", [(1, 1), (1, 4), (4, 2), (9, 2), (6, 4)])
def test_the_exact_choice_is_that_of_brute_force_and_lies_between_the_greedy_one_and_its_bound(pictures, choices):
    for seed in range(40):
        sizes, values, budget = problem(seed, pictures, choices)
        best = brute_force(sizes, values, budget)
        if best is None:
            with pytest.raises(RelicError, match="smallest files"):
                rate_control.exact(sizes, values, budget)
            continue
        found = rate_control.exact(sizes, values, budget)
        greedy, bound = rate_control.greedy(sizes, values, budget)
        assert found.value == pytest.approx(best, abs=1e-12)
        assert found.size <= budget and greedy.size <= budget
        assert greedy.value <= found.value + 1e-12 <= bound + 2e-12
        assert found.size == sum(of[j] for of, j in zip(sizes, found.chosen, strict=True))


def test_the_greedy_choice_is_within_one_upgrade_of_the_optimum():
    for seed in range(30):
        sizes, values, _ = problem(seed, 40, 2)
        budget = sum(map(sum, sizes)) // 2
        greedy, bound = rate_control.greedy(sizes, values, budget)
        assert bound - greedy.value <= max(abs(a - b) for a, b in values)


def test_hundreds_of_pictures_are_chosen_exactly_in_seconds():
    random = np.random.RandomState(0)
    low = random.randint(8_000, 60_000, 300)
    growth = 1 + 0.4 * random.rand(300)
    sizes = [[int(s * (1 + (g - 1) * k / 4)) for k in range(5)] for s, g in zip(low, growth, strict=True)]
    values = [[0.97 - a * np.exp(-0.3 * k) for k in range(5)] for a in 0.05 * random.rand(300)]
    budget = (sum(of[0] for of in sizes) + sum(of[-1] for of in sizes)) // 2
    started = time.process_time()
    found = rate_control.exact(sizes, values, budget)
    greedy, bound = rate_control.greedy(sizes, values, budget)
    assert time.process_time() - started < 20
    assert greedy.value <= found.value <= bound and found.size <= budget


def test_a_budget_counts_the_extra_bits_and_a_target_as_it_is_written():
    assert rate_control.budget(0.15, 1_600) == 30
    assert rate_control.budget(0.15, 1_600, 1) == 29
    assert rate_control.budget(0.1, 80 * 3) == 3  # in floats 0.1 x 240 / 8 may fall short
