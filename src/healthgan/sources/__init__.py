"""Where images come from: MedMNIST names, ``.npz`` files, folders, CSV manifests, DICOM, the phantom."""
