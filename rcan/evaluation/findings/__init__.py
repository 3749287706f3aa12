"""Findings in reports: a labeler a data set, and precision, recall and F1 of what it reads."""

from rcan.evaluation.findings.demo import DEMO
from rcan.evaluation.findings.iu_xray import IU_XRAY
from rcan.evaluation.findings.labeler import Labeler as Labeler

LABELERS = {"demo": DEMO, "iu_xray": IU_XRAY}  # MIMIC-CXR brings no labels here
