"""The clients of model providers, through Strands' own models, each against a small endpoint that speaks its wire."""
