"""Score clusters against the truth of the demo property, pair by pair of identifiers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from cdp.demo.population import Array
from cdp.domain.errors import InputError
from cdp.domain.payload import IDENTIFIER_TYPES

_KEY: Final = ["type", "value"]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts are pairs of identifiers unless the name says otherwise.

    `wrong_pairs` = `shared_pairs` + `stray_pairs` + `mixed_pairs`.
    """

    joined_pairs: int
    true_pairs: int  # joined, and both belong to one person
    joinable_pairs: int  # of one person, that consented evidence can join
    found_pairs: int  # joinable and joined
    shared_pairs: int  # one is a shared device
    stray_pairs: int  # one is no identifier of anybody: a blocked value
    mixed_pairs: int  # of two different people
    mixed_profiles: int  # profiles that hold two people or more
    split_people: int  # people with joinable identifiers in two profiles or more, or in none

    @property
    def wrong_pairs(self) -> int:
        return self.joined_pairs - self.true_pairs

    @property
    def unconsented_pairs(self) -> int:
        """Pairs of one person, joined without consent or by way of somebody else's identifier."""
        return self.true_pairs - self.found_pairs

    @property
    def precision(self) -> float:
        return self.true_pairs / self.joined_pairs if self.joined_pairs else 1.0

    @property
    def recall(self) -> float:
        return self.found_pairs / self.joinable_pairs if self.joinable_pairs else 1.0


def score(truth_dir: Path, clusters: pa.Table | pl.DataFrame) -> Score:
    """Compare *clusters* with the truth that `generate` left in *truth_dir*.

    Args:
        clusters: columns type, value, profile_id; an identifier once, its value canonical, a
            client_id as GA4's bare pseudo id. Types that are no identifiers are ignored.

    Raises:
        InputError: an identifier is in two profiles, or *truth_dir* holds no truth.
    """
    truth = _read(truth_dir / "truth.parquet")
    components = consented_components(truth, _read(truth_dir / "truth_evidence.parquet"))
    joined = _members(clusters).join(components, on=_KEY, how="left")
    profiles = joined.group_by("profile_id").agg(
        pl.len().alias("all"),
        pl.col("shared").sum().alias("shared"),
        pl.col("shared").is_null().sum().alias("stray"),
        pl.col("person").n_unique().alias("people") - pl.col("person").is_null().any(),
    )
    # Take the kinds of wrong away one after another, so that each pair counts once.
    size, own = pl.col("all"), pl.col("all") - pl.col("shared")
    everything = _pairs(profiles, size)
    without_shared = _pairs(profiles, own)
    without_stray = _pairs(profiles, own - pl.col("stray"))
    true = _pairs(_sizes(joined, "profile_id", "person"))
    return Score(
        joined_pairs=everything,
        true_pairs=true,
        joinable_pairs=_pairs(_sizes(components, "component")),
        found_pairs=_pairs(_sizes(joined, "profile_id", "component")),
        shared_pairs=everything - without_shared,
        stray_pairs=without_shared - without_stray,
        mixed_pairs=without_stray - true,
        mixed_profiles=profiles.filter(pl.col("people") > 1).height,
        split_people=_split_people(components, joined),
    )


def consented_components(truth: pl.DataFrame, evidence: pl.DataFrame) -> pl.DataFrame:
    """Return *truth* with the component that granted evidence joins each identifier into.

    Only evidence between two identifiers of one person counts, neither of which denies to be joined
    in the end (`closed`); a shared device and a value that is nobody's join nothing. The component
    of a shared device is null.
    """
    numbered = truth.with_row_index("id")
    own = numbered.drop_nulls("person")
    pairs = evidence.filter(pl.col("granted") & ~pl.col("closed"))
    for side in ("a", "b"):
        keys = [f"{side}_type", f"{side}_value"]
        found = own.select(*_KEY, pl.col("id", "person").name.suffix(f"_{side}"))
        pairs = pairs.join(found, left_on=keys, right_on=_KEY)
    pairs = pairs.filter(pl.col("person_a") == pl.col("person_b"))
    labels = _components(truth.height, pairs["id_a"].to_numpy(), pairs["id_b"].to_numpy())
    return truth.with_columns(
        pl.when(pl.col("person").is_not_null()).then(pl.Series(labels)).alias("component")
    )


def _components(count: int, a: Array, b: Array) -> Array:
    """Label each of *count* nodes with the smallest node that the edges a-b reach from it."""
    label = np.arange(count)
    while True:
        low = np.minimum(label[a], label[b])
        lower = label.copy()
        np.minimum.at(lower, a, low)
        np.minimum.at(lower, b, low)
        lower = lower[lower]
        if np.array_equal(lower, label):
            return label
        label = lower


def _members(clusters: Any) -> pl.DataFrame:
    frame = clusters if isinstance(clusters, pl.DataFrame) else pl.DataFrame(clusters)
    frame = frame.select(*_KEY, "profile_id").filter(pl.col("type").is_in(IDENTIFIER_TYPES))
    frame = frame.unique()
    twice = frame.filter(pl.struct(_KEY).is_duplicated())
    if twice.height:
        raise InputError(
            f"{twice.select(_KEY).n_unique()} identifiers are in more than one profile, "
            f"e.g. {twice['value'].min()!r}; give each one the profile that holds it now."
        )
    return frame


def _sizes(frame: pl.DataFrame, *keys: str) -> pl.DataFrame:
    return frame.drop_nulls(keys).group_by(*keys).agg(pl.len().alias("all"))


def _pairs(groups: pl.DataFrame, size: pl.Expr | None = None) -> int:
    """Count the pairs within groups of that size."""
    n = (pl.col("all") if size is None else size).cast(pl.Int64)
    return int(groups.select((n * (n - 1) // 2).sum()).item())


def _split_people(components: pl.DataFrame, joined: pl.DataFrame) -> int:
    """Count the people of whom a component of two or more lies in several profiles."""
    held = components.drop_nulls("component").join(
        joined.select(*_KEY, "profile_id"), on=_KEY, how="left"
    )
    places = held.group_by("person", "component").agg(
        pl.len().alias("all"),
        pl.col("profile_id").n_unique().alias("places"),
        pl.col("profile_id").is_null().all().alias("nowhere"),
    )
    split = places.filter((pl.col("all") > 1) & ((pl.col("places") > 1) | pl.col("nowhere")))
    return split["person"].n_unique()


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise InputError(f"{path} is missing; name a folder that `cdp generate` has written.")
    return pl.read_parquet(path)
