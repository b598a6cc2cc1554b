"""That a job could not be carried out, in words that may be told."""

from __future__ import annotations


class RunFailed(Exception):
    """The run failed, or could not begin.  `text` is for people; `code` is `job_failed`, or `unsupported` for what cannot run."""

    def __init__(self, text: str, code: str = "job_failed", retryable: bool = True) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.retryable = retryable
