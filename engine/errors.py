"""The engine's exceptions.

    EngineError
    ├── UnknownModel     the catalog has no such model
    ├── ModelNotLoaded   it is in the catalog but could not be loaded
    ├── InvalidRequest   the pipeline or the source picture refuses it
    ├── OutOfMemory      the device has too little memory for it
    ├── InvalidPicture   the model returned NaN
    ├── FlaggedPicture   the model's own safety checker withholds it
    ├── WorkerLost       it ended its worker twice and is set aside
    └── Cancelled        someone asked for it to stop

Each carries `advice`: one sentence, safe to show to anyone, that says what to do next. `str(error)` is
the cause, for the log.
"""

from __future__ import annotations

from engine.text import _


class EngineError(Exception):
    """Something went wrong while painting."""

    advice = _("The engine could not generate this. Try again; an administrator finds the cause in the log.")
    of_engine = True
    """Whether the device may be to blame; else it is the request, or somebody's wish."""

    def __init__(self, cause: str = "", *, advice: str | None = None) -> None:
        super().__init__(cause or type(self).__doc__)
        if advice is not None:
            self.advice = advice

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), str(self), self.advice)


def _restore(kind: type[EngineError], cause: str, advice: str) -> EngineError:
    return kind(cause, advice=advice)


class UnknownModel(EngineError):
    """The catalog has no such model."""

    advice = _("There is no model of that name. Choose one that `/settings` offers.")
    of_engine = False


class ModelNotLoaded(EngineError):
    """The model could not be loaded."""

    advice = _("This model could not be loaded. Choose another; `python -m bot doctor` names the cause.")


class InvalidRequest(EngineError):
    """The model does not accept this request."""

    advice = _("This model does not accept that combination of options. Try its defaults.")
    of_engine = False


class OutOfMemory(EngineError):
    """The device ran out of memory."""

    advice = _("The engine ran out of memory on this size. Try a smaller one.")


class InvalidPicture(EngineError):
    """The model returned a picture with values that are not numbers."""

    advice = _("The model returned an invalid image, so it is not shown. Try another seed.")


class FlaggedPicture(EngineError):
    """The model's own safety checker withholds the picture."""

    advice = _(
        "The model's safety checker flagged the image, so it is not shown. Try another seed or prompt."
    )
    of_engine = False


class WorkerLost(EngineError):
    """The job ended its worker twice and is set aside."""

    advice = _("This stopped the engine twice, so it is set aside. Try other options.")
    of_engine = False


class Cancelled(EngineError):
    """Someone asked for it to stop."""

    advice = "Cancelled."
    of_engine = False
