"""The book's chapters: their parameters, how papermill runs them, and how their pages are built."""

from paper_lib.chapters.notebook import Chapter, begin

__all__ = ["Chapter", "begin"]
