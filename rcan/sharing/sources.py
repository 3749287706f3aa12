"""What a model's data set is, whose it is and on what terms, for its card."""

PAPER = (
    "X. Hou, X. Li, Z. Liu, S. Sang, M. Lu, Y. Zhang. Recalibrated cross-modal alignment network "
    "for radiology report generation with weakly supervised contrastive learning"
)
NAMES = {
    "demo": "demo (drawn phantoms, no X-rays)",
    "iu_xray": "IU X-ray",
    "mimic_cxr": "MIMIC-CXR",
}
WHAT = {
    "demo": "Drawn phantoms of chest X-rays with reports that follow from the drawing, made by "
    "this project. It has never seen an X-ray: what it writes about one means nothing.",
    "iu_xray": "Chest X-rays and reports of Indiana University (Open-i, National Library of "
    "Medicine), as split by R2Gen. D. Demner-Fushman et al., J Am Med Inform Assoc "
    "2016;23(2):304-310.",
    "mimic_cxr": "Chest X-rays and reports of Beth Israel Deaconess Medical Center (PhysioNet). "
    "A. E. W. Johnson et al., MIMIC-CXR, Sci Data 2019;6:317, and MIMIC-CXR-JPG, arXiv:1901.07042; "
    "A. L. Goldberger et al., PhysioNet, Circulation 2000;101(23):e215-e220. Scores on "
    "PhysioNet's studies and on R2Gen's records of it do not compare.",
}
TERMS = {
    "demo": "The data are made by this project; no patient is behind them.",
    "iu_xray": "Open-i offers the images and reports under CC BY-NC-ND 4.0; the de-identified "
    "vocabulary in tokenizer.json and the weights are derived from them. Whether a model is an "
    "adaptation in the licence's sense is not settled: do not use this one commercially, and ask "
    "before you hand it on.",
    "mimic_cxr": "The data are under the PhysioNet Credentialed Health Data License 1.5.0 and its "
    "data use agreement (https://physionet.org/content/mimic-cxr), which also bear on what is "
    "derived from them: hand it on to people with credentialed access alone.",
}
RESTRICTED = (
    "The data set is restricted. The words in tokenizer.json and the weights are derived from it: "
    "whoever exported this model stated to be allowed to share it, and whoever hands it on must "
    "be, too."
)
IMAGENET = "The CNN started from torchvision's ImageNet weights, which have terms of their own."
