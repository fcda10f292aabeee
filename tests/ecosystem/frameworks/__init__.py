"""Servers, frameworks and notebooks, with sessions of this package."""
