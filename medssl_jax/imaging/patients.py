"""Patients by a hash, which tells whether two scans are of one patient without naming the patient."""

import hashlib

KEY_DIGITS = 16


def patient_key(patient: str) -> str:
    """Stands for a patient: 16 hexadecimal digits, the same ones in every data set; "" where `patient` is "", unknown.

    Whoever looks at a table, a page or a file with keys does not read an ID. Whoever can guess IDs finds the one that
    has a key, and all six-digit ones are tried within seconds: data with keys are pseudonymous, not anonymous. Two of
    NLST's 26,000 patients share a key with a probability of 2e-11.
    """
    # "fold": the folds of users' folders come from this hash, and came from it before patients were kept by it.
    hashed = hashlib.sha256(f"fold {patient}".encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()[:KEY_DIGITS] if patient else ""
