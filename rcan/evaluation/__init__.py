"""Scores with their uncertainty, their floors and a look for collapse."""
