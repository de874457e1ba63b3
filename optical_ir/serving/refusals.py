"""What a request is refused with: its HTTP status, the reason for the metrics, and a sentence."""

REASONS = {
    "body": 413,
    "slow": 408,
    "host": 421,
    "invalid": 422,
    "not-ready": 503,
    "queue": 503,
    "rate": 429,
    "timeout": 503,
    "token": 401,
}
"""Reasons, as the metrics count them, with their status."""


class Refusal(Exception):
    """A request that is not answered.

    Parameters
    ----------
    reason : str
        One of `REASONS`.
    message : str
        For whoever asked; names nothing of the machine.
    retry_after : int, optional
        Seconds after which it may be asked again.
    """

    def __init__(self, reason: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = REASONS[reason], reason, message
        self.retry_after = retry_after
