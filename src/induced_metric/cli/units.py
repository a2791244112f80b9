"""Numbers, speeds and times as the views and the commands show them."""


def rate(trials_per_second: float) -> str:
    """A speed in a suitable unit."""
    if not trials_per_second:
        return ""
    if trials_per_second >= 1:
        return f"{trials_per_second:.3g} trials/s"
    if 60 * trials_per_second >= 1:
        return f"{60 * trials_per_second:.3g} trials/min"
    return f"{3600 * trials_per_second:.3g} trials/h"


def number(value: float | None) -> str:
    """A number with five significant digits; the empty string for None."""
    return "" if value is None else f"{value:.5g}"


def duration(seconds: float) -> str:
    """A duration as hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def in_words(seconds: float) -> str:
    """A duration in its two largest units."""
    minutes, rest = divmod(max(round(seconds), 1), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(place for place, (count, _) in enumerate(units) if count)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count)
