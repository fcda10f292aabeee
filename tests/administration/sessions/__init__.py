"""Tests of the administrative face, over local files and over the service."""
