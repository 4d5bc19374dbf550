-- The role of the planner service: it reads what a plan needs, and writes nothing.
DO $$
BEGIN
  -- Roles belong to the server, not to one database: two databases migrated at once must not collide.
  PERFORM pg_advisory_xact_lock(7160001);
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'planner_service') THEN
    CREATE ROLE planner_service NOLOGIN;
  END IF;
END $$;

GRANT USAGE ON SCHEMA exp TO planner_service;
GRANT SELECT ON exp.api_keys, exp.policies, exp.policy_versions, exp.experiments, exp.variants, exp.households, exp.pantry_items,
  exp.constraints, exp.recipes TO planner_service;
