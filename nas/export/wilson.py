"""How far the accuracy of a network may be from that on so many test images."""

import math


def wilson(right: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval of a share ``right / total`` by Wilson's score (1927), of 95 % unless ``z`` is another.

    Unlike that of the normal approximation it stays within 0..1, and is of use where nothing is wrong.
    """
    share, spread = right / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, middle - half), min(1.0, middle + half)
