"""How much indices of the bundled model differ between two measurements of one heart.

Measured by ``ctct benchmark generalization --robustness`` on copies of scans that were turned,
mirrored and resampled; see "Repeatability" in ``docs/results/accuracy.md``. No patient was scanned
twice: a second scan adds another breath-hold, other slice positions and another heart rate. So what
lies beyond these limits is more than the noise of the method, and need not be a change of the
heart.
"""

from __future__ import annotations

from collections.abc import Mapping

SOURCE = (
    "1.96 √2 times the standard deviation within a patient, over scans turned, mirrored and "
    "resampled, 20 test patients of ACDC, by ctct benchmark generalization; without the "
    "differences of a second scan"
)

#: Repeatability coefficient of each index: of volumes and mass in percent, of EF in points.
LIMITS: Mapping[str, float] = {
    "LVEDV (mL)": 1.4,
    "LVESV (mL)": 11.1,
    "LVM (g)": 5.3,
    "LVEF (%)": 4.9,
    "RVEDV (mL)": 17.7,
    "RVESV (mL)": 7.1,
    "RVEF (%)": 10.0,
}

SCAN_SOURCE = (
    "Gandy et al., J Magn Reson Imaging 28:359, 2008: coefficients of repeatability of 15 healthy "
    "volunteers, over observers, times and two scanners, as in the abstract"
)

#: Coefficient of repeated scans read by different observers: of EF in points, of mass in grams.
SCAN_LIMITS: Mapping[str, float] = {"LVEF (%)": 10.0, "LVM (g)": 39.5}
