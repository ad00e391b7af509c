"""DICOM files as pictures."""
