"""The rules that turn a published and a reproduced number into a verdict."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from common.tables.published import PICTURE, Published, Tolerance, number

EXACT = "exact"
WITHIN = "within"
BETTER = "better"
DIFFERS = "differs"
NOT_COMPARABLE = "not comparable"
NOT_RUN = "not run"
ONLY_A_PICTURE = "published only as a picture"
CELL_VERDICTS = (EXACT, WITHIN, BETTER, DIFFERS, NOT_COMPARABLE, NOT_RUN, ONLY_A_PICTURE)

SAME_SIGN = "same sign"
OPPOSITE_SIGN = "opposite sign"
UNDECIDED = "undecided"
DIFFERENCE_VERDICTS = (SAME_SIGN, OPPOSITE_SIGN, UNDECIDED, NOT_COMPARABLE, NOT_RUN)

HOLDS = "holds"
DOES_NOT_HOLD = "does not hold"
NOT_JUDGED = "not judged"
CLAIM_VERDICTS = (HOLDS, DOES_NOT_HOLD, UNDECIDED, NOT_JUDGED)


def last_digit(printed: str) -> Decimal:
    """Return the unit of a printed number's last digit: 0.001 for 26.266, 1e8 for 3.88e10, 1 for 31232."""
    exponent = Decimal(printed).as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(exponent)


def same_digits(value: float, printed: str) -> bool:
    """Return whether `value`, rounded to the digits that are printed, is the printed number (ties either way)."""
    return abs(Decimal(repr(value)) - Decimal(printed)) * 2 <= last_digit(printed)


def of_cell(printed: str, value: float, tolerance: Tolerance, better: str | None) -> str:
    """Judge one comparable value by itself: exact, within, better or differs.

    `better` is `higher`, `lower` or None where neither direction is better.
    """
    if same_digits(value, printed):
        return EXACT
    published = number(printed)
    if abs(value - published) <= tolerance.around(published):
        return WITHIN
    improved = value > published if better == "higher" else value < published
    return BETTER if better and improved else DIFFERS


def of_row(table: Published, row: str, values: Mapping[str, float | None], obstacle: str) -> dict[str, str]:
    """Judge the cells of a row; `obstacle` says why absolute values cannot be compared, empty where they can.

    Where several columns have a better direction, a lower value (a rate) is `better` only if every column where higher
    is better (quality) is exact, within or better; otherwise it `differs`.
    """
    verdicts = {}
    for column in table.columns:
        printed = table.printed(row, column)
        if printed is not None:
            verdicts[column] = _of_any_cell(table, column, printed, values.get(column), obstacle)
    quality = [v for c, v in verdicts.items() if table.better.get(c) == "higher"]
    if any(verdict not in (EXACT, WITHIN, BETTER) for verdict in quality):
        lowered = [c for c, v in verdicts.items() if v == BETTER and table.better.get(c) == "lower"]
        verdicts.update(dict.fromkeys(lowered, DIFFERS))
    return verdicts


def _of_any_cell(table: Published, column: str, printed: str, value: float | None, obstacle: str) -> str:
    if printed == PICTURE:
        return ONLY_A_PICTURE
    if value is None:
        return NOT_RUN
    if obstacle:
        return NOT_COMPARABLE
    return of_cell(printed, value, table.tolerances[column], table.better.get(column))


def of_difference(published: float, reproduced: float | None, interval: Sequence[float] | None) -> str:
    """Judge a measured difference between two rows by the sign of its 95 % interval.

    Undecided where the interval covers 0 or is missing (too few pictures or trainings), or the paper prints no
    difference.
    """
    if reproduced is None:
        return NOT_RUN
    if interval is None or published == 0 or interval[0] <= 0 <= interval[1]:
        return UNDECIDED
    return SAME_SIGN if (interval[0] > 0) == (published > 0) else OPPOSITE_SIGN


RELATIONS = ("equals", "below", "above", "rounds to")


def of_claim(relation: str, claimed: float | str, found: float, interval: Sequence[float] | None = None) -> str:
    """Judge `found <relation> claimed`: holds, does not hold or, where an interval covers `claimed`, undecided.

    Relations: `equals`, `below`, `above` (numbers) and `rounds to` (a printed number). Counts have no interval.
    """
    if relation not in RELATIONS:
        raise ValueError(f"unknown relation {relation!r}: choose one of {', '.join(RELATIONS)}")
    if relation == "rounds to":
        return HOLDS if same_digits(found, str(claimed)) else DOES_NOT_HOLD
    if interval is not None and interval[0] <= float(claimed) <= interval[1]:
        return UNDECIDED
    holds = {"equals": found == claimed, "below": found < float(claimed), "above": found > float(claimed)}
    return HOLDS if holds[relation] else DOES_NOT_HOLD
