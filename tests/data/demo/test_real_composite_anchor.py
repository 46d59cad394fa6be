"""The demo's upper anchor: real foregrounds on real backgrounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mitlgan.data.demo import demo_pack
from mitlgan.data.demo.real_composite_anchor import composite_anchor_pack


@pytest.mark.usefixtures("shared_cache")
def test_pasted_pictures_show_the_generators_pools_in_the_scenes_law(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pasted, scenes = composite_anchor_pack(64, count=40), demo_pack("scene", 64, split="test", count=40)
    assert (len(pasted), pasted.fourth_channel) == (40, "matte")
    mattes = [pack.pixels[:, 3].astype(float).mean() for pack in (pasted, scenes)]
    assert mattes[0] == pytest.approx(mattes[1], rel=0.35)  # as much foreground as the scenes
    # Outside its matte a pasted picture is a background of the pool, to the byte (or its mirror).
    places = demo_pack("bg", 64).pixels.astype(int)
    bare = pasted.pixels[0, 3] == 0
    distances = [np.abs(pool[:, :, bare] - pasted.pixels[0, :3, bare].T.astype(int)).sum((1, 2)).min() for pool in (places, places[..., ::-1])]
    assert min(distances) == 0
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path))
    assert composite_anchor_pack(64, count=40).content_sha256 == pasted.content_sha256
    assert (composite_anchor_pack(64, count=10).pixels == pasted.pixels[:10]).all()
