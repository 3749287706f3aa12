"""Open-i's own files: `ecgen-radiology/2384.xml` and `NLMCXR_png/CXR2384_IM-0942-1001.png`."""

import xml.etree.ElementTree as ET
from pathlib import Path

from rcan.data.iu_xray.listing import FoundStudy, ListedStudy, first_file
from rcan.errors import UserError
from rcan.reading import read_bytes

NAME = "Open-i"
LOOKS_LIKE = "ecgen-radiology/*.xml with NLMCXR_png/*.png"


def has_reports(root: Path) -> bool:
    return (root / "ecgen-radiology").is_dir()


def read(
    root: Path, listed: list[ListedStudy]
) -> tuple[dict[str, FoundStudy], dict[str, list[str]]]:
    """Listed studies found under `root` by id; the images may also lie in `root` or by the XML.

    Raises UserError for XML that is damaged, of another study, or declares a document type.
    """
    reports = root / "ecgen-radiology"
    folders = (root / "NLMCXR_png", root, reports)
    found = {}
    for study in listed:
        path = reports / f"{study.number}.xml"
        if path.is_file():
            images = tuple(
                first_file(folder / f"CXR{stem}{end}" for folder in folders for end in _ENDINGS)
                for stem in study.stems
            )
            found[study.id] = FoundStudy(_findings(path), images)
    return found, {}


_ENDINGS = (".png", ".jpg")


class _NoDoctype(ET.TreeBuilder):
    """Stops at a document type, the one place where entities can be defined."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("a document type is declared, which these reports never do")


def _findings(path: Path) -> str:
    """Text of the FINDINGS section, "" if it has none."""
    content = read_bytes(path, "an Open-i report", "fetch it again")
    try:
        tree = ET.fromstring(content, ET.XMLParser(target=_NoDoctype()))
    except (ET.ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise UserError(f"{path}: expected an Open-i report ({error}); fetch it again") from error
    name = tree.find("uId")
    if name is None or name.get("id") != f"CXR{path.stem}":
        raise UserError(f"{path}: expected the report of CXR{path.stem}, found another; fetch it")
    section = tree.find(".//AbstractText[@Label='FINDINGS']")
    return "" if section is None else "".join(section.itertext())
