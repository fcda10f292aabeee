"""What the package promises over HTTP: faults, rivals, roles, large documents, hostile input."""
