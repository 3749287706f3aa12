"""Any model's reports scored as our own are, and two runs compared; knows no model, no training."""
