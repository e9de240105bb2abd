"""The sub-commands of `lockon`, one file each. Only here may the service's package import `training`, and lazily."""
