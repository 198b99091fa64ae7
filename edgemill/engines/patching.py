"""Applying an image's patch series to its environment."""

from __future__ import annotations

from pathlib import Path

from edgemill.errors import ImageError
from edgemill.images import PatchSeries


def apply_series(series: PatchSeries, site_packages: Path) -> None:
    """Patch the series' targets below `site_packages`.

    Raises:
        ImageError: a target is missing or not the expected one, a patch does not apply, touches another file, or gives another result.
    """
    from edgemill.engines.series import SeriesError, apply_patches

    try:
        apply_patches(series.patches, series.targets, site_packages)
    except SeriesError as error:
        raise ImageError(
            error.what,
            where=f"series {series.name}: {error.where}",
            expected=error.expected,
            found=error.found,
            remedy=f"the lock and the series {series.name!r} do not belong together: review both",
        ) from None
