"""The wire formats of providers, each as far as Strands' models read it."""
