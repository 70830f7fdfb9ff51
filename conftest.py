"""Its place puts the repository's root on the path of the tests: `sandbox` is not an installed package."""
