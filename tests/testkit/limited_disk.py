"""A small file system of its own, which fills up without harm to the machine. Needs root.

Not for: slow or failing disks.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def limited_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of that size which cannot reserve space (ext2 in a file); needs root. Raises OSError."""
    image, mount = folder / "disk.img", folder / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(size_bytes)
    try:
        make = ["mkfs.ext2", "-q", "-F", "-m", "0", str(image)]
        for command in (make, ["mount", "-o", "loop", str(image), str(mount)]):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise OSError(f"no limited file system can be made here: {error}") from error
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False, capture_output=True)
