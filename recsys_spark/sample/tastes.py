"""Tastes of users: a few of twenty groups, each of which leans to a gender.

Gender influences only the choice of groups. The probability of a gender given the groups can therefore be computed
exactly. It is the Bayes-optimal prediction, an upper bound for any model that learns from the plays.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.randomness import FloatArray, IntArray, stream

__all__ = ["GROUPS", "GROUP_SHARES", "Tastes", "choose_groups", "draw_tastes", "female_probability"]

GROUPS = 20
GROUPS_OF_A_USER = 3
FEMALE_SHARE = 0.36
STATED_SHARE = 0.9
LEAN = 1.85

# Popularity of the groups over all users: uneven, with no rare group.
GROUP_SHARES: FloatArray = (np.arange(GROUPS) + 3.0) ** -0.5 / ((np.arange(GROUPS) + 3.0) ** -0.5).sum()

# Log-odds for women; 7 is coprime to 20, so the leaning is independent of the popularity of a group.
LEANING: FloatArray = LEAN * np.linspace(-1.0, 1.0, GROUPS)[7 * np.arange(GROUPS) % GROUPS]


@dataclass(frozen=True)
class Tastes:
    """Genders and tastes of a block of U users.

    female, stated: (U,) bool; groups: (U, 3) distinct groups, the first ones chosen first;
    shares: (U, 3) parts of their plays, rows sum to 1; background: (U,) part of plays from any group.
    """

    female: npt.NDArray[np.bool_]
    stated: npt.NDArray[np.bool_]
    groups: IntArray
    shares: FloatArray
    background: FloatArray

    @property
    def genders(self) -> npt.NDArray[np.str_]:
        """Return f or m for each user (U,), also where it is not stated."""
        return np.where(self.female, "f", "m")

    @property
    def stated_genders(self) -> npt.NDArray[np.str_]:
        """Return f, m, or an empty text where the gender is not stated (U,)."""
        return np.where(self.stated, self.genders, "")


def draw_tastes(plan: SamplePlan, block: int) -> Tastes:
    """Draw the genders and tastes of one block of users."""
    rng = stream(plan.seed, "tastes", block)
    size = len(plan.users_of(block))
    female = rng.random(size) < FEMALE_SHARE
    # The largest of log-weights plus Gumbel noise: a draw without replacement, group after group.
    appeal = np.log(_group_odds()[female.astype(np.int64)]) + rng.gumbel(size=(size, GROUPS))
    return Tastes(
        female=female,
        stated=rng.random(size) < STATED_SHARE,
        groups=np.argsort(-appeal, axis=1)[:, :GROUPS_OF_A_USER],
        shares=rng.dirichlet([6.0, 3.0, 1.5], size),
        background=rng.beta(2.0, 8.0, size),
    )


def female_probability(groups: IntArray) -> FloatArray:
    """Return P(female | ordered groups of a user), shape (U,).

    groups: (U, 3), as in Tastes.
    """
    chosen = _group_odds()[:, groups]
    left = 1.0 - np.cumsum(chosen, axis=2) + chosen
    likelihoods = (chosen / left).prod(axis=2)
    male, female = likelihoods[0] * (1.0 - FEMALE_SHARE), likelihoods[1] * FEMALE_SHARE
    probability: FloatArray = female / (male + female)
    return probability


def choose_groups(rng: np.random.Generator, tastes: Tastes, users: IntArray) -> IntArray:
    """Draw a group for each play by users (n,), mostly one of the user's own."""
    bounds = np.cumsum(tastes.shares, axis=1)[users, :-1]
    slots = (rng.random(len(users))[:, None] > bounds).sum(axis=1)
    groups: IntArray = tastes.groups[users, slots]
    background = np.flatnonzero(rng.random(len(users)) < tastes.background[users])
    groups[background] = rng.choice(GROUPS, len(background), p=GROUP_SHARES)
    return groups


def _group_odds() -> FloatArray:
    """Return the probability of each group as first choice, shape (2, GROUPS).

    Row 0 is for men, row 1 for women.
    """
    odds = GROUP_SHARES * np.exp(np.outer([-0.5, 0.5], LEANING))
    normalised: FloatArray = odds / odds.sum(axis=1, keepdims=True)
    return normalised
