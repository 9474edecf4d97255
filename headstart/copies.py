"""Which images are copies of each other, by their bytes and by 16 x 16 grey thumbnails of them.

In go n digests and thumbnails, out comes a group number for each image. Copies may be resized,
compressed again or slightly brighter. Candidates are neighbours in the sorted order of a 64-bit
hash of low frequencies, after Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions" (2010), and Manku et al., "Detecting Near-Duplicates for Web Crawling" (WWW 2007); each
is then verified on the thumbnails' contrast, weighted by frequency: that is what tells apart
objects on one backdrop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headstart.errors import HeadstartError
from headstart.formats import THUMBNAIL

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# Measured on the 4,787 images of ants-bees, trashnet and the textile set, and six changed copies
# of every third: all 9,582 copies lie below 0.046, all 25 pairs below 0.05 show the same object in
# the same place, the nearest pair of different objects lies at 0.088.
MAX_DISTANCE = 0.05
# An image may be this far from the first of its group, to which a chain of near pairs has led.
MAX_DISTANCE_TO_LEADER = 0.08
# Below this contrast (as weighted) the thumbnail is mostly rounding; only equal bytes count then.
MIN_CONTRAST = 150.0
_MAX_BITS = 16  # of 64 that may differ; copies differ in at most 12
_NEIGHBOURS = 4
_ROTATIONS = 8
_ROUNDS = 50
_CHUNK = 1 << 15


def copy_groups(digests: Sequence[bytes], thumbnails: npt.NDArray[np.uint8]) -> Rows:
    """Number the images so that copies of one image have the same number.

    Args:
        digests: n digests of the files' bytes.
        thumbnails: uint8 (n, 16, 16), the whole images in grey, 0 to 255.

    Returns:
        int64 (n,), 0 for the group of the first image, and so on in order of first appearance.

    Raises:
        HeadstartError: The shapes do not fit.
    """
    count = len(digests)
    if thumbnails.shape != (count, THUMBNAIL, THUMBNAIL) or thumbnails.dtype != np.uint8:
        raise HeadstartError(
            f"Thumbnails cannot be {thumbnails.dtype} {thumbnails.shape}. Expected uint8 "
            f"({count}, {THUMBNAIL}, {THUMBNAIL}), one for each digest. Pass what the decoder gave."
        )
    first_of: dict[bytes, int] = {}
    same = np.array([first_of.setdefault(one, row) for row, one in enumerate(digests)], np.int64)
    unique = np.unique(same)
    groups = np.arange(count, dtype=np.int64)
    groups[unique] = unique[_near_groups(thumbnails[unique])]
    return _renumbered(groups[same])


def _near_groups(thumbnails: npt.NDArray[np.uint8]) -> Rows:
    """For each thumbnail the row that leads its group."""
    rows = np.arange(len(thumbnails))
    hashes, detailed = _hashes(thumbnails)
    pairs = _candidates(hashes, rows[detailed])
    if not len(pairs):
        return rows
    near = _distances(thumbnails, pairs) <= MAX_DISTANCE
    return _around_leaders(thumbnails, pairs[near])


def _cosines() -> Floats:
    """The orthonormal DCT-II matrix (frequency, place)."""
    k, j = np.mgrid[:THUMBNAIL, :THUMBNAIL]
    matrix = np.cos(np.pi * (j + 0.5) * k / THUMBNAIL) * np.sqrt(2 / THUMBNAIL)
    matrix[0] /= np.sqrt(2)
    cosines: Floats = matrix.astype(np.float32)
    return cosines


def _frequencies() -> Floats:
    """The length of each frequency, (16, 16); also the weight it has when images are compared."""
    k = np.arange(THUMBNAIL, dtype=np.float32)
    return np.hypot(k[:, None], k[None]).astype(np.float32)


def _spectrum(thumbnails: npt.NDArray[np.uint8]) -> Floats:
    """(n, 16, 16) grey -> (n, 256) DCT coefficients, each times its frequency; the mean is lost."""
    cosines = _cosines()
    half = thumbnails.astype(np.float32) @ cosines.T  # (n, y, frequency along x)
    full = half.transpose(0, 2, 1) @ cosines.T  # (n, frequency along x, along y)
    weighted = (full * _frequencies()).reshape(len(thumbnails), -1)
    return weighted.astype(np.float32, copy=False)


def _hashes(
    thumbnails: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """The signs of the 64 lowest frequencies, and whether there is contrast enough to compare."""
    order = np.argsort(_frequencies().ravel(), kind="stable")[1:65]
    hashes = np.empty(len(thumbnails), np.uint64)
    detailed = np.empty(len(thumbnails), bool)
    for start in range(0, len(thumbnails), _CHUNK):
        part = slice(start, start + _CHUNK)
        spectrum = _spectrum(thumbnails[part])
        # Eight runs of every eighth frequency: each rotation begins with a low one.
        signs = (spectrum[:, order] > 0).reshape(-1, 8, 8).transpose(0, 2, 1)
        packed = np.packbits(signs.reshape(-1, 64), axis=1)
        hashes[part] = packed.view(">u8").ravel()
        detailed[part] = np.einsum("nk,nk->n", spectrum, spectrum) >= MIN_CONTRAST**2
    return hashes, detailed


def _candidates(hashes: npt.NDArray[np.uint64], rows: Rows) -> Rows:
    """Pairs (m, 2) of `rows` whose hashes are near each other, each pair once, sorted.

    Copies share most bits, so in the order of the hash, or of the hash turned by some bytes, they
    stand close to each other: n log n, however alike the images are.
    """
    found: list[npt.NDArray[np.int64]] = []
    own = hashes[rows]
    for turn in range(0, 64, 64 // _ROTATIONS):
        # A shift by 64 is undefined, and so is not used for the first turn.
        turned = (own << np.uint64(turn)) | (own >> np.uint64(64 - turn)) if turn else own
        order = np.argsort(turned, kind="stable")
        turned, ordered = turned[order], rows[order]
        for step in range(1, _NEIGHBOURS + 1):
            near = np.bitwise_count(turned[:-step] ^ turned[step:]) <= _MAX_BITS
            one, other = ordered[:-step][near], ordered[step:][near]
            found.append(np.minimum(one, other) * len(hashes) + np.maximum(one, other))
    pairs = np.unique(np.concatenate(found))
    return np.stack(np.divmod(pairs, max(1, len(hashes))), axis=1)


def _distances(thumbnails: npt.NDArray[np.uint8], pairs: Rows) -> Floats:
    """One minus the correlation of the weighted spectra, (m,), 0 for equal and 1 for unrelated."""
    distances = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        part = slice(start, start + _CHUNK)
        one, other = (_unit(_spectrum(thumbnails[pairs[part, side]])) for side in (0, 1))
        distances[part] = 1 - np.einsum("nk,nk->n", one, other)
    return distances


def _unit(spectrum: Floats) -> Floats:
    length = np.linalg.norm(spectrum, axis=1, keepdims=True)
    unit: Floats = spectrum / np.maximum(length, np.float32(1e-6))
    return unit


def _components(count: int, pairs: Rows) -> Rows:
    """For each of `count` rows the lowest row that it is linked to, also by way of others."""
    lowest = np.arange(count)
    while True:
        least = np.minimum(lowest[pairs[:, 0]], lowest[pairs[:, 1]])
        after = lowest.copy()
        for side in (0, 1):
            np.minimum.at(after, lowest[pairs[:, side]], least)
        after = after[after]
        if np.array_equal(after, lowest):
            return lowest
        lowest = after


def _around_leaders(thumbnails: npt.NDArray[np.uint8], pairs: Rows) -> Rows:
    """Cut chains: in a group, each image must be near to the one that has most near pairs.

    The rest forms groups of its own in the same way. A chain that needs more than `_ROUNDS`
    leaders, such as a long film, leaves its tail as single images.
    """
    count = len(thumbnails)
    leader = np.arange(count)
    component = _components(count, pairs)
    degree = np.bincount(pairs.ravel(), minlength=count)
    waiting = np.flatnonzero(degree)
    for _ in range(_ROUNDS):
        if not len(waiting):
            break
        order = waiting[np.lexsort((waiting, -degree[waiting], component[waiting]))]
        _, first, sizes = np.unique(component[order], return_index=True, return_counts=True)
        chosen = np.repeat(order[first], sizes)
        distance = _distances(thumbnails, np.stack((order, chosen), axis=1))
        joins = (distance <= MAX_DISTANCE_TO_LEADER) | (order == chosen)
        leader[order[joins]] = chosen[joins]
        waiting = order[~joins]
    return leader


def _renumbered(groups: Rows) -> Rows:
    """Number groups by first appearance."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    numbered: Rows = rank[inverse.reshape(-1)]
    return numbered
