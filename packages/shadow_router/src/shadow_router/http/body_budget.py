"""
Room for the bodies of requests that are kept until live has answered, all together.
"""

from loguru import logger

# Bodies of up to this size are always taken.
SMALL_BYTES = 4 * 1024
# For all larger ones that are arriving, waiting or being answered.
ROOM_BYTES = 32 * 1024 * 1024


class Room:
    """
    A semaphore of bytes.

    Not one of requests: a client that never finishes its body would take the place
    of those that need none.

    Parameters
    ----------
    size : int
        Bytes that may be held at once.
    """

    def __init__(self, size: int = ROOM_BYTES) -> None:
        self._size = self._free = size
        self._held: dict[object, int] = {}
        self._is_full = False

    def hold(self, owner: object, size: int) -> bool:
        """Return whether there is room for all that an owner holds from now on."""
        more = size - self._held.get(owner, 0)
        if more > self._free:
            self._tell()
            return False
        self._free -= more
        self._held[owner] = size
        return True

    def holds_for(self, owner: object) -> bool:
        """Return whether something is held for an owner."""
        return owner in self._held

    def give_back(self, owner: object) -> None:
        """Free what an owner holds, if it holds something."""
        self._free += self._held.pop(owner, 0)
        if self._free > self._size // 2:
            self._is_full = False

    def _tell(self) -> None:
        # Once, until half of it is free again.
        if not self._is_full:
            self._is_full = True
            logger.warning("no room for more bodies: {} bytes are held", self._size)
