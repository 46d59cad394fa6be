"""Readers of classic sets in their own formats: MNIST, CIFAR-10, CelebA, products with reviews.

Nothing is downloaded: an error names the source of an absent file. Nothing is unpickled or evaluated.
"""

from mitlgan.data.readers.celeba import pack_celeba
from mitlgan.data.readers.cifar import is_cifar, pack_cifar
from mitlgan.data.readers.faces import pack_faces
from mitlgan.data.readers.idx import is_idx, pack_idx
from mitlgan.data.readers.products import pack_products, write_product_urls

__all__ = ["is_cifar", "is_idx", "pack_celeba", "pack_cifar", "pack_faces", "pack_idx", "pack_products", "write_product_urls"]
