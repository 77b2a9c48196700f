"""Who likes what: users mix a few of twenty taste groups, which lean to one gender or the other.

Gender acts on the choice of groups and on nothing else. So the probability of a gender given the
groups is known exactly, and bounds from above what any model can learn from the plays: the
Bayes-optimal figure for the generated data.
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

# How liked a group is over all users: uneven, but none is a niche.
GROUP_SHARES: FloatArray = (np.arange(GROUPS) + 3.0) ** -0.5 / ((np.arange(GROUPS) + 3.0) ** -0.5).sum()

# Log-odds for women; 7 is coprime to 20, so the leaning is scattered over loved and less loved groups.
LEANING: FloatArray = LEAN * np.linspace(-1.0, 1.0, GROUPS)[7 * np.arange(GROUPS) % GROUPS]


@dataclass(frozen=True)
class Tastes:
    """Truth about a block of U users.

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
        """(U,) f or m, whether stated or not."""
        return np.where(self.female, "f", "m")

    @property
    def stated_genders(self) -> npt.NDArray[np.str_]:
        """(U,) f, m, or an empty text where the user does not say."""
        return np.where(self.stated, self.genders, "")


def draw_tastes(plan: SamplePlan, block: int) -> Tastes:
    """The users of one block."""
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
    """P(female | ordered groups of a user), shape (U,), for groups of shape (U, 3)."""
    chosen = _group_odds()[:, groups]
    left = 1.0 - np.cumsum(chosen, axis=2) + chosen
    likelihoods = (chosen / left).prod(axis=2)
    male, female = likelihoods[0] * (1.0 - FEMALE_SHARE), likelihoods[1] * FEMALE_SHARE
    probability: FloatArray = female / (male + female)
    return probability


def choose_groups(rng: np.random.Generator, tastes: Tastes, users: IntArray) -> IntArray:
    """A group for each of n draws by users (n,) of the block: mostly one of the user's own."""
    bounds = np.cumsum(tastes.shares, axis=1)[users, :-1]
    slots = (rng.random(len(users))[:, None] > bounds).sum(axis=1)
    groups: IntArray = tastes.groups[users, slots]
    stray = np.flatnonzero(rng.random(len(users)) < tastes.background[users])
    groups[stray] = rng.choice(GROUPS, len(stray), p=GROUP_SHARES)
    return groups


def _group_odds() -> FloatArray:
    """(2, GROUPS) probability of each group as the first choice of men (row 0) and women (row 1)."""
    odds = GROUP_SHARES * np.exp(np.outer([-0.5, 0.5], LEANING))
    normalised: FloatArray = odds / odds.sum(axis=1, keepdims=True)
    return normalised
