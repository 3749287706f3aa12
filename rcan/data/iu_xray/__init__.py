"""IU X-ray (Demner-Fushman et al., 2016) from any of the three forms it is handed round in.

All three give the same 2,955 studies of R2Gen's split, in the same order, with the same two views
and the same findings as report. The split, the order and the views are those of R2Gen's
annotation and ship with this package as `iu_xray_studies.csv`, which holds no report text.
"""

from rcan.data.iu_xray.reader import read_iu_xray

__all__ = ["read_iu_xray"]
