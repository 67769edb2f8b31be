"""The summary as HTML."""

from shadow_router.summary import Summary

POLICY = "default-src 'none'"


def render_page(summary: Summary) -> str:
    return ""


def render_file(summary: Summary) -> str:
    return ""
