"""Stage tokenizer: learn the words of the training reports."""

from pipeline.stage import PROCESSED, TOKENIZER, run
from rcan.config import Settings
from rcan.data.store import open_split
from rcan.text.tokenizer import Tokenizer


def main(settings: Settings) -> None:
    texts = (study.text for study in open_split(PROCESSED, "train").studies)
    tokenizer = Tokenizer.train(texts, settings.data.min_freq)
    tokenizer.save(TOKENIZER)
    print(f"{len(tokenizer):,} words, of at least {settings.data.min_freq} occurrences each")


if __name__ == "__main__":
    run(main)
