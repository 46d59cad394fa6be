"""Duplicates are counted for each two sets, in whatever order the sets are named."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers import images

from mitlgan.data.curate.check import MAX_LISTED_PAIRS, check_datasets, to_json
from mitlgan.data.curate.duplicates import DuplicatePair, Duplicates, File, find_duplicates
from mitlgan.data.curate.perceptual_hash import PictureHash, hash_picture
from mitlgan.report.data_check_page import write_check_page

Relations = dict[frozenset[str], Counter[bool]]


def relations(duplicates: Duplicates) -> Relations:
    return {frozenset(names): kinds for names, kinds in duplicates.count_by_sets().items()}


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_the_sets_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = [images.smooth(number) for number in range(5)]
    hashes: list[PictureHash] = []
    for number, picture in enumerate(pictures):  # each in three files, of which two are resized or changed a little
        hashes += [hash_picture(picture.resize((size, size)), f"{number}-{size}") for size in (64, 80, 96)]
    sets = {name: [hashes[index] for index in rng.integers(0, len(hashes), rng.integers(0, 12))] for name in "abcd"}
    results: list[tuple[Relations, int]] = []
    for order in itertools.permutations(sets):
        files = [(name, f"{index}.png") for name in order for index in range(len(sets[name]))]
        duplicates = find_duplicates(files, [[one] for name in order for one in sets[name]])
        results.append((relations(duplicates), duplicates.count()))
        assert len(list(duplicates.pairs())) == duplicates.count()
    assert results.count(results[0]) == len(results)

    copies = {name: Counter(one.sha256 for one in part) for name, part in sets.items()}
    for one, other in itertools.combinations(sets, 2):
        expected = sum(copies[one][digest] * copies[other][digest] for digest in copies[one])
        assert results[0][0].get(frozenset((one, other)), Counter())[True] == expected
    for name, part in sets.items():
        assert results[0][0].get(frozenset(name), Counter())[True] == len(part) - len(copies[name])


def test_the_pairs_are_those_that_are_counted() -> None:
    group: list[File] = [("a", "1"), ("a", "2"), ("b", "3"), ("b", "4"), ("c", "5")]
    duplicates = Duplicates([group, [("a", "6"), ("c", "7")]], [DuplicatePair("a", "8", "b", "9", exact=False)])
    pairs = list(duplicates.pairs())
    assert pairs[0] == DuplicatePair("a", "6", "c", "7", exact=True)  # of the smaller group
    assert len(set(pairs)) == len(pairs) == 12
    counted = Counter((pair.first_set, pair.second_set, pair.exact) for pair in pairs)
    assert {(*names, exact): number for names, kinds in duplicates.count_by_sets().items() for exact, number in kinds.items()} == counted
    assert counted["a", "b", True] == 4


def test_files_of_one_origin_are_no_pair() -> None:
    origins = {"1": "x", "2": "x", "3": "x", "4": "y"}
    duplicates = Duplicates([[("a", "1"), ("a", "2"), ("a", "5"), ("b", "3"), ("b", "4")]], [DuplicatePair("a", "1", "b", "3", exact=False)])
    counts = duplicates.count_by_sets(lambda file: origins.get(file[1]))
    assert counts == {("a", "a"): Counter({True: 1}), ("a", "b"): Counter({True: 4}), ("b", "b"): Counter({True: 1})}


def test_a_leak_stays_one_beside_another_set_of_the_same_files(tmp_path: Path) -> None:
    images.fill(tmp_path / "A", 10)
    images.fill(tmp_path / "B" / "train", 10)
    images.fill(tmp_path / "B" / "test", 6, first=50)
    for number in range(3):
        shutil.copy(tmp_path / "A" / f"000{number}.png", tmp_path / "B" / "test" / f"copy{number}.png")
    for specs in (["A", "B"], ["B", "A"]):
        result = check_datasets([str(tmp_path / spec) for spec in specs])
        sentences = "\n".join(text.replace(f"{tmp_path}/", "") for text, _ in result.verdict)
        assert "B/train and B/test: 3 equal pairs leak from training into held-out pictures" in sentences
        for other, number in (("B/train", 10), ("B/test", 3)):
            assert any(f"{one} and {two}: {number} equal pairs are in both sets" in sentences for one, two in (("A", other), (other, "A")))
        assert to_json(result)["pair_count"] == len(result.pairs) == 16


def test_of_many_equal_files_not_all_pairs_are_listed(tmp_path: Path) -> None:
    content = images.encoded(images.smooth(1), "PNG")
    for place, number in (("a", 30), ("b", 40)):
        (tmp_path / place).mkdir()
        for index in range(number):
            (tmp_path / place / f"{index}.png").write_bytes(content)
    result = check_datasets([str(tmp_path / "a"), str(tmp_path / "b")])
    values = to_json(result)
    assert values["pair_count"] == 29 + 39 + 30 * 40
    assert len(values["pairs"]) == MAX_LISTED_PAIRS
    assert "1,268 pairs within and across the sets; 48 are shown" in write_check_page(tmp_path / "page.html", result).read_text()
