-- "ops doctor" compares the erasure key that it is given with the one that this database is used with.
GRANT SELECT ON exp.erasure_key TO operator;
