"""What each family of models reads of params.yaml: a module a family, its `Config` in it."""
