"""Families of models, a package each, whose `build(settings, vocabulary_size, *, pretrained)` gives
a `ReportModel`; its settings stand in the module of the same name in `rcan.config.families`."""
