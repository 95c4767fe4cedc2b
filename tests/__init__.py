"""The suite. Tests mirror the modules they are about; `vendors` has a vendor's rules, `contract` every operation."""
