"""A trained model for other people: a folder to hand on, reports for images, MLflow's registry."""
