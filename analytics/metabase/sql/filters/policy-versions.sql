SELECT p.name || '@' || pv.version AS policy_version_name
FROM exp.policies p
JOIN exp.policy_versions pv ON pv.policy_id = p.id
ORDER BY p.name, pv.version
