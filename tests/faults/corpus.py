"""All bad inputs, in one table."""

import bad_arguments
import bad_csv
import bad_dicom
import bad_generators
import bad_npz
import bad_pictures
import bad_protocols
import bad_runs
import bad_synthetic

TABLES = (
    bad_arguments,
    bad_npz,
    bad_pictures,
    bad_dicom,
    bad_csv,
    bad_synthetic,
    bad_generators,
    bad_protocols,
    bad_runs,
)
CASES = [case for table in TABLES for case in table.CASES]
