"""What chapters say in short, and ask at their end: sentences with numbers that follow from records, as verdicts do.

summary = summarised("model_size", dict(chapter.parameters))
summary.in_short    # a box: the page builder puts it under the title
summary.questions   # folded answers, for the end of the page
"""

from paper_lib.summaries.reading import Told, summarised

__all__ = ["Told", "summarised"]
