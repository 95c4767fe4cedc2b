"""The admin API below `/__admin`: how a test controls its org and asks what happened. Names no vendor.

One module for each subject, described by `specs/sandbox/admin.yaml`. Start with `api`, which binds them together.
"""
