"""`mitlgan data read`: read classic datasets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.data.pack import print_pack
from mitlgan.cli.output import log, print_result, progress_bar
from mitlgan.cli.output_files import claim_file, claim_pack
from mitlgan.runtime.command_line import command_line

if TYPE_CHECKING:
    from mitlgan.data.readers.products import ReviewLimits


class Format(StrEnum):
    """A format that `data read` can read."""

    mnist = "mnist"
    cifar10 = "cifar10"
    celeba = "celeba"
    products = "products"
    folder = "folder"


WriteUrls = Annotated[
    Path | None, typer.Option("--write-urls", metavar="FILE", help="products: only list the pictures' URLs, a .jsonl file for `data fetch`.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="The pack, a new .npy file; the manifest is written next to it. Needed unless --write-urls is given."),
]
FORMATS_OF = {
    "labels": (Format.mnist,), "classes": (Format.mnist, Format.cifar10), "split": (Format.cifar10,), "attribute": (Format.celeba,),
    "faces": (Format.celeba, Format.folder), "face_model": (Format.celeba, Format.folder), "reviews": (Format.products,),
    "images": (Format.products,), "write_urls": (Format.products,), "min_rating": (Format.products,), "min_reviews": (Format.products,),
}  # fmt: skip


def read(
    context: typer.Context,
    form: Annotated[Format, typer.Argument(metavar="FORMAT", help="mnist (IDX, gzip or not), cifar10 (binary), celeba, products, folder.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="IDX file; folder; for products: metadata, one object a line.")],
    out: Out = None,
    size: Annotated[int | None, typer.Option("--size", metavar="N", help="Height and width in px; needed with --out.", min=4, max=1024)] = None,
    resize: Annotated[str, typer.Option("--resize", metavar="FILTER", help="lanczos, bicubic, bilinear, box or nearest.")] = "lanczos",
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Maximum number of pictures, or of faces.", min=1)] = None,
    labels: Annotated[Path | None, typer.Option("--labels", metavar="FILE", help="mnist: the IDX file of labels.")] = None,
    classes: Annotated[str | None, typer.Option("--classes", metavar="N,N", help="mnist, cifar10: labels to keep, such as 3,8.")] = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="cifar10: train or test.")] = "train",
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", metavar="NAME[=-1]", help="celeba: keep pictures that have (or lack) this attribute; repeatable.")
    ] = None,
    faces: Annotated[bool, typer.Option("--faces", help="celeba, folder: crop the largest face; needs OpenCV.")] = False,
    face_model: Annotated[
        Path | None, typer.Option("--face-model", metavar="FILE", help="With --faces: OpenCV's YuNet as .onnx, which finds more than its cascade.")
    ] = None,
    reviews: Annotated[Path | None, typer.Option("--reviews", metavar="FILE", help="products: reviews, one object a line.")] = None,
    write_urls: WriteUrls = None,
    images: Annotated[Path | None, typer.Option("--images", metavar="DIR", help="products: folder of their pictures, from `data fetch`.")] = None,
    min_rating: Annotated[float, typer.Option("--min-rating", metavar="X", help="products: minimum mean rating.")] = 4.0,
    min_reviews: Annotated[int, typer.Option("--min-reviews", metavar="N", help="products: minimum number of reviews.")] = 12,
    as_json: options.Json = False,
) -> None:
    """Read a classic dataset, and pack it.

    Checks the files and chooses from them. Downloads nothing.
    """
    from mitlgan.data import readers
    from mitlgan.data.build.pack_folder import pack_folder
    from mitlgan.data.readers.products import ReviewLimits
    from mitlgan.errors import UsageError

    _check_options(context, form, has_model_alone=face_model is not None and not faces)
    limits = ReviewLimits(min_rating, min_reviews)
    if write_urls is not None:
        return _write_urls(source, write_urls, reviews, images, out, limits, limit, as_json)
    if out is None or size is None:
        raise UsageError("--out, --size: say where the pack goes and how large its pictures are; give both")
    claim_pack(out, "--out")
    chosen = _numbers(classes)
    if form is Format.mnist:
        packed = readers.pack_idx(source, out, size_px=size, resize=resize, labels=labels, classes=chosen, limit=limit)
    elif form is Format.cifar10:
        packed = readers.pack_cifar(source, out, size_px=size, resize=resize, split=split, classes=chosen, limit=limit)
    elif form is Format.celeba:
        packed = readers.pack_celeba(
            source, out, size_px=size, resize=resize, attributes=attribute or [], faces=faces, limit=limit, face_model=face_model
        )
    elif form is Format.products:
        if reviews is None or images is None:
            raise UsageError("--reviews, --images: products need both, the reviews and the folder of pictures")
        packed = readers.pack_products(source, out, reviews=reviews, images=images, size_px=size, resize=resize, choice=limits, limit=limit)
    elif faces:
        packed = readers.pack_faces(source, out, size_px=size, resize=resize, limit=limit, say=log, face_model=face_model)
    else:
        with progress_bar("read") as callback:
            packed = pack_folder(source, out, size_px=size, resize=resize, limit=limit, progress=callback, say=log)
    return print_pack(packed, as_json)


def _check_options(context: typer.Context, form: Format, *, has_model_alone: bool) -> None:
    """Refuse options of other formats, and a model for faces without --faces."""
    from mitlgan.errors import UsageError

    for name, formats in FORMATS_OF.items():
        if form not in formats:
            options.refuse_given(context, [name], f"of {' and '.join(formats)}, and does nothing for {form}; leave it away")
    if has_model_alone:
        raise UsageError("--face-model: belongs to --faces; give that, too")


def _write_urls(
    source: Path, file: Path, reviews: Path | None, images: Path | None, out: Path | None, choice: ReviewLimits, limit: int | None, as_json: bool
) -> None:  # fmt: skip
    from mitlgan.data.readers import write_product_urls
    from mitlgan.errors import UsageError

    if reviews is None or images is not None or out is not None:
        raise UsageError("--write-urls: needs --reviews, and packs nothing: leave out --images and --out, fetch the list, and read again with them")
    if file.suffix != ".jsonl":
        raise UsageError(f"--write-urls {file}: is a table of asin and URL; give a name that ends in .jsonl")
    claim_file(file, "--write-urls")
    counts = write_product_urls(source, file, reviews=reviews, choice=choice, limit=limit)
    if counts["without_url"]:
        log(f"{counts['without_url']} products have no address of a picture")
    fetch = command_line(["data", "fetch", file, "--out", "DIR"])
    print_result(as_json, {"urls": str(file), **counts}, f"{file}: {counts['products']} products; fetch them by `{fetch}`")


def _numbers(text: str | None) -> list[int]:
    from mitlgan.errors import UsageError

    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise UsageError(f"--classes {text}: write labels as numbers, such as 3,8") from None
