-- Records of who changed what are added to and never edited; stored assignments are never edited either, and only erasure removes them.
REVOKE UPDATE ON exp.experiment_versions FROM assignment_service;
REVOKE UPDATE, DELETE ON exp.experiment_versions, exp.audit_log, exp.assignments, exp.erasures FROM operator;
-- A rebuild locks the empty table until it is filled.
GRANT MAINTAIN ON exp.assignments TO operator;
