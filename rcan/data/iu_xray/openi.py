"""Open-i's own files: `ecgen-radiology/2384.xml` and `NLMCXR_png/CXR2384_IM-0942-1001.png`."""

import codecs
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from rcan.data.iu_xray.listing import FoundStudy, ListedStudy, first_file
from rcan.data.iu_xray.problems import problems_of
from rcan.errors import UserError, shown
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
            report, problems = _read(path)
            found[study.id] = FoundStudy(report, images, problems)
    return found, {}


_ENDINGS = (".png", ".jpg")
_ENCODINGS = ("utf-8", "us-ascii", "iso-8859-1", "windows-1252")
_DECLARED = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml[^>]*\bencoding\s*=\s*["']([\w.-]+)""")


def _read(path: Path) -> tuple[str, tuple[str, ...] | None]:
    """Text of the FINDINGS section, "" if it has none, and the indexers' problems."""
    content = read_bytes(path, "an Open-i report", "fetch it again")
    try:
        tree = ET.fromstring(_decoded(content))
    except (ET.ParseError, ValueError) as error:
        raise UserError(f"{path}: expected an Open-i report ({error}); fetch it again") from error
    name = tree.find("uId")
    if name is None or name.get("id") != f"CXR{path.stem}":
        raise UserError(
            f"{path}: expected the report of CXR{path.stem}, found another; fetch it again"
        )
    section = tree.find(".//AbstractText[@Label='FINDINGS']")
    report = "" if section is None else "".join(section.itertext())
    return report, problems_of(term.text or "" for term in tree.findall(".//MeSH/major"))


def _decoded(content: bytes) -> str:
    """The text of an XML file, decoded here so that no document type is missed in it.

    There alone entities can be defined, and once a parser meets one it may go on expanding them.
    """
    declared = _DECLARED.match(content)
    encoding = declared[1].decode("ascii").lower() if declared else "utf-8"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif encoding not in _ENCODINGS:
        raise ValueError(f"its encoding is {shown(encoding)}")
    text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    if "\0" in text:  # by which the parser would take it for another encoding
        raise ValueError("it holds a zero byte")
    if "<!DOCTYPE" in text:
        raise ValueError("a document type is declared, which these reports never do")
    return text
