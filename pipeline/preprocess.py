"""Stage preprocess: read the raw data set, clean the reports, pack the images."""

import os

from pipeline.stage import PROCESSED, run
from rcan.config import PipelineSettings
from rcan.data.preprocess import described, preprocess
from rcan.project import project_root


def main(settings: PipelineSettings) -> None:
    data, root = settings.data, project_root()
    raw = data.root or os.environ.get("RCAN_DATA") or f"data/raw/{data.name}"
    summary = preprocess(
        name=data.name,
        root=None if data.name == "demo" else root / os.path.expanduser(raw),
        image_size=data.image_size,
        fit=data.fit,
        **settings.demo.model_dump(),
        out=PROCESSED,
        work=root / "data" / "work" / "preprocess",
    )
    print(described(summary, with_ids=not settings.privacy.restricted))


if __name__ == "__main__":
    run(main)
