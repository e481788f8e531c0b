"""A sentence checked as a person does: only what it shows is calculated with."""

import math
import re
from fractions import Fraction

from libs.common.scaling.replicas import Bounds

NUMBER = r"(\d+(?:\.\d+)?)"
PRODUCT = re.compile(rf"(\d+) × {NUMBER}(?:/{NUMBER})? = {NUMBER} → (\d+)(?:, but [^;]*: (\d+))?")
HELD = re.compile(rf"but {NUMBER} is within {NUMBER} to {NUMBER}:")
HIGHEST = re.compile(r"highest (\d+) \(")
RATE = re.compile(
    r"at (most|least) (\d+) \((-?\d+) ([+-]) (\d+)( %)? in \d+ s(?: is (-?\d+), passed already)?\)"
)
GROWTH = re.compile(r"at most (\d+) × (\d+), or (\d+): (\d+)")
IN_FLIGHT = re.compile(rf"{NUMBER} in flight, (\d+) × (\d+) % = {NUMBER} for each → {NUMBER} → (\d+)")
BURST = re.compile(
    rf"a burst: {NUMBER} in the last {NUMBER} s → (\d+)(?:, and (\d+) were needed since)?: (\d+)"
)
STEP = re.compile(r"(\d+) too many for \d+ s: (\d+) % of them, at least 1: (\d+) - (\d+) → (\d+)")
BOUND = re.compile(r"(ceiling|floor) (\d+)")


def check_by_hand(sentence: str, bounds: Bounds) -> None:
    """Raises AssertionError where a number that is shown does not follow from those shown before it."""
    for bound, found in BOUND.findall(sentence):
        assert int(found) == (bounds.maximum if bound == "ceiling" else bounds.minimum), sentence
    proposals = []
    for counted, value, target, product, whole, kept in PRODUCT.findall(sentence):
        _same(int(counted) * Fraction(value) / Fraction(target or 1), product, sentence)
        assert math.ceil(Fraction(product)) == int(whole), sentence
        proposals.append(int(kept or whole))
    for ratio, lowest, highest in HELD.findall(sentence):
        assert Fraction(lowest) <= Fraction(ratio) <= Fraction(highest), sentence
    for highest in HIGHEST.findall(sentence):
        assert int(highest) == max(proposals), sentence
    for most, found, began_with, sign, value, percent, passed in RATE.findall(sentence):
        part = int(value) / 100 if sign == "+" else -int(value) / 100
        by = int(value) if sign == "+" else -int(value)
        product = int(began_with) * (1 + part)  # a double, as in Kubernetes
        rounded = math.ceil(product) if sign == "+" else math.trunc(product)
        allowed = rounded if percent else int(began_with) + by
        assert int(passed or found) == allowed, sentence
        assert not passed or (int(found) > allowed) == (most == "most"), sentence
    for factor, before, at_least, found in GROWTH.findall(sentence):
        assert int(found) == max(int(factor) * int(before), int(at_least)), sentence
    _in_flight(sentence)


def _in_flight(sentence: str) -> None:
    for stable, target, share, each, quotient, whole in IN_FLIGHT.findall(sentence):
        assert Fraction(int(target) * int(share), 100) == Fraction(each), sentence
        _same(Fraction(stable) / Fraction(each), quotient, sentence)
        assert math.ceil(Fraction(quotient)) == int(whole), sentence
        wanted = int(whole)
        for panic, _, by_panic, since, most in BURST.findall(sentence):
            assert math.ceil(float(panic) / float(each)) == int(by_panic), sentence
            assert max(wanted, int(by_panic), int(since or 0)) == int(most), sentence
            wanted = int(most)
        for bound, found in BOUND.findall(sentence):
            assert int(found) < wanted if bound == "ceiling" else int(found) > wanted, sentence
            wanted = int(found)
        for excess, percent, before, step, after in STEP.findall(sentence):
            assert int(before) - wanted == int(excess), sentence
            assert max(1, int(excess) * int(percent) // 100) == int(step), sentence
            assert int(before) - int(step) == int(after), sentence


def _same(calculated: Fraction, shown: str, sentence: str) -> None:
    """Rounded to as many decimals as are shown, three at least; a double may be a hair away, or by the
    least that there is."""
    decimals = max(3, len(shown.partition(".")[2]))
    hair = max(abs(calculated) * Fraction(1, 10**14), Fraction(math.ulp(0.0)))
    nearest = Fraction(1, 2 * 10**decimals) + hair
    assert abs(calculated - Fraction(shown)) <= nearest, sentence
