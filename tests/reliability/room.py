"""A place where disks can be mounted, filled and taken away, and nobody else sees it."""

import shutil
import subprocess
from pathlib import Path

from zygote import Zygote

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
PAGE = 4096


class Room(Zygote):
    """A loaded process whose user and mount namespaces are its own, so that it may mount."""

    def __init__(self) -> None:
        super().__init__(*UNSHARE)

    @staticmethod
    def is_allowed() -> bool:
        """Whether this system lets anybody have a room."""
        try:
            return not subprocess.run([*UNSHARE, "true"], capture_output=True).returncode
        except OSError:
            return False

    def seen(self, folder: Path) -> Path:
        return Path(f"/proc/{self._process.pid}/root{folder}")

    def do(self, *command: object) -> None:
        """Run a command in the room."""
        into = ["nsenter", f"--target={self._process.pid}", "--user", "--mount"]
        subprocess.run([*into, "--preserve-credentials", *map(str, command)], check=True)

    def disk(self, folder: Path, source: Path, room: int) -> None:
        """Have a disk of its own at `folder`, with what `source` has, and `room` bytes more."""
        folder.mkdir(exist_ok=True)
        self.do("mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", folder)
        shutil.copytree(source, self.seen(folder), dirs_exist_ok=True, symlinks=True)
        self.resize(folder, room)

    def resize(self, folder: Path, room: int) -> None:
        """Leave so many bytes free on the disk at `folder`, in whole pages."""
        used = shutil.disk_usage(self.seen(folder)).used
        self.do("mount", "-o", f"remount,size={used + room // PAGE * PAGE}", folder)
