// Asks POST /v1/assignments, and reads its answers as decisions.
import { type LocalEvaluation, toDecision, toServed } from './local-evaluation.ts';
import { type Settings, toHeaders, toUrl } from './settings.ts';
import type { Decision, Unit } from './types.ts';

type Answer = {
  experiment_id: string;
  experiment_key: string;
  reason: string;
  assigned_variant_id: string | null;
  /** From here on only with a variant. */
  variant_id?: string;
  variant_name?: string;
  config?: object;
  hash_bucket?: number;
  source?: string | null;
};
type AnswerBody = { assignments: Answer[]; not_assigned: Answer[] };
type Refusal = { code?: string; field?: string; message?: string };

/** Rejects when the service cannot be reached or refuses; experiments that it does not know are answered as unknown. */
export async function askRemotely(
  settings: Settings,
  unit: Unit,
  experimentKeys: readonly string[] | undefined,
  remember: LocalEvaluation['remember'],
): Promise<Map<string, Decision>> {
  const decisions = new Map<string, Decision>();
  const response = await settings.fetch(toUrl(settings.assignmentUrl ?? '', '/v1/assignments'), {
    method: 'POST',
    headers: { ...toHeaders(settings.apiKey), 'content-type': 'application/json' },
    signal: AbortSignal.timeout(settings.timeoutMs),
    body: JSON.stringify({
      unit_type: unit.unitType,
      unit_id: unit.unitId,
      context: unit.context,
      requested_experiments: experimentKeys,
    }),
  });
  const body = await response.json();
  if (!response.ok) {
    const { code, field, message } = body as Refusal;
    const unknown = experimentKeys?.[Number(/\d+/.exec(field ?? '')?.[0])];
    if (code !== 'unknown-experiment' || !unknown)
      throw new Error(`assignments were answered with ${response.status}: ${message}`);
    // One unknown experiment must not keep the others from being answered.
    const others = experimentKeys.filter((key) => key !== unknown);
    const answered = others.length > 0 ? await askRemotely(settings, unit, others, remember) : decisions;
    return answered.set(unknown, toDecision(unknown, unit, code));
  }
  const { assignments, not_assigned: notAssigned } = body as AnswerBody;
  for (const answer of [...assignments, ...notAssigned]) {
    const { experiment_id: experimentId, experiment_key: key, assigned_variant_id: assigned, source } = answer;
    const { variant_id: variantId, variant_name: name, hash_bucket: bucket } = answer;
    decisions.set(key, {
      ...toDecision(key, unit, answer.reason, source),
      experimentId,
      ...(variantId && toServed(variantId, name!, answer.config!)),
      assignedVariantId: assigned,
      hashBucket: bucket ?? null,
      from: 'remote',
    });
    if (assigned && source) remember(experimentId, unit.unitId, { v: assigned, b: bucket!, s: source, r: true });
  }
  return decisions;
}
