-- The rows of a dataset: every plan for a model ($2) generated in [$3, $4) and before the label cut-off ($1), with the
-- latest reaction before the cut-off and the domain rows as of the request's time (valid_from <= requested_at < valid_to).
-- Deterministic: the order of rows and of every list in them is fixed.
SELECT
  t.plan_id,
  t.household_id,
  t.experiments,
  t.policy_version_id,
  t.policy,
  t.generated_event_id,
  (extract(epoch FROM t.generated_at) * 1000000)::bigint AS generated_at_micros,
  t.generated_partition,
  t.generated_offset,
  (extract(epoch FROM t.requested_at) * 1000000)::bigint AS requested_at_micros,
  t.request,
  t.plan,
  t.action_propensities,
  known.reaction,
  known.event_id AS reaction_event_id,
  (extract(epoch FROM known.reacted_at) * 1000000)::bigint AS reacted_at_micros,
  known.kafka_partition AS reaction_partition,
  known.kafka_offset AS reaction_offset,
  known.final_plan,
  known.edited_slots,
  jsonb_build_object(
    'household', household.joined,
    'pantry', coalesce(pantry.joined, '[]'),
    'constraints', coalesce(constraints.joined, '[]'),
    'recipes', coalesce(recipes.joined, '[]')
  ) AS enrichment
FROM exp.training_rows t
LEFT JOIN LATERAL (
  SELECT r.*
  FROM exp.plan_reactions r
  WHERE r.plan_id = t.plan_id AND r.reacted_at < $1
  ORDER BY r.reacted_at DESC, r.event_id DESC
  LIMIT 1
) known ON true
LEFT JOIN LATERAL (
  SELECT jsonb_build_object(
    'members', h.members,
    'attributes', h.attributes,
    'valid_from', to_char(h.valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  ) AS joined
  FROM exp.households h
  WHERE h.household_id = t.household_id
    AND h.valid_from <= t.requested_at AND (h.valid_to IS NULL OR t.requested_at < h.valid_to)
  ORDER BY h.valid_from DESC
  LIMIT 1
) household ON true
LEFT JOIN LATERAL (
  SELECT jsonb_agg(
    jsonb_build_object(
      'item', p.item,
      'valid_from', to_char(p.valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'valid_to', to_char(p.valid_to AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    ) ORDER BY p.item COLLATE "C", p.valid_from
  ) AS joined
  FROM exp.pantry_items p
  WHERE p.household_id = t.household_id
    AND p.valid_from <= t.requested_at AND (p.valid_to IS NULL OR t.requested_at < p.valid_to)
) pantry ON true
LEFT JOIN LATERAL (
  SELECT jsonb_agg(
    jsonb_build_object(
      'kind', c.kind,
      'value', c.value,
      'valid_from', to_char(c.valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    ) ORDER BY c.kind COLLATE "C", c.value COLLATE "C", c.valid_from
  ) AS joined
  FROM exp.constraints c
  WHERE c.household_id = t.household_id
    AND c.valid_from <= t.requested_at AND (c.valid_to IS NULL OR t.requested_at < c.valid_to)
) constraints ON true
LEFT JOIN LATERAL (
  SELECT jsonb_agg(
    jsonb_build_object(
      'recipe_id', e.recipe_id,
      'title', e.title,
      'valid_from', to_char(e.valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    ) ORDER BY e.recipe_id COLLATE "C", e.valid_from
  ) AS joined
  FROM exp.recipes e
  WHERE e.recipe_id IN (
      SELECT jsonb_array_elements_text(slot -> 'candidates') FROM jsonb_array_elements(t.request -> 'slots') AS slot
    )
    AND e.valid_from <= t.requested_at AND (e.valid_to IS NULL OR t.requested_at < e.valid_to)
) recipes ON true
WHERE t.request IS NOT NULL AND t.model_name = $2 AND t.generated_at < least($1, $4) AND t.generated_at >= $3
ORDER BY t.generated_at, t.plan_id
