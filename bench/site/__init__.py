"""All boards as a static site that opens from disk: pages, one stylesheet, one script."""

from bench.site.write import write_site

__all__ = ["write_site"]
