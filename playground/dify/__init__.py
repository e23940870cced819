"""Dify's stand-in: runs the workflow file with Dify's own graph engine, hosts both packages, offers the Service API."""
