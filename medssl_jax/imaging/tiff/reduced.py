"""The low-resolution image of a slide out of the reduced image that a pyramid has beside the full one."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from etils import epy
from jaxtyping import UInt8

from medssl_jax.imaging.tiff.grey import GreyTiff

with epy.lazy_imports():  # most slides have no pyramid
    from scipy import sparse


def shrink_reduced(
    image: GreyTiff, reduction: int, *, top: int, left: int, low_side: int, shrink: int, threads: int
) -> UInt8[np.ndarray, "{low_side} {low_side}"]:
    """Means over boxes of `shrink` x `shrink` pixels of the full image, from one that is `reduction` times smaller.

    Rounded to the nearest grey level. The boxes begin at row `top` and column `left` of the full image; a pixel of the
    reduced one counts by the part of it that lies in a box. `threads` decode a row of tiles at a time.
    """
    rows = _shares(top, low_side, shrink, reduction, image.height)
    columns = _shares(left, low_side, shrink, reduction, image.width)
    last_row, last_column = (
        min(-(-(begin + low_side * shrink) // reduction), length)
        for begin, length in ((top, image.height), (left, image.width))
    )
    low = np.zeros((low_side, low_side))
    first_row, first_column = top // reduction, left // reduction
    with ThreadPoolExecutor(threads) as pool:
        for begin in range(first_row - first_row % image.piece_height, last_row, image.piece_height):
            end = min(begin + image.piece_height, image.height)
            pieces = image.pieces(begin, end, first_column, last_column)
            _, begin_column = image.corner(pieces[0])
            tiles = np.concatenate(list(pool.map(image.decode, pieces)), axis=1)[: end - begin]
            tiles = tiles[:, : image.width - begin_column]
            across = columns[:, begin_column : begin_column + tiles.shape[1]] @ tiles.T.astype(np.float64)
            # The boxes that these rows lie in.
            boxes = slice(max(0, (begin * reduction - top) // shrink), -(-(end * reduction - top) // shrink))
            low[boxes] += rows[boxes, begin:end] @ across.T
    return np.floor(low + 0.5).astype(np.uint8)


def _shares(begin: int, count: int, box: int, reduction: int, length: int) -> "sparse.csr_array":
    """(count, length): by how much each pixel of the reduced image counts in the mean of each box; rows sum to 1.

    Where a reduced image leaves out a last few pixels of the full one, the others of the box stand for them.
    """
    starts = begin + box * np.arange(count)
    first = starts // reduction
    pixels = first[:, None] + np.arange(-(-box // reduction) + 1)
    overlap = np.minimum((pixels + 1) * reduction, starts[:, None] + box) - np.maximum(
        pixels * reduction, starts[:, None]
    )
    overlap = np.where(pixels < length, np.maximum(overlap, 0), 0)
    shares = overlap / overlap.sum(axis=1, keepdims=True)
    boxes = np.broadcast_to(np.arange(count)[:, None], pixels.shape)
    there = shares > 0
    return sparse.csr_array((shares[there], (boxes[there], pixels[there])), shape=(count, length))
