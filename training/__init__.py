"""Makes the model packages that the service loads: data, recipes, fitting, export, evaluation."""
