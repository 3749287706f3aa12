"""MIMIC-CXR (Johnson et al., 2019) from PhysioNet's own files, or as R2Gen's annotation has it.

The two differ, and each keeps its own way. PhysioNet's files give one study a report, with one
image (§4.1.2 of the paper), so that every report counts once in a score and an interval over
studies is one. R2Gen's annotation has one record an image, several of them with the same report: it
is read as it stands, since that is what published scores were computed on.
"""

from rcan.data.mimic_cxr.reader import RULES, findings_in_sample, read_mimic_cxr

__all__ = ["RULES", "findings_in_sample", "read_mimic_cxr"]
