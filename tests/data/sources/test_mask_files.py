"""Masks in folders of their own, or with names of their own, are no pictures."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from mitlgan.data.open import open_data
from mitlgan.data.sources.image_source import open_source
from mitlgan.data.sources.mask_files import match_masks

MASKED = {
    "folders side by side": (["images/a.jpg", "images/b.jpg"], ["masks/a.png", "masks/b.png"]),
    "by split": (["images/train/a.jpg", "images/val/b.jpg"], ["masks/train/a.png", "masks/val/b.png"]),
    "split first": (["train/images/a.jpg"], ["train/masks/a.png"]),
    "a folder within": (["a.jpg", "b.jpg"], ["Mattes/a.png"]),
    "marked in a folder": (["images/a.jpg"], ["masks/a_mask.png"]),
    "marked beside": (["a.jpg", "x/b.png"], ["a_mask.png", "x/b-Alpha.png"]),
    "several words": (["x/a.jpg", "x/b.jpg"], ["x/a_ground_truth.png", "x/b_seg.png"]),
    "both marked": (["a_sat.jpg", "b_image.png"], ["a_mask.png", "b_mask.png"]),
    "labels": (["images/a.jpg"], ["labels/a.png"]),
    "several of a picture": (["images/a_b.jpg"], ["masks/a_b_0.png", "masks/a_b_1.png"]),
    "a picture with such a name": (["images/gas_mask.jpg", "images/oil.jpg"], ["masks/gas_mask.png"]),
    "a folder around all": (["segmentation/images/a.jpg"], ["segmentation/masks/a.png"]),
    "a part of a set": (["x/pet_segmentation/images/a.jpg", "x/b.jpg"], ["x/pet_segmentation/masks/a.png"]),
    "Pascal VOC": (
        ["voc/JPEGImages/2007_000032.jpg", "voc/JPEGImages/2007_000033.jpg", "voc/JPEGImages/2008_000001.jpg"],
        ["voc/SegmentationClass/2007_000032.png", "voc/SegmentationObject/2007_000033.png", "voc/SegmentationClassAug/2008_000001.png"],
    ),
    "Oxford Pets": (["images/Abyssinian_1.jpg"], ["annotations/trimaps/Abyssinian_1.png"]),
    "ADE20K": (["images/training/a.jpg", "images/validation/b.jpg"], ["annotations/training/a.png", "annotations/validation/b.png"]),
    "Carvana": (["train/a_01.jpg", "test/b_01.jpg"], ["train_masks/a_01_mask.gif"]),
    "by split and kind": (["train_images/a.jpg", "TestImages/b.jpg"], ["train_masks/a.png", "TestMasks/b.png"]),
    "DUTS": (["DUTS-TR/DUTS-TR-Image/a.jpg", "DUTS-TE/DUTS-TE-Image/b.jpg"], ["DUTS-TR/DUTS-TR-Mask/a.png", "DUTS-TE/DUTS-TE-Mask/b.png"]),
    "ECSSD": (["images/0001.jpg"], ["ground_truth_mask/0001.png"]),
    "Cityscapes": (
        ["leftImg8bit/train/ulm/ulm_0_1_leftImg8bit.png"],
        ["gtFine/train/ulm/ulm_0_1_gtFine_labelIds.png", "gtFine/train/ulm/ulm_0_1_gtFine_color.png"],
    ),
    "COCO": (["images/train2017/a.jpg"], ["annotations/train2017/a.png", "stuffthingmaps/train2017/a.png", "labels/train2017/a.png"]),
    "COCO without a folder of images": (["val2017/a.jpg"], ["stuffthingmaps/val2017/a.png"]),
    "CamVid": (["train/x_1.png", "val/y.png"], ["train_labels/x_1_L.png", "val_labels/y_L.png"]),
    "CelebAMask-HQ": (
        ["CelebA-HQ-img/0.jpg", "CelebA-HQ-img/1.jpg", "CelebA-HQ-img/12.jpg"],
        ["CelebAMask-HQ-mask-anno/0/00000_hair.png", "CelebAMask-HQ-mask-anno/0/00000_l_eye.png", "CelebAMask-HQ-mask-anno/7/00012_skin.png"],
    ),
    "ISIC": (
        ["ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg", "ISIC2018_Task1-2_Training_Input/ISIC_0000001.jpg"],
        ["ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png", "ISIC2018_Task1_Training_GroundTruth/ISIC_0000001_segmentation.png"],
    ),
    "numbers with zeros": (["images/7.jpg", "images/12.jpg"], ["masks/0007.png", "masks/0012.png"]),
    "LIP": (["TrainVal_images/train_images/a.jpg"], ["TrainVal_parsing_annotations/train_segmentations/a.png"]),
}
PICTURES = {
    "class folders": ["hats/0.png", "masks/0.png", "shoes/0.png"],
    "class folders of other words": ["annotations/0.png", "cars/0.png", "gt/0.png", "labels/0.png", "seg/0.png"],
    "class folders by split": ["train/labels/0.png", "train/cans/0.png", "test/labels/0.png", "test/cans/0.png"],
    "a class and one like it": ["gas/0.png", "gas_mask/0.png", "ski/0.png", "ski mask/0.png"],
    "classes of numbers": ["hats/1.png", "masks/0001.png", "masks/1_front.png"],
    "numbers of several sets": ["x/images/1.png", "y/images/1.png", "z/masks/0001.png"],
    "numbers of none": ["images/1.png", "masks/0002.png", "masks/0003_hair.png"],
    "a mask alone": ["masks/a.png", "masks/b.png"],
    "masks by split alone": ["masks/train/a.png", "masks/test/b.png"],
    "other names": ["images/a.png", "masks/c.png"],
    "other parts": ["images/train/a.png", "masks/test/a.png"],
    "a name that ends so": ["unmask.png", "bitmask.png", "face_mask.png", "mask.png", "_mask.png"],
    "goods": ["shirt.jpg", "shirt_label.jpg", "shirt_color.jpg", "shirt_map.jpg"],
    "none": ["a.png", "b/c.png"],
    "nothing": [],
}


@pytest.mark.parametrize(("pictures", "masks"), MASKED.values(), ids=MASKED)
def test_masks_are_told_from_pictures(pictures: list[str], masks: list[str]) -> None:
    found = match_masks(sorted([*pictures, *masks]))
    assert sorted(found) == sorted(masks)
    assert set(found.values()) <= set(pictures)


@pytest.mark.parametrize("names", PICTURES.values(), ids=PICTURES)
def test_pictures_are_no_masks(names: list[str]) -> None:
    assert match_masks(names) == {}


@pytest.mark.parametrize("archive", [False, True])
def test_a_segmentation_set_is_its_pictures_and_says_so(tmp_path: Path, archive: bool) -> None:
    folder = tmp_path / "set"
    for name in ("images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (200, 30, 30)).save(folder / name)
    spec = folder
    if archive:
        spec = tmp_path / "set.zip"
        with zipfile.ZipFile(spec, "w") as file:
            for path in sorted(folder.rglob("*.*")):
                file.write(path, path.relative_to(folder))
    source = open_source(spec)
    assert [entry.name for entry in source.entries] == ["images/a.jpg", "images/b.jpg"]
    (line,) = source.leftovers.describe()
    assert line.startswith("2 masks of other pictures left out: no picture to train on; as NAME.matte.png next to its picture")


def test_training_takes_the_pictures_alone_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    for name in ("images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "set" / name)
    said: list[str] = []
    assert len(open_data(str(tmp_path / "set"), "bg", 16, say=said.append)) == 2
    assert any("2 masks of other pictures left out" in line for line in said)
