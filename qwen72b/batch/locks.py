"""
Locks of files, where the file system has them.
"""

from __future__ import annotations

import errno

__all__ = ["lock"]

# What a file system says that has none.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}


def lock(file: int, *, shared: bool = False) -> bool:
    """
    Lock a file until it is closed, without waiting.

    Args:
        file: Its descriptor.
        shared: Whether others may have such a lock, too: to read.

    Returns:
        Whether there are locks: not on Windows, Lustre, CIFS and the like.

    Raises:
        BlockingIOError: If somebody else has it.
        OSError: If something else is wrong.
    """
    try:
        import fcntl

        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except ImportError:
        return False
    except OSError as exc:
        if exc.errno not in _NO_LOCKS:
            raise
        return False
    return True
