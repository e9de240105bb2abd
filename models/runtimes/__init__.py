"""What executes a package's two graphs: one file per runtime, all behind `models.runtimes.base.Runtime`."""
