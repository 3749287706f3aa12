"""Putting a folder of raw data where the pipeline looks, by links or as a copy."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from rcan.errors import UserError
from rcan.files import exclusive, place_beside, replacing

READ = (".csv", ".csv.gz", ".json", ".txt", ".xml", ".jpg", ".jpeg", ".png")  # by the pipeline
REPORTS = "mimic-cxr-reports"


def is_there(source: Path, target: Path) -> bool:
    """Whether `target` is a link to `source` already. Raises UserError if it is anything else."""
    if not os.path.lexists(target):
        return False
    if target.is_symlink() and target.resolve() == source.resolve():
        return True
    raise UserError(
        f"{target}: expected nothing there yet, found a {_kind(target)}; it is not overwritten: "
        "move it away, or name its folder by --root, RCAN_DATA or data.root instead"
    )


def _kind(path: Path) -> str:
    return "link to another folder" if path.is_symlink() else "folder" if path.is_dir() else "file"


def parts_of(source: Path, reports: Path | None) -> dict[str, Path]:
    """What is to lie in the target: name -> where it is. `reports` comes as `mimic-cxr-reports`.

    Raises:
        UserError: `source` holds reports, and `reports` names others.
    """
    parts = {path.name: path.resolve() for path in sorted(source.iterdir())}
    if reports is not None:
        if REPORTS in parts:
            raise UserError(
                f"{source / REPORTS}: expected no reports there, for --reports names a folder of "
                f"them; found a {_kind(source / REPORTS)}: leave out --reports, or move it away"
            )
        parts[REPORTS] = reports.resolve()
    return parts


def link(source: Path, target: Path, reports: Path | None) -> None:
    """Make `target` a link to `source`; with `reports`, a folder of links to the parts of both."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if reports is None:
        target.symlink_to(source.resolve(), target_is_directory=True)
        return
    beside = place_beside(target)
    beside.mkdir()
    try:
        for name, place in parts_of(source, reports).items():
            (beside / name).symlink_to(place)
        _move_into_place(beside, target)
    finally:
        if beside.exists():
            shutil.rmtree(beside)


def copy(source: Path, target: Path, reports: Path | None) -> int:
    """Copy what the pipeline reads of `source` to `target`, and say how many files that is.

    A copy that was stopped lies beside, and goes on with the files that it lacks.
    """
    beside = target.with_name(f".{target.name}.copying")
    with exclusive(target.with_name(f".{target.name}.lock"), "copying the same data"):
        beside.mkdir(parents=True, exist_ok=True)
        files = list(_files(parts_of(source, reports)))
        _require_space(beside, files)
        with tqdm(
            total=sum(size for *_, size in files),
            desc="copy",
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar:
            for place, name, size in files:
                _copy_file(place, beside / name)
                bar.update(size)
        _move_into_place(beside, target)
        target.with_name(f".{target.name}.lock").unlink()
    return len(files)


def _files(parts: dict[str, Path]) -> Iterator[tuple[Path, str, int]]:
    """Yield each file that may be read: where it is, its name in the target, its size."""
    for name, part in parts.items():
        places = [(part, name)] if part.is_file() else []
        seen: set[str] = set()
        for folder, inner, names in os.walk(part, followlinks=True):
            if (real := os.path.realpath(folder)) in seen:  # a link that leads back
                inner.clear()
                continue
            seen.add(real)
            inner.sort()
            under = os.path.relpath(folder, part)
            places += [(Path(folder, n), os.path.normpath(f"{name}/{under}/{n}")) for n in names]
        for place, inside in places:
            if inside.lower().endswith(READ) and place.is_file():
                yield place, inside, place.stat().st_size


def _require_space(folder: Path, files: list[tuple[Path, str, int]]) -> None:
    needed = sum(size for place, name, size in files if not _is_copied(place, folder / name))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: expected {needed} bytes of free disk for the copy, found {free}; free some "
            "space, or leave out --copy for links"
        )


def _is_copied(place: Path, copied: Path) -> bool:
    try:
        before, after = place.stat(), copied.stat()
    except FileNotFoundError:
        return False
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def _copy_file(place: Path, copied: Path) -> None:
    if not _is_copied(place, copied):
        with replacing(copied) as beside:
            shutil.copyfile(place, beside)
            status = place.stat()
            os.utime(beside, ns=(status.st_atime_ns, status.st_mtime_ns))


def _move_into_place(folder: Path, target: Path) -> None:
    """Rename, unless something has come to lie there meanwhile."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(folder, target)
