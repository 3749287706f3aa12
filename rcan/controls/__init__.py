"""Controls that are no trained model: what a report scores that only names the findings."""
