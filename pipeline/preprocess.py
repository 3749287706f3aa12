"""Stage preprocess: read the raw data set, clean the reports, pack the images."""

from pipeline.stage import PROCESSED, run
from rcan.config import PipelineSettings
from rcan.data.preprocess import described, preprocess
from rcan.project import project_root, raw_data_folder


def main(settings: PipelineSettings) -> None:
    data = settings.data
    summary = preprocess(
        name=data.name,
        root=None if data.name == "demo" else raw_data_folder(data.name, data.root),
        image_size=data.image_size,
        fit=data.fit,
        **settings.demo.model_dump(),
        out=PROCESSED,
        work=project_root() / "data" / "work" / "preprocess",
    )
    print(described(summary, with_ids=not settings.privacy.restricted))


if __name__ == "__main__":
    run(main)
